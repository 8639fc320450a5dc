//! What a batch costs: reading its head, its CRC, walking and validating its records, building it, and each codec.
//! `cargo bench -p millstream-model`; a name behind `--` picks some.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream_model::batch::{
    Batch, BatchBuilder, BatchHeader, RecordIter, RecordRules, TimestampType, validate_records,
};
use millstream_model::compression::{Compression, CompressionType, decompress};
use millstream_model::{LeaderEpoch, Offset, TimestampMs};

/// 16 KiB is what the Java producer sends, a megabyte what a broker takes at most by default.
const BATCH_BYTES: [(&str, usize); 2] = [("16 KiB", 16 << 10), ("1 MB", 1_000_000)];
const BYTES_MAX: usize = 4 << 20;

/// Records of 100 B of words that repeat as words do.
fn batch(bytes: usize, codec: CompressionType) -> Batch {
    let mut builder = BatchBuilder::new(Compression::from(codec));
    let words = ["order", "customer", "amount", "currency", "created", "status", "shipped", "pending"];
    let mut number: usize = 0;
    while builder.uncompressed_bytes() + 120 < bytes {
        let mut value = String::new();
        while value.len() < 90 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value += words[(number >> 33) % words.len()];
            value += if number >> 60 == 0 { "=17," } else { "," };
        }
        let key = format!("key-{}", (number >> 33) % 10_000);
        let record = builder.append(TimestampMs(1), Some(key.as_bytes()), Some(value.as_bytes()), &[]);
        record.expect("the batch has room");
    }
    builder.build()
}

fn heads(criterion: &mut Criterion) {
    let whole = batch(16 << 10, CompressionType::None);
    let mut group = criterion.benchmark_group("head");
    group.bench_function("read", |bench| bench.iter(|| BatchHeader::read(black_box(whole.bytes()))));
    group.bench_function("place at an offset", |bench| {
        bench.iter(|| black_box(&whole).placed(Offset(1 << 40), LeaderEpoch(7)));
    });
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let rules = RecordRules {
        key_required: true,
        timestamp_type: TimestampType::CreateTime,
        now: TimestampMs(1),
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        decompressed_bytes_max: BYTES_MAX,
    };
    for (name, bytes) in BATCH_BYTES {
        let whole = batch(bytes, CompressionType::None);
        let (plain, count) = (whole.records_bytes(), whole.header().records_count);
        let mut group = criterion.benchmark_group(format!("records, {name}"));
        group.throughput(Throughput::Bytes(whole.bytes().len() as u64));
        group.bench_function("parse with CRC", |bench| bench.iter(|| Batch::parse(black_box(whole.bytes()).clone())));
        group.bench_function("iterate", |bench| {
            bench.iter(|| RecordIter::new(black_box(&plain), count).filter(Result::is_ok).count());
        });
        group.bench_function("validate", |bench| bench.iter(|| validate_records(black_box(&whole), &rules)));
        group.bench_function("build", |bench| bench.iter(|| batch(black_box(bytes), CompressionType::None)));
        group.finish();
    }
}

fn codecs(criterion: &mut Criterion) {
    let (_, bytes) = BATCH_BYTES[0];
    let plain = batch(bytes, CompressionType::None).records_bytes();
    for codec in CompressionType::ALL.into_iter().filter(|codec| *codec != CompressionType::None) {
        let compressed = batch(bytes, codec).records_bytes();
        let mut group = criterion.benchmark_group(format!("{codec}, 16 KiB"));
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function("compress", |bench| {
            let room = || Vec::with_capacity(plain.len());
            let pack = |mut out: Vec<u8>| {
                let packed =
                    millstream_model::compression::compress(Compression::from(codec), &mut &plain[..], &mut out);
                packed.expect("memory takes every write");
                out
            };
            bench.iter_batched(room, pack, BatchSize::SmallInput);
        });
        group.bench_function("decompress", |bench| {
            bench.iter(|| decompress(codec, Bytes::clone(black_box(&compressed)), BYTES_MAX));
        });
        group.finish();
    }
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
    targets = heads, records, codecs
}
criterion_main!(benches);
