//! The load `e2e`: one record at a time, from sending it until a waiting consumer has it.
//!
//! One thread serves both connections, so no hand-over between threads of this process is measured: the fetch is out
//! before the record is sent, and its answer is read first. The acknowledgement is read after it.

use std::time::{Duration, Instant};

use millstream_protocol::ApiKey;
use millstream_protocol::fetch::FetchRequest;
use millstream_protocol::produce::ProduceRequest;

use crate::batch::{self, BatchShape};
use crate::cluster::{Cluster, LATEST, offset_for};
use crate::connection::{Connection, frame};
use crate::error::{AnswerErrors, BenchError};
use crate::fetch::{self, Seen};
use crate::histogram::Histogram;
use crate::produce;
use crate::progress::Progress;
use crate::quota::{Limit, Pace, Quota};
use crate::report::{Amount, Report, cpu_seconds};

const PRODUCE_VERSION_MAX: i16 = 12;
const FETCH_VERSION_MAX: i16 = 12;
/// So long that a fetch still waits when the next record is due, also at a slow rate.
const MAX_WAIT_MS: i32 = 30_000;
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// What to send, and how often. The records go to partition 0.
#[derive(Clone, Debug)]
pub struct EndToEnd {
    pub topic: String,
    /// 1 or -1 for all.
    pub acks: i16,
    pub record_bytes: usize,
    pub limit: Limit,
    /// Records per second; the next as soon as one has come with `None`.
    pub rate: Option<f64>,
}

impl EndToEnd {
    /// Runs the load. Blocks until it is over.
    pub fn run(&self, bootstrap: &str, progress: &Progress) -> Result<Report, BenchError> {
        if self.acks == 0 {
            return Err(BenchError::Impossible("e2e waits for acknowledgements: acks is 1 or -1".to_owned()));
        }
        let leaders = Cluster::open(bootstrap)?.leaders(&self.topic, Some(1))?;
        let mut trip = RoundTrip::open(self, &leaders[0].1)?;
        let (quota, cpu) = (Quota::new(self.limit, progress), cpu_seconds());
        let mut pace = Pace::new(quota.begun, self.rate, 1);
        let (mut latency, mut amount) = (Histogram::new(), Amount::default());
        while quota.take_request(Instant::now()) {
            trip.ask()?;
            wait_until(pace.due());
            let from = pace.sent(Instant::now());
            let arrived = trip.send()?;
            latency.record(arrived.saturating_duration_since(from));
            amount += Amount { requests: 1, records: 1, bytes: trip.batch_bytes };
            quota.answered(trip.batch_bytes);
        }
        let mut report = Report::new("e2e", quota.begun.elapsed(), amount, latency.summary(), cpu_seconds() - cpu);
        report.payload_bytes = Some(amount.records * self.record_bytes as u64);
        Ok(report)
    }
}

/// Waits exactly: the end of a sleep is tens of microseconds late.
fn wait_until(due: Option<Instant>) {
    let Some(due) = due else { return };
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match left.checked_sub(Duration::from_micros(100)) {
            Some(long) => std::thread::park_timeout(long),
            None if left.is_zero() => return,
            None => std::hint::spin_loop(),
        }
    }
}

/// A producer and a consumer of one partition.
struct RoundTrip<'a> {
    load: &'a EndToEnd,
    producer: Connection,
    consumer: Connection,
    produce_version: i16,
    fetch_version: i16,
    request: ProduceRequest,
    batch_bytes: u64,
    /// The next record that the consumer has not got.
    next: i64,
}

impl<'a> RoundTrip<'a> {
    fn open(load: &'a EndToEnd, leader: &str) -> Result<Self, BenchError> {
        let shape = BatchShape {
            record_bytes: load.record_bytes,
            keys: 0,
            batch_bytes: 1,
            compression: millstream_model::compression::CompressionType::None,
        };
        let batch = batch::build_all(shape)?.swap_remove(0);
        let (producer, mut consumer) = (Connection::open(leader)?, Connection::open(leader)?);
        Ok(Self {
            load,
            produce_version: producer.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?,
            fetch_version: consumer.version::<FetchRequest>(FETCH_VERSION_MAX)?,
            next: offset_for(&mut consumer, &load.topic, 0, LATEST)?,
            request: produce::request(&load.topic, &[0], load.acks, batch.bytes()),
            batch_bytes: batch.bytes().len() as u64,
            producer,
            consumer,
        })
    }

    /// Sends the fetch that the next record will answer.
    fn ask(&mut self) -> Result<(), BenchError> {
        let request = fetch::request(&self.load.topic, 0, self.next, FETCH_BYTES_MAX, 1, MAX_WAIT_MS);
        self.consumer.queue(&frame(&request, self.fetch_version, 0)?);
        self.consumer.send_some()
    }

    /// Sends a record and waits until it has come; when that was. Its acknowledgement has come too then.
    fn send(&mut self) -> Result<Instant, BenchError> {
        self.producer.queue(&frame(&self.request, self.produce_version, 0)?);
        self.producer.send_some()?;
        let expected = self.next + 1;
        let mut errors = AnswerErrors::default();
        let arrived = loop {
            let answer = self.consumer.receive(ApiKey::Fetch)?;
            let arrived = Instant::now();
            let records = fetch::read(&self.consumer, &answer, self.fetch_version, &mut errors)?.unwrap_or_default();
            errors = check(errors)?;
            let seen = Seen::walk(&records, self.next).map_err(|reason| self.malformed(reason))?;
            self.next = seen.next;
            if self.next >= expected {
                break arrived;
            }
            // The broker's patience ended before the record came.
            self.ask()?;
        };
        self.acknowledged(expected - 1)?;
        Ok(arrived)
    }

    fn acknowledged(&mut self, offset: i64) -> Result<(), BenchError> {
        let answer = self.producer.receive(ApiKey::Produce)?;
        let response = self.producer.read_body::<ProduceRequest>(&answer, self.produce_version)?;
        let partition = response.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let partition = partition.ok_or_else(|| self.malformed("no acknowledgement".to_owned()))?;
        let error = BenchError::answered("Produce", partition.error_code, partition.error_message.as_deref());
        if let Some(error) = error {
            return Err(error);
        }
        if partition.base_offset != offset {
            let words = format!("record {offset} came back as {}: somebody else produces", partition.base_offset);
            return Err(BenchError::Impossible(words));
        }
        Ok(())
    }

    fn malformed(&self, reason: String) -> BenchError {
        BenchError::Malformed { address: self.consumer.address.clone(), api: "Fetch", reason }
    }
}

fn check(errors: AnswerErrors) -> Result<AnswerErrors, BenchError> {
    errors.into_result().map(|()| AnswerErrors::default())
}
