//! A trace of what was asked of a simulated disk, to compare runs that should be the same.

use std::hash::{DefaultHasher, Hash as _};

use crate::disk::DiskOp;

/// Takes an operation into a trace.
pub(super) fn record(trace: &mut DefaultHasher, op: &DiskOp) {
    std::mem::discriminant(op).hash(trace);
    match op {
        DiskOp::CreateDir(path)
        | DiskOp::List(path)
        | DiskOp::SyncFile(path)
        | DiskOp::SyncDir(path)
        | DiskOp::RemoveFile(path)
        | DiskOp::RemoveDir(path)
        | DiskOp::Length(path) => path.hash(trace),
        DiskOp::Read { file, at, length, .. } => (file, at, length).hash(trace),
        DiskOp::Write { file, at, data, .. } => (file, at, data).hash(trace),
        DiskOp::SetLength { file, length } => (file, length).hash(trace),
        DiskOp::Rename { from, to } | DiskOp::Link { from, to } => (from, to).hash(trace),
        DiskOp::Space => {}
    }
}
