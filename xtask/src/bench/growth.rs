//! Rows with much data: what a broker holds in memory after it, and whether a record costs more in a large partition.

use std::fs;

use anyhow::Result;

use super::{
    contestant::{Contestant, words},
    figures::{self, Figure, Measured},
    idle::mebibytes,
    loads::Cost,
    measure,
    rows::{Conditions, Topic},
    surroundings,
};

const LOADED_BYTES: u64 = 40_000_000_000;
/// What retention leaves, what it has not yet looked at, and the journal.
const LOADED_DISK_GIGABYTES: u64 = 15;
/// Of each of four partitions.
const RETAINED_BYTES: u64 = 1_000_000_000;
const SEGMENT_BYTES: u64 = 256_000_000;
const FIRST_BYTES: u64 = 1_000_000_000;
const LAST_BYTES: u64 = 20_000_000_000;
const GROWN_DISK_GIGABYTES: u64 = 30;
const PRODUCED_BYTES: u64 = 500_000_000;
const READ_BYTES: u64 = 4_000_000_000;
/// 64 batches of 1 MB with records of 1 KiB.
const WINDOW_RECORDS: u64 = 64 * 965;

/// A new broker's memory after 40 GB, of which little stays on the disk.
pub(super) fn loaded(name: &str, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    surroundings::ensure_free(&broker.data, conditions.scaled(LOADED_DISK_GIGABYTES))?;
    let mut fresh = broker.fresh()?;
    fresh.start()?;
    let [retained, segment] = [RETAINED_BYTES, SEGMENT_BYTES].map(|bytes| conditions.scaled(bytes).to_string());
    fresh.create(name, 4, &[("retention.bytes", &retained), ("segment.bytes", &segment)])?;
    let bytes = conditions.scaled(LOADED_BYTES).to_string();
    let line = ["produce", "--topic", name, "--connections", "4", "--acks", "all", "--bytes", &bytes];
    let cost = Cost::of(&fresh, &words(&line))?;
    let (now, most) = measure::resident(fresh.pid()?)?;
    fresh.stop()?;
    fs::remove_dir_all(&fresh.data)?;
    let mut measured = vec![(figures::LOADED_MEMORY, mebibytes(now)), (figures::MOST_MEMORY, mebibytes(most))];
    measured.extend(cost.per_gigabyte());
    Ok(measured)
}

/// What records cost when the partition is small and when it is large.
pub(super) fn growth(name: &str, broker: &Contestant, conditions: Conditions) -> Result<Measured> {
    surroundings::ensure_free(&broker.data, conditions.scaled(GROWN_DISK_GIGABYTES))?;
    Topic::PAGE_CACHE.create(name, 1, broker)?;
    let grower = Grower { name, broker, conditions };
    let mut records = grower.fill(FIRST_BYTES)?;
    let (first, added) = grower.costs(records)?;
    records += added + grower.fill(LAST_BYTES - FIRST_BYTES - PRODUCED_BYTES)?;
    let (last, _) = grower.costs(records)?;
    broker.delete(name)?;
    Ok(first.into_iter().zip(last).map(|((figure, first), (_, last))| (figure, last / first)).collect())
}

struct Grower<'a> {
    name: &'a str,
    broker: &'a Contestant,
    conditions: Conditions,
}

impl Grower<'_> {
    /// Produces; how many records.
    fn fill(&self, bytes: u64) -> Result<u64> {
        let report = self.broker.load(&self.produce(bytes))?;
        self.broker.settle()?;
        Ok(report.records)
    }

    fn produce(&self, bytes: u64) -> Vec<String> {
        let bytes = self.conditions.scaled(bytes).to_string();
        words(&["produce", "--topic", self.name, "--acks", "1", "--bytes", &bytes])
    }

    /// CPU seconds of the broker per record, produced and read at three places; and how many records that added.
    fn costs(&self, records: u64) -> Result<(Vec<(Figure, f64)>, u64)> {
        let window = WINDOW_RECORDS.min(records / 4);
        let places =
            [(figures::HEAD_GROWTH, 0), (figures::MIDDLE_GROWTH, records / 2), (figures::END_GROWTH, records - window)];
        let mut costs = Vec::new();
        for (figure, offset) in places {
            let read = |bytes: u64| {
                let numbers = [offset, window, bytes].map(|number| number.to_string());
                let from = ["fetch", "--topic", self.name, "--from", &numbers[0], "--records", &numbers[1]];
                words(&[&from[..], &["--at-end", "again", "--bytes", &numbers[2]]].concat())
            };
            // Once for the page cache: what is compared is the broker's way to the records, not the disk's.
            self.broker.load(&read(window * 1100))?;
            costs.push((figure, per_record(&Cost::of(self.broker, &read(self.conditions.scaled(READ_BYTES)))?)));
        }
        let produced = Cost::of(self.broker, &self.produce(PRODUCED_BYTES))?;
        costs.push((figures::PRODUCE_GROWTH, per_record(&produced)));
        Ok((costs, produced.report.records))
    }
}

/// Costs count in steps of ten milliseconds; nothing at all counts as one, so that something can be divided by it.
fn per_record(cost: &Cost) -> f64 {
    cost.spent.broker_cpu.max(0.01) / cost.report.records as f64
}
