//! Logs from elsewhere: whole, compacted, torn, lying, old; opened by the storage and exported again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_model::batch::{Batch, ControlRecord, ControlRecordType};
use millstream_model::{ProducerEpoch, TimestampMs};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::disk::FileDisk;
use crate::log::config::LogConfig;
use crate::log::partition_log::{AppendOrigin, LogOffsets, ReadUpto};
use crate::open::StorageOptions;
use crate::segments::kafka::KAFKA_DIR;
use crate::storage::Storage;
use crate::tests::{batch_of, plain, spec, stamp};

/// A Kafka directory `t-0` with one file per segment.
struct Source {
    dir: TempDir,
}

impl Source {
    fn new(segments: &[(i64, &[Batch])]) -> Self {
        let source = Self { dir: tempfile::tempdir().unwrap() };
        for (base, batches) in segments {
            let bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
            fs::write(source.file(*base), bytes).unwrap();
        }
        source
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, base: i64) -> PathBuf {
        self.dir.path().join(format!("{base:020}.log"))
    }

    fn import(&self, to: &Path, sure_below: i64) -> Result<CopiedLog, ExchangeError> {
        let topic_id = spec("t", LogConfig::default()).topic_id;
        import_log(self.path(), &to.join(KAFKA_DIR).join("t-0"), topic_id, Offset(sure_below), &mut |_| {})
    }

    fn refusal(&self, sure_below: i64) -> String {
        let target = tempfile::tempdir().unwrap();
        let error = self.import(target.path(), sure_below).unwrap_err().to_string();
        error.replace(&format!("{}/", self.path().display()), "")
    }
}

fn at(offset: i64, epoch: i32) -> Batch {
    plain(&["some value"], 100 + offset).placed(Offset(offset), LeaderEpoch(epoch))
}

fn run(offsets: impl IntoIterator<Item = i64>) -> Vec<Batch> {
    offsets.into_iter().map(|offset| at(offset, 0)).collect()
}

async fn open(dir: &Path, epoch: Option<i32>) -> Storage {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir, 2).unwrap());
    if let Some(epoch) = epoch {
        begin_at_epoch(disk.as_ref(), LeaderEpoch(epoch)).await.unwrap();
    }
    let options = StorageOptions::new("c".to_owned(), millstream_model::BrokerId(1), Uuid::new_v4());
    let clock = Arc::new(SystemClock::new());
    let (storage, report) = Storage::open(options, disk, clock, vec![spec("t", LogConfig::default())]).await.unwrap();
    assert!(report.clean && report.offline.is_empty() && report.moved_aside.is_empty(), "{report:?}");
    storage
}

fn log_of(storage: &Storage) -> Arc<Partition> {
    let spec = spec("t", LogConfig::default());
    storage.partition(spec.topic_id, spec.index).unwrap()
}

#[tokio::test]
async fn a_log_goes_on_where_kafkas_ended_in_a_later_epoch() {
    let source = Source::new(&[(5, &run(5..8)), (8, &[at(8, 3)])]);
    let target = tempfile::tempdir().unwrap();
    let copied = source.import(target.path(), i64::MAX).unwrap();
    assert_eq!((copied.first, copied.next, copied.batches), (Offset(5), Offset(9), 4));
    assert_eq!((copied.newest_epoch, copied.cut_bytes), (LeaderEpoch(3), 0));
    let storage = open(target.path(), Some(4)).await;
    let log = log_of(&storage);
    assert_eq!((log.offsets().log_start, log.offsets().high_watermark), (Offset(5), Offset(9)));
    let appended = log.append([plain(&["more"], 0)], AppendOrigin::Client, TimestampMs(0)).unwrap();
    assert_eq!(appended.base_offset, Offset(9));
    appended.durable().await.unwrap();
    assert_eq!(
        log.state().epochs.entries(),
        [(LeaderEpoch(0), Offset(5)), (LeaderEpoch(3), Offset(8)), (LeaderEpoch(4), Offset(9))]
    );
    storage.close().await.unwrap();
    drop((log, storage));
    let storage = open(target.path(), None).await;
    assert_eq!(log_of(&storage).offsets().log_end, Offset(10));
    storage.close().await.unwrap();
}

