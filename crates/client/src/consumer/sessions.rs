//! Fetch sessions (KIP-227): what each broker knows of this consumer's interest, so that a request names changes only.

use std::collections::{BTreeMap, HashMap};

use millstream_protocol::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};

use crate::TopicPartition;
use crate::config::ConsumerConfig;
use crate::topic_partition::by_topic;

/// Epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;

#[derive(Debug, Default)]
struct Session {
    /// 0 while there is none.
    id: i32,
    epoch: i32,
    /// Positions as the broker knows them.
    partitions: BTreeMap<TopicPartition, i64>,
}

/// The sessions, by broker.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: HashMap<i32, Session>,
}

impl Sessions {
    /// The request that makes the broker send what lies at these positions.
    pub(super) fn request(
        &mut self,
        leader: i32,
        wanted: &BTreeMap<TopicPartition, i64>,
        config: &ConsumerConfig,
    ) -> FetchRequest {
        let session = self.sessions.entry(leader).or_default();
        let is_full = session.epoch == INITIAL_EPOCH;
        let changed =
            |partition: &TopicPartition, position: &i64| is_full || session.partitions.get(partition) != Some(position);
        let named = wanted.iter().filter(|(partition, position)| changed(partition, position));
        let named = named.map(|(partition, position)| (partition.clone(), *position));
        let forgotten = session.partitions.keys().filter(|partition| !is_full && !wanted.contains_key(*partition));
        let topics = by_topic(named).into_iter().map(|(topic, partitions)| FetchTopic {
            topic: topic.to_string(),
            partitions: partitions.into_iter().map(|(index, position)| fetch(index, position, config)).collect(),
            ..Default::default()
        });
        let forgotten = by_topic(forgotten.map(|partition| (partition.clone(), ()))).into_iter();
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: config.fetch_max_wait.as_millis() as i32,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            isolation_level: config.isolation_level.id(),
            session_id: session.id,
            session_epoch: session.epoch,
            topics: topics.collect(),
            forgotten_topics_data: forgotten
                .map(|(topic, partitions)| ForgottenTopic {
                    topic: topic.to_string(),
                    partitions: partitions.into_iter().map(|(index, ())| index).collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        session.partitions.clone_from(wanted);
        request
    }

    /// The broker answered: the session goes on, or there is none when the broker has no room for it (`id` 0).
    pub(super) fn answered(&mut self, leader: i32, id: i32) {
        let session = self.sessions.entry(leader).or_default();
        session.id = id;
        session.epoch = match (id, session.epoch) {
            (0, _) => INITIAL_EPOCH,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
    }

    /// The session is lost; the next request opens another. An old session that may still be there is closed by that.
    pub(super) fn lost(&mut self, leader: i32, is_known: bool) {
        let session = self.sessions.entry(leader).or_default();
        session.epoch = INITIAL_EPOCH;
        if !is_known {
            session.id = 0;
        }
    }
}

fn fetch(partition: i32, fetch_offset: i64, config: &ConsumerConfig) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: config.max_partition_fetch_bytes,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientConfig;

    fn wanted(positions: &[(i32, i64)]) -> BTreeMap<TopicPartition, i64> {
        positions.iter().map(|(index, position)| (TopicPartition::new("t", *index), *position)).collect()
    }

    fn named(request: &FetchRequest) -> Vec<(i32, i64)> {
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|one| (one.partition, one.fetch_offset)).collect()
    }

    fn forgotten(request: &FetchRequest) -> Vec<i32> {
        request.forgotten_topics_data.iter().flat_map(|topic| topic.partitions.clone()).collect()
    }

    #[test]
    fn a_session_names_only_what_changed() {
        let config = ClientConfig::new("a:1").consumer().unwrap();
        let mut sessions = Sessions::default();
        let ask = |sessions: &mut Sessions, positions: &[(i32, i64)]| {
            let request = sessions.request(1, &wanted(positions), &config);
            (request.session_id, request.session_epoch, named(&request), forgotten(&request))
        };
        assert_eq!(ask(&mut sessions, &[(0, 5), (1, 6)]), (0, 0, vec![(0, 5), (1, 6)], vec![]));
        sessions.answered(1, 77);
        assert_eq!(ask(&mut sessions, &[(0, 5), (1, 9)]), (77, 1, vec![(1, 9)], vec![]));
        sessions.answered(1, 77);
        assert_eq!(ask(&mut sessions, &[(1, 9), (2, 0)]), (77, 2, vec![(2, 0)], vec![0]));
        sessions.lost(1, false);
        assert_eq!(ask(&mut sessions, &[(1, 9)]), (0, 0, vec![(1, 9)], vec![]));
        sessions.answered(1, 0);
        assert_eq!(ask(&mut sessions, &[(1, 9)]), (0, 0, vec![(1, 9)], vec![]));
    }
}
