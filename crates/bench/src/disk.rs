//! The load `disk`: synced writes to a file, past any broker, to say what the disk itself can do in the same run.
//!
//! Each writer is a thread with one write of its own on the way, into a place of the file that was written before, with
//! O_DIRECT and RWF_DSYNC: when it returns the bytes are on the device and no metadata had to follow. Where a file system
//! refuses either, the load fails: anything else would measure something else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::BenchError;
use crate::histogram::Histogram;
use crate::pipeline::Outcome;
use crate::progress::Progress;
use crate::quota::{Limit, Quota};
use crate::report::{Amount, Report, cpu_seconds};

/// Of memory, lengths and places in the file: what direct I/O asks of any device.
const ALIGNMENT: usize = 4096;
/// Each writer goes round in this much of the file, as a journal of recycled files does.
const REGION_BYTES: usize = 16 << 20;

/// What to write where.
#[derive(Clone, Debug)]
pub struct DiskProbe {
    /// A file in it is written and removed again.
    pub directory: PathBuf,
    /// Of one write, a multiple of 4 KiB.
    pub write_bytes: usize,
    /// Writes on their way at once.
    pub depth: usize,
    pub limit: Limit,
}

impl DiskProbe {
    /// Runs the load. Blocks until it is over.
    pub fn run(&self, progress: &Progress) -> Result<Report, BenchError> {
        if self.write_bytes == 0 || !self.write_bytes.is_multiple_of(ALIGNMENT) {
            let words = format!("{} B are no multiple of {ALIGNMENT}: direct writes are", self.write_bytes);
            return Err(BenchError::Impossible(words));
        }
        let path = self.directory.join(format!("millstream-bench-{}", std::process::id()));
        let outcome = self.measure(&path, progress);
        let removed = std::fs::remove_file(&path).map_err(|source| disk_error(&path, "removing", source));
        outcome.and_then(|report| removed.map(|()| report))
    }

    fn measure(&self, path: &Path, progress: &Progress) -> Result<Report, BenchError> {
        let region = REGION_BYTES.next_multiple_of(self.write_bytes);
        prewrite(path, region * self.depth).map_err(|source| disk_error(path, "writing", source))?;
        let (quota, cpu) = (Quota::new(self.limit, progress), cpu_seconds());
        let (amount, latency) =
            Outcome::of_each(0..self.depth, |writer| self.write(path, writer * region, region, &quota))?;
        Ok(Report::new("disk", quota.begun.elapsed(), amount, latency.summary(), cpu_seconds() - cpu))
    }

    fn write(&self, path: &Path, first: usize, region: usize, quota: &Quota<'_>) -> Result<Outcome, BenchError> {
        let memory = vec![7; self.write_bytes + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let bytes = &memory[start..start + self.write_bytes];
        let failed = |source| disk_error(path, "a direct, synced write to", source);
        let file = open_direct(path).map_err(failed)?;
        let (mut latency, mut amount, mut at) = (Histogram::new(), Amount::default(), 0);
        let mut now = Instant::now();
        while quota.take_request(now) {
            write_synced(&file, bytes, (first + at) as u64).inspect_err(|_| quota.close()).map_err(failed)?;
            let written = Instant::now();
            latency.record(written - now);
            amount += Amount { requests: 1, records: 0, bytes: bytes.len() as u64 };
            quota.answered(bytes.len() as u64);
            (at, now) = ((at + bytes.len()) % region, written);
        }
        Ok(Outcome { amount, latency })
    }
}

/// Writes the file whole and syncs it, so that what is measured allocates nothing.
fn prewrite(path: &Path, bytes: usize) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = File::create(path)?;
    let piece = vec![1; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(piece.len());
        file.write_all(&piece[..some])?;
        left -= some;
    }
    file.sync_all()
}

fn disk_error(path: &Path, what: &str, source: std::io::Error) -> BenchError {
    BenchError::Disk { what: format!("{what} {}", path.display()), source }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    std::fs::OpenOptions::new().write(true).custom_flags(direct).open(path)
}

#[cfg(target_os = "linux")]
fn write_synced(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    use rustix::io::{ReadWriteFlags, pwritev2};
    let slices = [std::io::IoSlice::new(bytes)];
    match pwritev2(file, &slices, at, ReadWriteFlags::DSYNC)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(std::io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> std::io::Result<File> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn write_synced(_: &File, _: &[u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
