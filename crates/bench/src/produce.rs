//! The load `produce`: prebuilt batches to one topic, over connections that keep several requests in flight.

use bytes::Bytes;
use millstream_model::batch::Batch;
use millstream_protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millstream_protocol::{ApiKey, Frame};

use crate::assignment::assign;
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
    /// Batches in one request, each for another partition; no more than the connection has partitions.
    pub partitions_per_request: usize,
    /// Whether a connection's partitions take turns in a random order, the same in every run, instead of by number.
    pub shuffled: bool,
    pub limit: Limit,
    /// Requests per second over all connections; as fast as answers come with `None`.
    pub rate: Option<f64>,
}

impl Produce {
    /// Runs the load. Blocks until it is over.
    pub fn run(&self, bootstrap: &str, progress: &Progress) -> Result<Report, BenchError> {
        let batches = batch::build_all(self.shape)?;
        let leaders = Cluster::open(bootstrap)?.leaders(&self.topic, self.partitions)?;
        let mut connections = Vec::new();
        for assignment in assign(&leaders, self.connections)? {
            let connection = Connection::open(&assignment.address)?;
            let requests = Requests::build(self, &connection, assignment.partitions, &batches)?;
            connections.push((connection, requests));
        }
        let limit = self.limit_in_requests(&connections[0].1);
        let (quota, cpu) = (Quota::new(limit, progress), cpu_seconds());
        let (amount, latency) =
            Outcome::of_each(connections, |(connection, requests)| self.send(connection, requests, &quota))?;
        let took = quota.begun.elapsed();
        let mut report = Report::new("produce", took, amount, latency.summary(), cpu_seconds() - cpu);
        report.payload_bytes = Some(amount.records * self.shape.record_bytes as u64);
        Ok(report)
    }

    /// Whole requests only, so that the amount does not depend on how many are in flight.
    fn limit_in_requests(&self, requests: &Requests) -> Limit {
        let total: u64 = requests.frames.iter().map(|(_, worth)| worth.bytes).sum();
        let mean = total.div_ceil(requests.frames.len() as u64);
        let by_bytes = self.limit.bytes.map(|bytes| bytes.div_ceil(mean));
        let requests = [by_bytes, self.limit.requests].into_iter().flatten().min();
        Limit { bytes: None, requests, duration: self.limit.duration }
    }

    fn send(&self, mut connection: Connection, requests: Requests, quota: &Quota<'_>) -> Result<Outcome, BenchError> {
        let pace = Pace::new(quota.begun, self.rate, self.connections);
        let outcome = Pipeline::new(&mut connection, requests, quota, pace, self.in_flight).run()?;
        if self.acks == 0 {
            // Requests of a connection are handled in order: when this is answered, everything before it was taken.
            connection.call(&millstream_protocol::api_versions::ApiVersionsRequest::default(), 0)?;
        }
        Ok(outcome)
    }
}

/// A connection's frames, sent in turn: each batch to each of its partitions. A frame's correlation id is its place.
struct Requests {
    frames: Vec<(Frame, Amount)>,
    /// How many went out.
    sent: usize,
    version: i16,
    acks: i16,
}

impl Requests {
    fn build(
        load: &Produce,
        connection: &Connection,
        mut partitions: Vec<i32>,
        batches: &[Batch],
    ) -> Result<Self, BenchError> {
        let version = connection.version::<ProduceRequest>(VERSION_MAX)?;
        if load.shuffled {
            fastrand::Rng::with_seed(1).shuffle(&mut partitions);
        }
        let mut frames = Vec::new();
        for batch in batches {
            let records = u64::try_from(batch.header().records_count).expect("a built batch has records");
            for some in partitions.chunks(load.partitions_per_request.max(1)) {
                let id = i32::try_from(frames.len()).expect("frames fit into memory");
                let request = request(&load.topic, some, load.acks, batch.bytes());
                let count = some.len() as u64;
                let worth = Amount { requests: 1, records: count * records, bytes: count * batch.bytes().len() as u64 };
                frames.push((frame(&request, version, id)?, worth));
            }
        }
        Ok(Self { frames, sent: 0, version, acks: load.acks })
    }
}

/// A request with a batch for each of these partitions.
pub(crate) fn request(topic: &str, partitions: &[i32], acks: i16, records: &Bytes) -> ProduceRequest {
    let data = |&index: &i32| PartitionProduceData { index, records: Some(records.clone().into()) };
    let partition_data = partitions.iter().map(data).collect();
    let topic_data = vec![TopicProduceData { name: topic.to_owned(), partition_data, ..Default::default() }];
    let timeout_ms = i32::try_from(PATIENCE.as_millis()).expect("a minute fits");
    ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data }
}

impl Exchange for Requests {
    const API: ApiKey = ApiKey::Produce;

    fn next(&mut self, _: &Connection) -> Result<Option<(i32, Frame)>, BenchError> {
        let place = self.sent % self.frames.len();
        self.sent += 1;
        let Frame { chunks, bytes } = &self.frames[place].0;
        Ok(Some((
            i32::try_from(place).expect("frames are numbered so"),
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
        let (mut good, mut count) = (true, 0);
        for partition in partitions {
            good &= errors.note(Self::API.name(), partition.error_code, partition.error_message.as_deref());
            count += 1;
        }
        if count == 0 {
            let reason = "it says nothing about the partition".to_owned();
            return Err(BenchError::Malformed { address: connection.address.clone(), api: Self::API.name(), reason });
        }
        let place = usize::try_from(answer.correlation_id).expect("the pipeline has compared it");
        Ok(good.then_some(self.frames[place].1))
    }

    fn unanswered(&self) -> Option<Amount> {
        let last = self.sent.saturating_sub(1) % self.frames.len();
        (self.acks == 0).then_some(self.frames[last].1)
    }
}
