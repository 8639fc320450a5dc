//! Record batches that are built once and sent many times. Called by the loads that produce.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_model::TimestampMs;
use millstream_model::batch::{Batch, BatchBuilder};
use millstream_model::compression::{Compression, CompressionType};

use crate::error::BenchError;

/// Values are windows of one text; this is how much longer it is than a value.
const TEXT_SPARE_BYTES: usize = 1 << 16;
/// About as many words as a log or a JSON document uses; lz4 makes half of them, zstd a third.
const WORDS: usize = 1000;

/// Batches that hold all keys take no more memory than this.
const KEYED_BYTES_MAX: usize = 256 << 20;

/// What a batch is filled with.
#[derive(Clone, Copy, Debug)]
pub struct BatchShape {
    /// Bytes of a record's value.
    pub record_bytes: usize,
    /// So many different keys, each as often as any other; records have none with 0.
    pub keys: u64,
    /// At most so many bytes before compression, and at least one record.
    pub batch_bytes: usize,
    pub compression: CompressionType,
}

/// Builds as many batches as it takes to send every key, one without keys. Records are stamped with the time of the
/// call, because Kafka deletes what is old.
pub(crate) fn build_all(shape: BatchShape) -> Result<Vec<Batch>, BenchError> {
    let text = text(shape.record_bytes + TEXT_SPARE_BYTES);
    let (mut batches, mut first_key, mut bytes) = (Vec::new(), 0, 0);
    loop {
        let batch = build(shape, &text, first_key)?;
        first_key += u64::try_from(batch.header().records_count).expect("a built batch has records");
        bytes += batch.bytes().len();
        batches.push(batch);
        if first_key >= shape.keys {
            return Ok(batches);
        }
        if bytes > KEYED_BYTES_MAX {
            let words =
                format!("batches with {} keys are too large to be held: fewer keys or smaller records", shape.keys);
            return Err(BenchError::Impossible(words));
        }
    }
}

/// Builds a batch whose first record has the key of this number.
fn build(shape: BatchShape, text: &[u8], first_key: u64) -> Result<Batch, BenchError> {
    let now = now();
    let mut builder = BatchBuilder::new(Compression::from(shape.compression));
    let mut before_last = builder.uncompressed_bytes();
    loop {
        let start = (builder.records_count() as usize * 7919) % TEXT_SPARE_BYTES;
        let value = &text[start..start + shape.record_bytes];
        let number = first_key + u64::try_from(builder.records_count()).expect("a count");
        let key = (shape.keys > 0).then(|| format!("key-{:012}", number % shape.keys));
        let key = key.as_deref().map(str::as_bytes);
        builder.append(now, key, Some(value), &[]).map_err(|error| BenchError::Impossible(error.to_string()))?;
        let (bytes, record) = (builder.uncompressed_bytes(), builder.uncompressed_bytes() - before_last);
        // A record grows by a byte when its offset delta needs one more.
        if bytes + record + 1 > shape.batch_bytes {
            return Ok(builder.build());
        }
        before_last = bytes;
    }
}

/// Text of words that repeat as words do, the same in every run.
fn text(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let words: Vec<String> =
        (0..WORDS).map(|_| (0..random.usize(2..10)).map(|_| random.lowercase()).collect()).collect();
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        // Squaring makes the first words frequent, and every tenth word is a number.
        let choice = random.f64();
        let index = (choice * choice * WORDS as f64) as usize;
        let number = random.u8(..) < 26;
        let written = if number { write!(text, "{} ", random.u32(..)) } else { write!(text, "{} ", words[index]) };
        written.expect("a string takes every write");
    }
    text.into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "a load generator is not simulated: its records carry the real time")]
fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(record_bytes: usize, batch_bytes: usize, compression: CompressionType) -> BatchShape {
        BatchShape { record_bytes, keys: 0, batch_bytes, compression }
    }

    fn build(shape: BatchShape) -> Result<Batch, BenchError> {
        build_all(shape).map(|batches| batches[0].clone())
    }

    #[test]
    fn a_batch_is_as_full_as_its_limit_allows() {
        for (record_bytes, batch_bytes) in [(1024, 1_000_000), (100, 16_384), (10, 1000)] {
            let batch = build(shape(record_bytes, batch_bytes, CompressionType::None)).unwrap();
            let size = batch.bytes().len();
            assert!(size <= batch_bytes && size + record_bytes + 20 > batch_bytes, "{size} of {batch_bytes}");
        }
    }

    #[test]
    fn a_batch_has_a_record_even_when_that_is_over_the_limit() {
        let batch = build(shape(1000, 1, CompressionType::None)).unwrap();
        assert_eq!(batch.header().records_count, 1);
    }

    #[test]
    fn every_codec_halves_the_text_more_or_less_and_reads_back() {
        for codec in CompressionType::ALL {
            let batch = build(shape(1024, 100_000, codec)).unwrap();
            assert_eq!(batch.header().compression(), codec);
            let plain = batch.decompressed(1 << 20).unwrap().len();
            let share = batch.records_bytes().len() as f64 / plain as f64;
            let expected = if codec == CompressionType::None { 1.0..=1.0 } else { 0.2..=0.75 };
            assert!(expected.contains(&share), "{codec} makes {share} of the text");
        }
    }

    #[test]
    fn every_key_is_sent_in_turn() {
        let keyed = BatchShape { keys: 25, ..shape(90, 1200, CompressionType::None) };
        let batches = build_all(keyed).unwrap();
        let mut keys = Vec::new();
        for batch in &batches {
            let records = batch.records_bytes();
            let records = millstream_model::batch::RecordIter::new(&records, batch.header().records_count);
            keys.extend(records.map(|record| String::from_utf8(record.unwrap().key.unwrap().to_vec()).unwrap()));
        }
        assert!(batches.len() > 1, "a batch alone does not hold them");
        let expected = ["key-000000000000", "key-000000000024", "key-000000000000"];
        assert_eq!([0, 24, 25].map(|place: usize| &*keys[place]), expected);
        let unheld = BatchShape { keys: 1 << 40, ..keyed };
        assert!(build_all(unheld).unwrap_err().to_string().contains("too large"));
    }
}