/// A compacted log has holes, also at the end of a segment; the one after it may have no batch yet.
#[tokio::test]
async fn offsets_that_compaction_took_away_are_not_given_again() {
    let source = Source::new(&[(0, &run([1, 4])), (20, &run([27])), (40, &[])]);
    let target = tempfile::tempdir().unwrap();
    assert_eq!(source.import(target.path(), i64::MAX).unwrap().next, Offset(40));
    let storage = open(target.path(), Some(1)).await;
    let log = log_of(&storage);
    assert_eq!((log.offsets().log_start, log.offsets().log_end), (Offset(0), Offset(40)));
    let appended = log.append([plain(&["more"], 0)], AppendOrigin::Client, TimestampMs(0)).unwrap();
    assert_eq!(appended.base_offset, Offset(40));
    appended.durable().await.unwrap();
    storage.close().await.unwrap();
    drop((log, storage));
    let storage = open(target.path(), None).await;
    let read = log_of(&storage).read(Offset(28), 1 << 20, true, ReadUpto::HighWatermark).await.unwrap();
    let first = Batch::parse(read.records[0].clone()).unwrap().0;
    assert_eq!(first.header().base_offset, Offset(40));
    storage.close().await.unwrap();
}

fn marker(kind: ControlRecordType, producer: i64, offset: i64) -> Batch {
    let record = ControlRecord { kind, coordinator_epoch: 0 };
    record.into_batch(ProducerId(producer), ProducerEpoch(0), TimestampMs(9)).placed(Offset(offset), LeaderEpoch(0))
}

fn in_transaction(producer: i64, sequence: i32, offset: i64) -> Batch {
    let stamp = millstream_model::batch::ProducerStamp { transactional: true, ..stamp(producer, 0, sequence) };
    batch_of(&["v"], 5, stamp).placed(Offset(offset), LeaderEpoch(0))
}

#[tokio::test]
async fn transactions_are_as_they_were_open_ones_too() {
    let (abort, commit) = (ControlRecordType::Abort, ControlRecordType::Commit);
    let batches = [
        in_transaction(7, 0, 0),
        marker(abort, 7, 1),
        in_transaction(7, 1, 2),
        in_transaction(8, 0, 3),
        marker(commit, 7, 4),
    ];
    let source = Source::new(&[(0, &batches)]);
    let target = tempfile::tempdir().unwrap();
    let copied = source.import(target.path(), i64::MAX).unwrap();
    assert_eq!(copied.newest_producer, ProducerId(8));
    let storage = open(target.path(), Some(1)).await;
    let log = log_of(&storage);
    let LogOffsets { high_watermark, last_stable, .. } = log.offsets();
    assert_eq!((high_watermark, last_stable), (Offset(5), Offset(3)));
    let read = log.read(Offset(0), 1 << 20, true, ReadUpto::LastStable).await.unwrap();
    let aborted: Vec<_> = read.aborted.iter().map(|one| (one.producer_id, one.first_offset, one.last_offset)).collect();
    assert_eq!(aborted, [(ProducerId(7), Offset(0), Offset(1))]);
    // The next sequence of the producer whose transaction is open.
    let next = millstream_model::batch::ProducerStamp { transactional: true, ..stamp(8, 0, 1) };
    let appended = log.append([batch_of(&["v"], 5, next)], AppendOrigin::Client, TimestampMs(0)).unwrap();
    assert_eq!(appended.base_offset, Offset(5));
    storage.close().await.unwrap();
}

#[test]
fn what_is_damaged_is_named_and_never_cut_below_what_was_synced() {
    let batches = run(0..4);
    let size = batches[0].bytes().len();
    let check = |change: &dyn Fn(&mut Vec<u8>), complaint: &str| {
        let source = Source::new(&[(0, &batches), (4, &run(4..6))]);
        let mut bytes = fs::read(source.file(0)).unwrap();
        change(&mut bytes);
        fs::write(source.file(0), bytes).unwrap();
        for sure_below in [i64::MAX, 3] {
            let said = source.refusal(sure_below);
            let place = format!("00000000000000000000.log is damaged at position {}: ", 2 * size);
            assert!(said.starts_with(&place) && said.contains(complaint), "{said}");
        }
        let target = tempfile::tempdir().unwrap();
        let copied = source.import(target.path(), 2).unwrap();
        assert_eq!((copied.next, copied.batches), (Offset(2), 2));
        let lengths: u64 = [0, 4].map(|base| fs::metadata(source.file(base)).unwrap().len()).iter().sum();
        assert_eq!(copied.cut_bytes, lengths - 2 * size as u64);
        assert!(!target.path().join(KAFKA_DIR).join("t-0").join(source.file(4).file_name().unwrap()).exists());
    };
    check(&|bytes| bytes[2 * size + 70] ^= 1, "crc");
    check(&|bytes| bytes.truncate(3 * size - 1), "are there");
    check(&|bytes| bytes.truncate(2 * size + 20), "ends after");
    check(&|bytes| bytes[2 * size + 8..2 * size + 12].copy_from_slice(&i32::MAX.to_be_bytes()), "are there");
    check(&|bytes| bytes[2 * size + 8..2 * size + 12].copy_from_slice(&(-1_i32).to_be_bytes()), "length");
    check(&|bytes| bytes[2 * size..2 * size + 8].fill(0), "a batch at offset 0 where 2 is due");
}

