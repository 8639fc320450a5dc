//! What stands under which key of the store: names of keys, and values as JSON. docs/format/metadata.md describes them.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_model::{BrokerId, LeaderEpoch, TopicId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::image::Partition;
use crate::configs::Overrides;

/// The layout of keys and values that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

pub(super) const CLUSTER: &str = "cluster";
pub(super) const NODE: &str = "node";
pub(super) const PRODUCER_IDS: &str = "producer-ids";
pub(super) const TOPICS: &str = "topics/";
pub(super) const BROKERS: &str = "brokers/";
pub(super) const BROKER_CONFIGS: &str = "configs/brokers/";
pub(super) const GROUP_CONFIGS: &str = "configs/groups/";

/// In the place of a broker's number: for all brokers.
const ALL_BROKERS: &str = "default";

/// `cluster`: written once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) format: u32,
    /// 22 characters of URL-safe base64.
    pub(super) id: String,
}

/// `node`: the number of the (first) broker whose data directory this is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) id: i32,
}

/// `brokers/<id>`: there as long as the broker is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct BrokerRecord {}

/// `producer-ids`: the first that nobody has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProducerIdsRecord {
    pub(super) next: i64,
}

/// `topics/<name>`: the topic whole.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopicRecord {
    id: String,
    /// By partition: leader, leader epoch, replicas.
    partitions: Vec<(i32, i32, Vec<i32>)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    configs: Overrides,
}

impl TopicRecord {
    pub(super) fn new(id: TopicId, partitions: &[Partition], configs: &Overrides) -> Self {
        let plain = |partition: &Partition| {
            let replicas = partition.replicas.iter().map(|broker| broker.0).collect();
            (partition.leader.0, partition.leader_epoch.0, replicas)
        };
        Self { id: id.to_string(), partitions: partitions.iter().map(plain).collect(), configs: configs.clone() }
    }

    /// `None` when the id is none, or there is no partition, or one has no replica.
    pub(super) fn into_parts(self) -> Option<(TopicId, Vec<Partition>, Overrides)> {
        if self.partitions.is_empty() || self.partitions.iter().any(|(.., replicas)| replicas.is_empty()) {
            return None;
        }
        let partition = |(leader, leader_epoch, replicas): (i32, i32, Vec<i32>)| Partition {
            leader: BrokerId(leader),
            leader_epoch: LeaderEpoch(leader_epoch),
            replicas: replicas.into_iter().map(BrokerId).collect(),
        };
        Some((self.id.parse().ok()?, self.partitions.into_iter().map(partition).collect(), self.configs))
    }
}

pub(super) fn topic_key(name: &str) -> String {
    format!("{TOPICS}{name}")
}

pub(super) fn broker_key(broker: BrokerId) -> String {
    format!("{BROKERS}{broker}")
}

/// `None` stands for all brokers.
pub(super) fn broker_configs_key(broker: Option<BrokerId>) -> String {
    broker.map_or_else(|| format!("{BROKER_CONFIGS}{ALL_BROKERS}"), |broker| format!("{BROKER_CONFIGS}{broker}"))
}

pub(super) fn group_configs_key(group: &str) -> String {
    format!("{GROUP_CONFIGS}{group}")
}

/// The broker behind the prefix of a key; the outer `None` when it is none, the inner for all brokers.
pub(super) fn broker_of(suffix: &str) -> Option<Option<BrokerId>> {
    if suffix == ALL_BROKERS { Some(None) } else { suffix.parse().ok().map(|id| Some(BrokerId(id))) }
}

pub(super) fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("records have text keys and no custom serializers").into()
}

/// `None`, and a line in the log, when the value is not such a record.
pub(super) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Option<T> {
    serde_json::from_slice(value)
        .inspect_err(
            |error| tracing::error!(key, %error, "a value of the metadata store cannot be read and is left out"),
        )
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that docs/format/metadata.md describes.
    #[test]
    fn records_are_written_as_documented() {
        let partition = |leader, replicas: &[i32]| Partition {
            leader: BrokerId(leader),
            leader_epoch: LeaderEpoch(4),
            replicas: replicas.iter().copied().map(BrokerId).collect(),
        };
        let id: TopicId = "qk9ZVg0wSBSuSbPQJfwgyA".parse().unwrap();
        let mut configs = Overrides::new();
        let partitions = [partition(0, &[0, 1]), partition(1, &[1, 0])];
        let plain = r#"{"id":"qk9ZVg0wSBSuSbPQJfwgyA","partitions":[[0,4,[0,1]],[1,4,[1,0]]]}"#;
        assert_eq!(encode(&TopicRecord::new(id, &partitions, &configs)), plain);
        configs.insert("retention.ms".to_owned(), "5".to_owned());
        let configured = plain.replace("]]]}", r#"]]],"configs":{"retention.ms":"5"}}"#);
        assert_eq!(encode(&TopicRecord::new(id, &partitions, &configs)), configured);
        let read: TopicRecord = decode("topics/t", configured.as_bytes()).unwrap();
        assert_eq!(read.into_parts(), Some((id, partitions.to_vec(), configs)));
        assert_eq!(encode(&ClusterRecord { format: 1, id: "x".to_owned() }), r#"{"format":1,"id":"x"}"#);
        assert_eq!(encode(&NodeRecord { id: 0 }), r#"{"id":0}"#);
        assert_eq!(encode(&ProducerIdsRecord { next: 1000 }), r#"{"next":1000}"#);
        assert_eq!(encode(&BrokerRecord::default()), "{}");
    }

    #[test]
    fn members_of_later_versions_are_passed_over() {
        let record: NodeRecord = decode("node", br#"{"id":3,"rack":"b"}"#).unwrap();
        assert_eq!(record.id, 3);
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        for bytes in [&b""[..], b"{", b"{\"id\":\"x\"}", b"\xff\xfe", b"[1e999]"] {
            assert!(decode::<TopicRecord>("topics/t", bytes).and_then(TopicRecord::into_parts).is_none());
        }
        for lie in [
            r#"{"id":"not an id","partitions":[[0,0,[0]]]}"#,
            r#"{"id":"qk9ZVg0wSBSuSbPQJfwgyA","partitions":[]}"#,
            r#"{"id":"qk9ZVg0wSBSuSbPQJfwgyA","partitions":[[0,0,[]]]}"#,
        ] {
            let record: TopicRecord = decode("topics/t", lie.as_bytes()).unwrap();
            assert!(record.into_parts().is_none(), "{lie}");
        }
    }

    #[test]
    fn keys_lead_back_to_their_broker() {
        for broker in [None, Some(BrokerId(0)), Some(BrokerId(1001))] {
            let key = broker_configs_key(broker);
            assert_eq!(broker_of(key.strip_prefix(BROKER_CONFIGS).unwrap()), Some(broker));
        }
        assert_eq!(broker_of("x"), None);
    }
}
