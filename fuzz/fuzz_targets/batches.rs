//! Any bytes as what a client sends for a partition: refused, or a batch whose records can be read as the broker counted
//! them, under its own codec and another. The first byte says whether length, magic and CRC are made to fit, so that what
//! stands behind them is reached; the others are the batch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_model::TimestampMs;
use millstream_model::batch::{
    Batch, HEADER_BYTES, LENGTH_OVERHEAD_BYTES, MAGIC, RecordIter, RecordRules, TimestampType, at, validate_records,
};
use millstream_model::compression::Compression;
use millstream_model::crc32c;

const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;

fn made_to_fit(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= HEADER_BYTES {
        let length = (bytes.len() - LENGTH_OVERHEAD_BYTES) as i32;
        bytes[at::BATCH_LENGTH..at::BATCH_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
        bytes[at::MAGIC] = MAGIC as u8;
        let crc = crc32c(&bytes[at::ATTRIBUTES..]);
        bytes[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn count(batch: &Batch) -> usize {
    let records = batch.decompressed(DECOMPRESSED_BYTES_MAX).expect("what was walked can be decompressed");
    let records = RecordIter::new(&records, batch.header().records_count);
    records.inspect(|record| assert!(record.is_ok(), "{record:?} was walked")).count()
}

fuzz_target!(|input: &[u8]| {
    let [fit, bytes @ ..] = input else { return };
    let bytes = if fit & 1 == 1 { made_to_fit(bytes.to_vec()) } else { bytes.to_vec() };
    let Ok((batch, _)) = Batch::parse(bytes.into()) else { return };
    let rules = RecordRules {
        key_required: fit & 2 == 2,
        timestamp_type: TimestampType::CreateTime,
        now: TimestampMs(1_700_000_000_000),
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
    };
    if validate_records(&batch, &rules).is_err() {
        return;
    }
    assert_eq!(count(&batch), batch.header().records_count as usize);
    let again = batch.recompressed(Compression::Lz4, DECOMPRESSED_BYTES_MAX).expect("it was decompressed before");
    assert_eq!(count(&again), count(&batch));
});
