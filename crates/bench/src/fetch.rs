//! The load `fetch`: reads a topic's partitions over connections of its own, as a consumer without a group would.
//!
//! Each partition has one request in flight at most, since the next one depends on its answer; a connection with several
//! partitions may have several. Record bytes are not looked into; the heads of batches are, and must lead onwards.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_model::batch::{BatchError, BatchHeader};
use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::{ApiKey, Frame};

use crate::assignment::{Assignment, assign};
use crate::cluster::{Cluster, EARLIEST, LATEST, offset_for};
use crate::connection::{Answer, Connection, frame};
use crate::error::{AnswerErrors, BenchError};
use crate::pipeline::{Exchange, Outcome, Pipeline};
use crate::progress::Progress;
use crate::quota::{Limit, Pace, Quota};
use crate::report::{Amount, Report, cpu_seconds};

/// The last version that names topics instead of giving their ids.
const VERSION_MAX: i16 = 12;

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    Offset(i64),
    /// So many records before the end.
    BeforeEnd(i64),
}

/// What happens at the end that the partition had when the load began, or at the end of the records that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    Stop,
    /// From the start, again and again.
    Again,
    /// Wait for more records.
    Follow,
}

/// What to read how.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub topic: String,
    /// The first so many partitions of the topic; all with `None`.
    pub partitions: Option<i32>,
    pub connections: usize,
    /// Requests that wait for their answers, per connection; no more than it has partitions.
    pub in_flight: usize,
    pub start: Start,
    /// The end is so many records behind the start, when the partition has more.
    pub records: Option<i64>,
    pub at_end: AtEnd,
    /// Of one answer.
    pub max_bytes: i32,
    pub min_bytes: i32,
    /// How long the broker waits for `min_bytes`.
    pub max_wait_ms: i32,
    pub limit: Limit,
    /// Requests per second over all connections; as fast as answers come with `None`.
    pub rate: Option<f64>,
}

impl Fetch {
    /// Runs the load. Blocks until it is over.
    pub fn run(&self, bootstrap: &str, progress: &Progress) -> Result<Report, BenchError> {
        let leaders = Cluster::open(bootstrap)?.leaders(&self.topic, self.partitions)?;
        let mut readers = Vec::new();
        for assignment in assign(&leaders, self.connections)? {
            let mut connection = Connection::open(&assignment.address)?;
            let partitions = self.positions(&mut connection, &assignment)?;
            readers.push((connection, partitions));
        }
        let (quota, cpu) = (Quota::new(self.limit, progress), cpu_seconds());
        let (amount, latency) = Outcome::of_each(readers, |(mut connection, partitions): (Connection, _)| {
            let pace = Pace::new(quota.begun, self.rate, self.connections);
            let version = connection.version::<FetchRequest>(VERSION_MAX)?;
            let reading = Reading { load: self, version, idle: partitions, asked: VecDeque::new() };
            Pipeline::new(&mut connection, reading, &quota, pace, self.in_flight).run()
        })?;
        let took = quota.begun.elapsed();
        Ok(Report::new("fetch", took, amount, latency.summary(), cpu_seconds() - cpu))
    }

    fn positions(&self, leader: &mut Connection, assignment: &Assignment) -> Result<VecDeque<Position>, BenchError> {
        let mut positions = VecDeque::new();
        for partition in &assignment.partitions {
            let first = offset_for(leader, &self.topic, *partition, EARLIEST)?;
            let end = offset_for(leader, &self.topic, *partition, LATEST)?;
            let start = match self.start {
                Start::Earliest => first,
                Start::Latest => end,
                Start::Offset(offset) => offset,
                Start::BeforeEnd(records) => (end - records).max(first),
            };
            if start >= end && self.at_end != AtEnd::Follow {
                let words = format!("{}-{partition} ends at offset {end}: there is nothing to read from", self.topic);
                return Err(BenchError::Impossible(words));
            }
            let end = self.records.map_or(end, |records| end.min(start.saturating_add(records)));
            positions.push_back(Position { partition: *partition, start, end, next: start });
        }
        Ok(positions)
    }
}

/// How far a partition has been read.
struct Position {
    partition: i32,
    start: i64,
    end: i64,
    next: i64,
}

struct Reading<'a> {
    load: &'a Fetch,
    version: i16,
    /// Partitions without a request in flight.
    idle: VecDeque<Position>,
    /// Those with one, in the order of the requests.
    asked: VecDeque<Position>,
}

