//! What an append and a read cost, without sockets: through the storage's façade, on a real disk.
//! `cargo bench -p millstream-storage`; a name behind `--` picks some. Figures of `fsync` are the disk's.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_model::batch::{Batch, BatchBuilder};
use millstream_model::compression::Compression;
use millstream_model::{BrokerId, Offset, PartitionIndex, TimestampMs, TopicId};
use millstream_storage::{
    AppendOrigin, Durability, FileDisk, LogConfig, Partition, PartitionSpec, ReadUpto, Storage, StorageOptions,
    SystemClock,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const NOW: TimestampMs = TimestampMs(1);
/// Batches of 4 KiB behind which a read has to find its place.
const BATCHES: i64 = 8192;

/// A storage over a folder of its own, below the build folder so that it is no memory disk.
struct Opened {
    runtime: Runtime,
    storage: Storage,
    folder: TempDir,
}

impl Opened {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        Self::over(folder, Vec::new())
    }

    fn over(folder: TempDir, partitions: Vec<PartitionSpec>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let options = StorageOptions::new("bench".to_owned(), BrokerId(1), uuid::Uuid::new_v4());
        let disk = Arc::new(FileDisk::open(folder.path(), 2).expect("a disk"));
        let opened = runtime.block_on(Storage::open(options, disk, Arc::new(SystemClock::default()), partitions));
        let (storage, _) = opened.expect("the folder is in order");
        Self { runtime, storage, folder }
    }

    fn partition(&self, spec: PartitionSpec) -> Arc<Partition> {
        self.storage.create_partition_if(|| Some(spec)).expect("it is wanted")
    }

    /// Appends, and waits until that is acknowledged.
    fn append(&self, partition: &Arc<Partition>, batch: &Batch) {
        let appended = partition.append([batch.clone()], AppendOrigin::Client, NOW).expect("it is taken");
        self.runtime.block_on(appended.durable()).expect("it is written");
    }

    fn read(&self, partition: &Arc<Partition>, from: Offset, bytes: usize) -> usize {
        let slice = self.runtime.block_on(partition.read(from, bytes, true, ReadUpto::HighWatermark));
        slice.expect("the offset is there").bytes()
    }

    fn close(self) -> TempDir {
        self.runtime.block_on(self.storage.close()).expect("it closes");
        self.folder
    }
}

fn spec(number: u128, durability: Durability) -> PartitionSpec {
    PartitionSpec {
        topic_id: TopicId(uuid::Uuid::from_u128(number)),
        topic: Arc::from(format!("bench-{number}")),
        index: PartitionIndex(0),
        config: LogConfig { durability, ..LogConfig::default() },
    }
}

/// One record that fills a batch of about so many bytes.
fn batch(bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(NOW, None, Some(&vec![7; bytes - 80]), &[]).expect("there is room");
    builder.build()
}

fn appends(criterion: &mut Criterion) {
    let opened = Opened::new();
    let mut group = criterion.benchmark_group("append");
    let mut number = 0;
    for (name, durability) in [("os", Durability::Os), ("fsync", Durability::Fsync)] {
        for (size, bytes) in [("100 B", 100), ("16 KiB", 16 << 10)] {
            number += 1;
            let (partition, batch) = (opened.partition(spec(number, durability)), batch(bytes));
            group.throughput(Throughput::Bytes(batch.bytes().len() as u64));
            group.bench_function(format!("{name}, {size}"), |bench| bench.iter(|| opened.append(&partition, &batch)));
        }
    }
    group.finish();
    drop(opened.close());
}

fn reads(criterion: &mut Criterion) {
    let (opened, small) = (Opened::new(), batch(4096));
    let old = opened.partition(spec(1, Durability::Os));
    for _ in 0..BATCHES {
        opened.append(&old, &small);
    }
    drop(old);
    // What a storage has just taken it reads from memory; what it finds at its start it reads from segments.
    let opened = Opened::over(opened.close(), vec![spec(1, Durability::Os)]);
    let old = opened.storage.partition(spec(1, Durability::Os).topic_id, PartitionIndex(0)).expect("it was found");
    let fresh = opened.partition(spec(2, Durability::Os));
    opened.append(&fresh, &small);
    let mut random = fastrand::Rng::with_seed(1);
    let mut group = criterion.benchmark_group("read");
    group.bench_function("one batch anywhere: index and segment", |bench| {
        bench.iter(|| opened.read(&old, Offset(random.i64(0..BATCHES / 2)), 1));
    });
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("1 MiB from a segment", |bench| {
        bench.iter(|| opened.read(&old, Offset(random.i64(0..BATCHES / 2)), 1 << 20));
    });
    group.throughput(Throughput::Bytes(small.bytes().len() as u64));
    group.bench_function("append a batch and read it from the tail", |bench| {
        bench.iter(|| {
            opened.append(&fresh, &small);
            let end = fresh.offsets().log_end;
            opened.read(black_box(&fresh), Offset(end.0 - 1), 1)
        });
    });
    group.finish();
    drop(opened.close());
}

/// Short: a second for each, which tells a tenth more or less apart.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = appends, reads
}
criterion_main!(benches);
