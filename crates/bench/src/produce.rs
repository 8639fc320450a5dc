//! The load `produce`: prebuilt batches to one topic, over connections that keep several requests in flight.

use bytes::Bytes;
use millstream_model::batch::Batch;
use millstream_protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millstream_protocol::{ApiKey, Frame};

use crate::assignment::{Assignment, assign};
use crate::batch::{self, BatchShape};
use crate::cluster::Cluster;
use crate::connection::{Answer, Connection, PATIENCE, frame};
use crate::error::{AnswerErrors, BenchError};
use crate::pipeline::{Exchange, Outcome, Pipeline};
use crate::progress::Progress;
use crate::quota::{Limit, Pace, Quota};
use crate::report::{Amount, Report, cpu_seconds};

/// The last version that names topics instead of giving their ids.
const VERSION_MAX: i16 = 12;

/// What to send where.
#[derive(Clone, Debug)]
pub struct Produce {
    pub topic: String,
    /// The first so many partitions of the topic; all with `None`.
    pub partitions: Option<i32>,
    pub connections: usize,
    /// Requests that wait for their answers, per connection.
    pub in_flight: usize,
    /// 0, 1 or -1 for all.
    pub acks: i16,
    pub shape: BatchShape,
    pub limit: Limit,
    /// Requests per second over all connections; as fast as answers come with `None`.
    pub rate: Option<f64>,
}

impl Produce {
    /// Runs the load. Blocks until it is over.
    pub fn run(&self, bootstrap: &str, progress: &Progress) -> Result<Report, BenchError> {
        let batch = batch::build(self.shape)?;
        let leaders = Cluster::open(bootstrap)?.leaders(&self.topic, self.partitions)?;
        let assignments = assign(&leaders, self.connections)?;
        let open = |assignment: &Assignment| Connection::open(&assignment.address);
        let mut connections = assignments.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let (quota, cpu) = (Quota::new(self.limit_in_requests(&batch), progress), cpu_seconds());
        let (amount, latency) =
            Outcome::of_each(connections.iter_mut().zip(&assignments), |(connection, assignment)| {
                self.send(connection, assignment, &batch, &quota)
            })?;
        let took = quota.begun.elapsed();
        let mut report = Report::new("produce", took, amount, latency.summary(), cpu_seconds() - cpu);
        report.payload_bytes = Some(amount.records * self.shape.record_bytes as u64);
        Ok(report)
    }

    /// Whole batches only, so that the amount does not depend on how many are in flight.
    fn limit_in_requests(&self, batch: &Batch) -> Limit {
        let by_bytes = self.limit.bytes.map(|bytes| bytes.div_ceil(batch.bytes().len() as u64));
        let requests = [by_bytes, self.limit.requests].into_iter().flatten().min();
        Limit { bytes: None, requests, duration: self.limit.duration }
    }

    fn send(
        &self,
        connection: &mut Connection,
        assignment: &Assignment,
        batch: &Batch,
        quota: &Quota<'_>,
    ) -> Result<Outcome, BenchError> {
        let pace = Pace::new(quota.begun, self.rate, self.connections);
        let batches = Batches::new(self, connection, assignment, batch)?;
        let outcome = Pipeline::new(connection, batches, quota, pace, self.in_flight).run()?;
        if self.acks == 0 {
            // Requests of a connection are handled in order: when this is answered, everything before it was taken.
            connection.call(&millstream_protocol::api_versions::ApiVersionsRequest::default(), 0)?;
        }
        Ok(outcome)
    }
}

/// A connection's frames, one for each of its partitions, sent in turn. A frame's correlation id is its place.
struct Batches {
    frames: Vec<Frame>,
    next: usize,
    version: i16,
    acks: i16,
    worth: Amount,
}

impl Batches {
    fn new(
        load: &Produce,
        connection: &Connection,
        assignment: &Assignment,
        batch: &Batch,
    ) -> Result<Self, BenchError> {
        let version = connection.version::<ProduceRequest>(VERSION_MAX)?;
        let mut frames = Vec::new();
        for (id, partition) in (0..).zip(&assignment.partitions) {
            let request = request(&load.topic, *partition, load.acks, batch.bytes().clone());
            frames.push(frame(&request, version, id)?);
        }
        let records = u64::try_from(batch.header().records_count).expect("a built batch has records");
        let worth = Amount { requests: 1, records, bytes: batch.bytes().len() as u64 };
        Ok(Self { frames, next: 0, version, acks: load.acks, worth })
    }
}

/// A request with one batch for one partition.
pub(crate) fn request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index: partition, records: Some(records.into()) }];
    let topic_data = vec![TopicProduceData { name: topic.to_owned(), partition_data, ..Default::default() }];
    let timeout_ms = i32::try_from(PATIENCE.as_millis()).expect("a minute fits");
    ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data }
}

impl Exchange for Batches {
    const API: ApiKey = ApiKey::Produce;

    fn next(&mut self, _: &Connection) -> Result<Option<(i32, Frame)>, BenchError> {
        let place = self.next % self.frames.len();
        self.next += 1;
        let Frame { chunks, bytes } = &self.frames[place];
        Ok(Some((
            i32::try_from(place).expect("partitions are numbered so"),
            Frame { chunks: chunks.clone(), bytes: *bytes },
        )))
    }

    fn answered(
        &mut self,
        connection: &Connection,
        answer: &Answer,
        errors: &mut AnswerErrors,
    ) -> Result<Option<Amount>, BenchError> {
        let response = connection.read_body::<ProduceRequest>(answer, self.version)?;
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let mut partitions = partitions.peekable();
        if partitions.peek().is_none() {
            let reason = "it says nothing about the partition".to_owned();
            return Err(BenchError::Malformed { address: connection.address.clone(), api: Self::API.name(), reason });
        }
        let good = partitions
            .all(|partition| errors.note(Self::API.name(), partition.error_code, partition.error_message.as_deref()));
        Ok(good.then_some(self.worth))
    }

    fn unanswered(&self) -> Option<Amount> {
        (self.acks == 0).then_some(self.worth)
    }
}