#[test]
fn no_cut_and_no_flip_makes_it_panic() {
    let batches = run(0..3);
    let whole: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
    let source = Source::new(&[(0, &[])]);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x80;
        for bytes in [&whole[..at], &flipped] {
            fs::write(source.file(0), bytes).unwrap();
            let target = tempfile::tempdir().unwrap();
            // A changed epoch, or a higher offset in a log with holes, nobody can tell.
            if let Err(error) = source.import(target.path(), i64::MAX) {
                let known = matches!(error, ExchangeError::Damaged { .. } | ExchangeError::OldFormat { .. });
                assert!(known, "{at}: {error}");
            }
        }
    }
}

#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let mut old = at(0, 0).bytes().to_vec();
    old[16] = 1;
    let source = Source::new(&[]);
    fs::write(source.file(0), &old).unwrap();
    let said = source.refusal(0);
    assert!(said.starts_with("00000000000000000000.log has records of message format 1 at position 0"), "{said}");
    for (name, complaint) in [
        ("00000000000000000000.log.swap", "was left by a compaction that did not end"),
        ("00000000000000000000.remote_log_metadata", "belongs to tiered storage"),
    ] {
        let source = Source::new(&[(0, &run(0..1))]);
        fs::write(source.path().join(name), b"").unwrap();
        let said = source.refusal(0);
        assert!(said.starts_with(&format!("{name} {complaint}")), "{said}");
    }
}

#[test]
fn what_kafka_was_about_to_remove_is_passed_over() {
    let source = Source::new(&[(3, &run(3..5))]);
    for name in ["00000000000000000000.log.deleted", "00000000000000000003.log.cleaned"] {
        fs::write(source.path().join(name), b"x").unwrap();
    }
    let target = tempfile::tempdir().unwrap();
    assert_eq!(source.import(target.path(), i64::MAX).unwrap().first, Offset(3));
}

#[tokio::test]
async fn an_export_holds_the_same_batches_and_what_kafka_looks_for() {
    let source = Source::new(&[(0, &run(0..200)), (200, &run(200..210))]);
    let data = tempfile::tempdir().unwrap();
    source.import(data.path(), i64::MAX).unwrap();
    let storage = open(data.path(), Some(2)).await;
    let log = log_of(&storage);
    let sent = batch_of(&["v"], 999, stamp(7, 0, 0));
    log.append([sent], AppendOrigin::Client, TimestampMs(0)).unwrap().durable().await.unwrap();
    let state = log.state();
    storage.close().await.unwrap();
    let (from, out) = (data.path().join(KAFKA_DIR).join("t-0"), tempfile::tempdir().unwrap());
    let to = out.path().join("t-0");
    let topic_id = spec("t", LogConfig::default()).topic_id;
    let exported = export_log(&from, &to, topic_id, &state, 4096, &mut |_| {}).unwrap();
    assert_eq!((exported.first, exported.next), (Offset(0), Offset(211)));
    for base in [0, 200] {
        let name = format!("{base:020}.log");
        assert_eq!(fs::read(from.join(&name)).unwrap(), fs::read(to.join(&name)).unwrap());
    }
    let newest = fs::read(to.join("00000000000000000200.timeindex")).unwrap();
    let newest = newest.last_chunk::<12>().unwrap();
    assert_eq!(
        (newest[..8].to_vec(), newest[8..].to_vec()),
        (999_i64.to_be_bytes().to_vec(), 10_u32.to_be_bytes().to_vec())
    );
    assert_eq!(fs::read_to_string(to.join(LEADER_EPOCH_FILE)).unwrap(), "0\n2\n0 0\n2 210\n");
    assert_eq!(fs::metadata(to.join("00000000000000000211.snapshot")).unwrap().len(), 10 + 46);
    assert_eq!(topic_id_in(&to).unwrap(), Some(topic_id));
    // Not the state of these files.
    let again = out.path().join("again");
    let error = export_log(&from, &again, topic_id, &LogState::default(), 4096, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExchangeError::EndsElsewhere { found: Offset(211), expected: Offset(0), .. }), "{error}");
}

#[test]
fn a_partition_without_files_is_exported_with_an_empty_segment_at_its_end() {
    let out = tempfile::tempdir().unwrap();
    let mut state = LogState::default();
    state.start_at(Offset(50));
    let topic_id = spec("t", LogConfig::default()).topic_id;
    export_log(&out.path().join("none"), &out.path().join("t-0"), topic_id, &state, 4096, &mut |_| {}).unwrap();
    let mut names: Vec<_> = fs::read_dir(out.path().join("t-0"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let base = "00000000000000000050";
    let files = ["index", "log", "snapshot", "timeindex"].map(|kind| format!("{base}.{kind}"));
    assert_eq!(names[..4], files);
}
