//! `Cluster`: what a load asks before it begins: topics made and removed, who leads, which offsets there are.
//!
//! Asks one broker, in versions that name topics, so that it works with any Kafka since 0.11.

use std::time::{Duration, Instant};

use millstream_protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millstream_protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millstream_protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millstream_protocol::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use millstream_protocol::{ErrorCode, Request as _};

use crate::connection::{Connection, PATIENCE};
use crate::error::BenchError;

/// Newer versions say the same in other words.
const METADATA_VERSION_MAX: i16 = 9;
const CREATE_TOPICS_VERSION_MAX: i16 = 5;
const DELETE_TOPICS_VERSION_MAX: i16 = 6;
const LIST_OFFSETS_VERSION_MAX: i16 = 7;
/// Many partitions take Apache Kafka minutes.
const USABLE_PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at metadata that is not yet as it will be.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Special timestamps of ListOffsets.
pub(crate) const LATEST: i64 = -1;
pub(crate) const EARLIEST: i64 = -2;

/// Topics to be made, all alike.
#[derive(Clone, Debug)]
pub struct NewTopics {
    pub names: Vec<String>,
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i16,
    pub configs: Vec<(String, String)>,
}

/// A connection to some broker of the cluster.
#[derive(Debug)]
pub struct Cluster {
    connection: Connection,
}

impl Cluster {
    /// Connects to the first of `host:port,host:port…` that answers.
    pub fn open(bootstrap: &str) -> Result<Self, BenchError> {
        let mut last = BenchError::Impossible("no bootstrap server is given".to_owned());
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Connection::open(address) {
                Ok(connection) => return Ok(Self { connection }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks for topics in one request; the first refusal is the error.
    pub fn create(&mut self, topics: &NewTopics) -> Result<(), BenchError> {
        let configs: Vec<CreatableTopicConfig> = topics
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) })
            .collect();
        let topic = |name: &String| CreatableTopic {
            name: name.clone(),
            num_partitions: topics.partitions,
            replication_factor: topics.replication_factor,
            assignments: Vec::new(),
            configs: configs.clone(),
        };
        let wanted = topics.names.iter().map(topic).collect();
        let request = CreateTopicsRequest { topics: wanted, timeout_ms: timeout_ms(), validate_only: false };
        let answer = self.connection.call(&request, CREATE_TOPICS_VERSION_MAX)?;
        let refused = |topic: &millstream_protocol::create_topics::CreatableTopicResult| {
            BenchError::answered("CreateTopics", topic.error_code, topic.error_message.as_deref())
        };
        answer.topics.iter().find_map(refused).map_or(Ok(()), Err)
    }

    /// Removes topics in one request; the first refusal is the error.
    pub fn delete(&mut self, names: &[String]) -> Result<(), BenchError> {
        let version = self.connection.version::<DeleteTopicsRequest>(DELETE_TOPICS_VERSION_MAX)?;
        let mut request = DeleteTopicsRequest { timeout_ms: timeout_ms(), ..Default::default() };
        if version >= 6 {
            let topic = |name: &String| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
            request.topics = names.iter().map(topic).collect();
        } else {
            request.topic_names = names.to_vec();
        }
        let answer = self.connection.call(&request, version)?;
        let refused = |topic: &millstream_protocol::delete_topics::DeletableTopicResult| {
            BenchError::answered("DeleteTopics", topic.error_code, topic.error_message.as_deref())
        };
        answer.responses.iter().find_map(refused).map_or(Ok(()), Err)
    }

