//! What the broker's parts hold or count themselves, asked for whenever somebody looks.

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use millstream_storage::{CleanerMetrics, StorageMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::shown::Shown;
use crate::Broker;

#[derive(Debug)]
pub(super) struct Readings {
    pub(super) broker: Weak<Broker>,
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(broker) = self.broker.upgrade() else { return Ok(()) };
        let mut shown = Shown(&mut encoder);
        let storage = broker.storage().metrics();
        show_broker(&mut shown, &broker)?;
        show_appends(&mut shown, &storage)?;
        show_lane(&mut shown, &storage)?;
        show_segments(&mut shown, &storage)?;
        show_reads(&mut shown, &storage)?;
        show_cleaner(&mut shown, &storage.cleaner)
    }
}

fn show_broker(shown: &mut Shown<'_, '_>, broker: &Broker) -> fmt::Result {
    let (requests, answers) = (broker.request_memory().free_bytes(), broker.answer_memory().free_bytes());
    shown.gauge("connections", "Connections open now", broker.connections().open() as u64)?;
    let image = broker.image();
    let partitions: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    shown.gauge("topics", "Topics", image.topics().count() as u64)?;
    shown.gauge("partitions", "Partitions of all topics", partitions as u64)?;
    shown.gauge("fetch_sessions", "Incremental fetch sessions (KIP-227)", broker.fetch_sessions().len() as u64)?;
    shown.gauge("request_memory_free_bytes", "Request memory not in use", requests as u64)?;
    shown.gauge("answer_memory_free_bytes", "Answer memory not in use", answers as u64)?;
    shown.gauges("groups", "Groups that were asked for since the start", "state", &broker.groups().count_by_state())
}

fn show_appends(shown: &mut Shown<'_, '_>, storage: &StorageMetrics) -> fmt::Result {
    let refused = [("space", storage.refused_for_space), ("load", storage.refused_for_load)];
    shown.counter("appended_batches", "Record batches appended", storage.appended_batches)?;
    shown.counter("appended_bytes", "Bytes of record batches appended", storage.appended_bytes)?;
    shown.counters("appends_refused", "Appends refused: no space, or too much waits", "reason", &refused)?;
    let no_space = u64::from(storage.no_space);
    shown.gauge("storage_no_space", "1 while producers are refused for want of disk space", no_space)?;
    shown.gauge("storage_pending_bytes", "Bytes appended and not yet in segments", storage.pending_bytes)
}

fn show_lane(shown: &mut Shown<'_, '_>, storage: &StorageMetrics) -> fmt::Result {
    let space = storage.slot_space;
    shown.counter("lane_slots_written", "Slots written to the lane", storage.slots_written)?;
    shown.counter("lane_bytes_written", "Bytes of slots written to the lane", storage.slot_bytes_written)?;
    shown.times("lane_write_seconds", "Time of a slot's synced write", &storage.slot_times)?;
    shown.gauge("lane_files", "Files of the lane", space.files)?;
    shown.gauge("lane_file_bytes", "Bytes of the lane's files", space.bytes)?;
    shown.gauge("lane_used_bytes", "Bytes of slots that a recovery would need", space.used_bytes)?;
    shown.gauge("materialiser_lag_bytes", "Bytes of slots not yet in segments", storage.unsettled_bytes)?;
    let lag = storage.unsettled_for.as_secs_f64();
    shown.decimal("materialiser_lag_seconds", "How long the oldest durable slot waits for its segments", lag)
}

fn show_segments(shown: &mut Shown<'_, '_>, storage: &StorageMetrics) -> fmt::Result {
    let (fsync, os) = (&storage.direct_fsync, &storage.direct_os);
    let bytes = [("fsync", fsync.bytes), ("os", os.bytes)];
    let times = [("fsync", &fsync.times), ("os", &os.times)];
    shown.counters("direct_written_bytes", "Bytes written to segments without the lane", "durability", &bytes)?;
    shown.all_times("direct_write_seconds", "Time of a write without the lane", "durability", &times)?;
    shown.counter("storage_checkpoints", "Checkpoints taken", storage.checkpoints)?;
    shown.times("checkpoint_seconds", "Time from a checkpoint's beginning to its end", &storage.checkpoint_times)?;
    let age = storage.uncheckpointed_for.as_secs_f64();
    shown.decimal("checkpoint_age_seconds", "Age of the oldest change that no checkpoint covers", age)?;
    shown.gauge("partitions_offline", "Partitions whose data cannot be trusted", storage.partitions_offline)
}

fn show_reads(shown: &mut Shown<'_, '_>, storage: &StorageMetrics) -> fmt::Result {
    let disk = storage.disk;
    shown.gauge("tail_bytes", "Bytes of the newest batches kept in memory", storage.tail_bytes)?;
    shown.counter("tail_hits", "Reads answered from memory", storage.tail_hits)?;
    shown.counter("tail_misses", "Reads that needed segments", storage.tail_misses)?;
    shown.counter("page_cache_hits", "Reads of segments answered from the page cache", disk.cache_hits)?;
    shown.counter("page_cache_misses", "Reads of segments that an I/O thread did", disk.cache_misses)?;
    let bypassed = disk.cache_bypassed_bytes;
    shown.counter("page_cache_bypassed_bytes", "Bytes written past the page cache", bypassed)?;
    shown.gauge("disk_queue_length", "Operations that wait for an I/O thread", disk.queued)?;
    shown.gauge("storage_open_files", "Files of the storage that are open", disk.open_files)
}

fn show_cleaner(shown: &mut Shown<'_, '_>, cleaner: &CleanerMetrics) -> fmt::Result {
    let seconds = |milliseconds| Duration::from_millis(milliseconds).as_secs_f64();
    let share = |percent: u64| percent as f64 / 100.0;
    shown.counter("cleaner_runs", "Cleanings of logs", cleaner.runs)?;
    shown.counter("cleaner_read_bytes", "Bytes of record batches read to be cleaned", cleaner.read_bytes)?;
    shown.counter("cleaner_written_bytes", "Bytes of record batches that were left of them", cleaner.written_bytes)?;
    let last = seconds(cleaner.last_run_ms);
    shown.decimal("cleaner_last_run_seconds", "Time that the newest cleaning of a log took", last)?;
    let idle = seconds(cleaner.idle_ms);
    shown.decimal("cleaner_idle_seconds", "Time since the cleaner last looked for work or was at it", idle)?;
    let dirty = share(cleaner.dirty_percent_max);
    shown.decimal("cleaner_dirty_ratio_max", "Largest uncleaned share of a compacted log", dirty)?;
    let buffer = share(cleaner.map_percent);
    shown.decimal("cleaner_buffer_ratio", "How full the newest cleaning's memory for keys was", buffer)?;
    let uncleanable = cleaner.uncleanable_partitions;
    shown.gauge("cleaner_uncleanable_partitions", "Partitions that cannot be cleaned", uncleanable)
}
