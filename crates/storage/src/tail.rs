//! Memory for the newest batches of all partitions: what readers at the end of a log get. The oldest make way.

use std::collections::VecDeque;

use millstream_model::Offset;
use parking_lot::Mutex;

use crate::lane::slot::PartitionKey;

/// Batches that are in segments, kept in memory for readers.
#[derive(Debug)]
pub(crate) struct TailPiece {
    pub(crate) bytes: usize,
    /// End offsets of the batches, per partition.
    pub(crate) ends: Vec<(PartitionKey, Offset)>,
}

/// What is kept, oldest first. The batches themselves lie in their partitions' logs.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes_max: usize,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<TailPiece>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, pieces: Mutex::default() }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.lock().bytes
    }

    /// Keeps a piece; who calls lets go of the pieces that are given back.
    pub(crate) fn keep(&self, piece: TailPiece) -> Vec<TailPiece> {
        let mut kept = self.pieces.lock();
        kept.bytes += piece.bytes;
        kept.pieces.push_back(piece);
        let mut surplus = Vec::new();
        while kept.bytes > self.bytes_max {
            let Some(oldest) = kept.pieces.pop_front() else { break };
            kept.bytes -= oldest.bytes;
            surplus.push(oldest);
        }
        surplus
    }
}