    /// Waits until every partition of these topics has a leader that serves it. Metadata alone does not say so: Kafka's
    /// names a leader before that has made the partition's log.
    pub fn wait_until_usable(&mut self, names: &[String]) -> Result<(), BenchError> {
        let deadline = Instant::now() + USABLE_PATIENCE;
        while !self.are_usable(names)? {
            if Instant::now() >= deadline {
                let words = format!("{} topic(s) are not served after {USABLE_PATIENCE:?}", names.len());
                return Err(BenchError::Impossible(words));
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        Ok(())
    }

    fn are_usable(&mut self, names: &[String]) -> Result<bool, BenchError> {
        let answer = self.metadata(names)?;
        if answer.topics.len() != names.len() || !answer.topics.iter().all(has_leaders) {
            return Ok(false);
        }
        for broker in &answer.brokers {
            let topics: Vec<ListOffsetsTopic> =
                answer.topics.iter().filter_map(|topic| led_by(topic, broker.node_id)).collect();
            if topics.is_empty() {
                continue;
            }
            let mut leader = Connection::open(&format!("{}:{}", broker.host, broker.port))?;
            let request = ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics, timeout_ms: timeout_ms() };
            let answer = leader.call(&request, LIST_OFFSETS_VERSION_MAX)?;
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
            for code in codes {
                match BenchError::answered("ListOffsets", code, None) {
                    None => {}
                    Some(error) if error.code().is_some_and(ErrorCode::is_retriable) => return Ok(false),
                    Some(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }

    /// Whether the topic exists.
    pub fn has(&mut self, name: &str) -> Result<bool, BenchError> {
        let answer = self.metadata(&[name.to_owned()])?;
        let code = answer.topics.first().map_or(ErrorCode::None.code(), |topic| topic.error_code);
        if code == ErrorCode::UnknownTopicOrPartition.code() {
            return Ok(false);
        }
        BenchError::answered("Metadata", code, None).map_or(Ok(true), Err)
    }

    /// The first `count` partitions of a topic (all with `None`) with their leaders' addresses.
    pub(crate) fn leaders(&mut self, topic: &str, count: Option<i32>) -> Result<Vec<(i32, String)>, BenchError> {
        let answer = self.metadata(&[topic.to_owned()])?;
        let found = answer.topics.first();
        let found = found.ok_or_else(|| BenchError::Impossible(format!("no answer about {topic}")))?;
        if let Some(error) = BenchError::answered("Metadata", found.error_code, None) {
            return Err(error);
        }
        let present = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
        let wanted = count.unwrap_or(present);
        if wanted > present || wanted == 0 {
            let words = format!("{topic} has {present} partitions, {wanted} are asked for");
            return Err(BenchError::Impossible(words));
        }
        let mut leaders = Vec::new();
        for partition in found.partitions.iter().filter(|partition| partition.partition_index < wanted) {
            let leader = answer.brokers.iter().find(|broker| broker.node_id == partition.leader_id);
            let leader = leader.ok_or_else(|| {
                BenchError::Impossible(format!("{topic}-{} has no leader", partition.partition_index))
            })?;
            leaders.push((partition.partition_index, format!("{}:{}", leader.host, leader.port)));
        }
        leaders.sort();
        Ok(leaders)
    }

    fn metadata(&mut self, names: &[String]) -> Result<MetadataResponse, BenchError> {
        let topic = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let topics = Some(names.iter().map(topic).collect());
        let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
        self.connection.call(&request, METADATA_VERSION_MAX)
    }
}

/// A question for the offsets of the partitions that a broker leads; `None` when there are none.
fn led_by(topic: &MetadataResponseTopic, broker: i32) -> Option<ListOffsetsTopic> {
    let led = topic.partitions.iter().filter(|partition| partition.leader_id == broker);
    let question = |index| ListOffsetsPartition { partition_index: index, timestamp: LATEST, ..Default::default() };
    let partitions: Vec<_> = led.map(|partition| question(partition.partition_index)).collect();
    let name = topic.name.clone()?;
    (!partitions.is_empty()).then_some(ListOffsetsTopic { name, partitions })
}

fn has_leaders(topic: &MetadataResponseTopic) -> bool {
    let led = topic.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id >= 0);
    topic.error_code == ErrorCode::None.code() && !topic.partitions.is_empty() && led
}

/// The offset of a partition for a timestamp, `EARLIEST` or `LATEST`; asked of its leader.
pub(crate) fn offset_for(
    leader: &mut Connection,
    topic: &str,
    partition: i32,
    timestamp: i64,
) -> Result<i64, BenchError> {
    let partitions = vec![ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }];
    let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics, timeout_ms: timeout_ms() };
    let answer = leader.call(&request, LIST_OFFSETS_VERSION_MAX)?;
    let api = ListOffsetsRequest::API_KEY.name();
    let found = answer.topics.first().and_then(|topic| topic.partitions.first());
    let found =
        found.ok_or_else(|| BenchError::Impossible(format!("no offset of {topic}-{partition} in the answer")))?;
    BenchError::answered(api, found.error_code, None).map_or(Ok(found.offset), Err)
}

fn timeout_ms() -> i32 {
    i32::try_from(PATIENCE.as_millis()).expect("a minute fits")
}