impl Exchange for Reading<'_> {
    const API: ApiKey = ApiKey::Fetch;

    fn next(&mut self, _: &Connection) -> Result<Option<(i32, Frame)>, BenchError> {
        let Some(position) = self.idle.pop_front() else { return Ok(None) };
        let id = position.partition;
        let frame = frame(&self.load.request(&position), self.version, id)?;
        self.asked.push_back(position);
        Ok(Some((id, frame)))
    }

    fn answered(
        &mut self,
        connection: &Connection,
        answer: &Answer,
        errors: &mut AnswerErrors,
    ) -> Result<Option<Amount>, BenchError> {
        let mut position = self.asked.pop_front().expect("an answer belongs to a request");
        let Some(records) = read(connection, answer, self.version, errors)? else { return Ok(None) };
        let seen = Seen::walk(&records, position.next).map_err(|reason| BenchError::Malformed {
            address: connection.address.clone(),
            api: Self::API.name(),
            reason,
        })?;
        position.next = seen.next;
        let at_end = position.next >= position.end;
        match self.load.at_end {
            AtEnd::Stop if at_end => {}
            AtEnd::Again if at_end => self.idle.push_back(Position { next: position.start, ..position }),
            _ => self.idle.push_back(position),
        }
        Ok(Some(Amount { requests: 1, records: seen.records, bytes: seen.bytes }))
    }
}

impl Fetch {
    fn request(&self, position: &Position) -> FetchRequest {
        request(&self.topic, position.partition, position.next, self.max_bytes, self.min_bytes, self.max_wait_ms)
    }
}

/// A request for one partition, without a fetch session.
pub(crate) fn request(
    topic: &str,
    partition: i32,
    offset: i64,
    max_bytes: i32,
    min_bytes: i32,
    max_wait_ms: i32,
) -> FetchRequest {
    let partitions =
        vec![FetchPartition { partition, fetch_offset: offset, partition_max_bytes: max_bytes, ..Default::default() }];
    let topics = vec![FetchTopic { topic: topic.to_owned(), partitions, ..Default::default() }];
    FetchRequest { max_bytes, min_bytes, max_wait_ms, topics, ..Default::default() }
}

/// The record bytes of an answer about one partition; `None` when it carried an error, which is noted.
pub(crate) fn read(
    connection: &Connection,
    answer: &Answer,
    version: i16,
    errors: &mut AnswerErrors,
) -> Result<Option<Bytes>, BenchError> {
    let api = ApiKey::Fetch.name();
    let response = connection.read_body::<FetchRequest>(answer, version)?;
    if !errors.note(api, response.error_code, None) {
        return Ok(None);
    }
    let partition = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(partition) = partition else {
        let reason = "it says nothing about the partition".to_owned();
        return Err(BenchError::Malformed { address: connection.address.clone(), api, reason });
    };
    if !errors.note(api, partition.error_code, None) {
        return Ok(None);
    }
    Ok(Some(partition.records.map_or_else(Bytes::new, millstream_protocol::Records::into_contiguous)))
}

/// What the whole batches of an answer hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) next: i64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Seen {
    /// Walks the heads of batches. An answer may begin before the offset asked for, with the batch that holds it, and may
    /// end within a batch; each batch must lead onwards.
    pub(crate) fn walk(records: &[u8], from: i64) -> Result<Self, String> {
        let mut seen = Self { next: from, records: 0, bytes: 0 };
        let mut rest = records;
        while !rest.is_empty() {
            let header = match BatchHeader::read(rest) {
                Ok(header) if header.size_bytes() <= rest.len() => header,
                Ok(_) | Err(BatchError::Truncated { .. }) => break,
                Err(error) => return Err(error.to_string()),
            };
            let next = header.next_offset().0;
            if next <= seen.next {
                return Err(format!("after offset {} comes a batch that ends before offset {next}", seen.next));
            }
            seen.next = next;
            seen.records += u64::try_from(header.records_count).unwrap_or(0);
            seen.bytes += header.size_bytes() as u64;
            rest = &rest[header.size_bytes()..];
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use millstream_model::compression::CompressionType;
    use millstream_model::{LeaderEpoch, Offset};

    use super::*;
    use crate::batch::{BatchShape, build_all};

    /// A batch of ten records at an offset.
    fn batch(offset: i64) -> Vec<u8> {
        let shape = BatchShape { record_bytes: 90, keys: 0, batch_bytes: 1100, compression: CompressionType::None };
        let batch = build_all(shape).unwrap().swap_remove(0);
        assert_eq!(batch.header().records_count, 10);
        batch.placed(Offset(offset), LeaderEpoch(0)).bytes().to_vec()
    }

    #[test]
    fn whole_batches_are_counted_and_a_cut_one_is_left() {
        let bytes = batch(20).len() as u64;
        let mut records = [batch(20), batch(30), batch(50)].concat();
        assert_eq!(Seen::walk(&records, 25), Ok(Seen { next: 60, records: 30, bytes: 3 * bytes }));
        records.truncate(records.len() - 1);
        assert_eq!(Seen::walk(&records, 20), Ok(Seen { next: 40, records: 20, bytes: 2 * bytes }));
        assert_eq!(Seen::walk(&[], 20), Ok(Seen { next: 20, records: 0, bytes: 0 }));
    }

    #[test]
    fn a_batch_that_leads_back_is_an_error() {
        let records = [batch(20), batch(20)].concat();
        assert!(Seen::walk(&records, 20).unwrap_err().contains("after offset 30"));
    }
}
