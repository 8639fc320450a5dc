//! Writes a cluster as the snapshot that a freshly formatted Apache Kafka 4.4 node begins with: everything it knows, as of
//! offset 0 of its metadata log. The node registers itself, as after a clean stop, before it leads again.

use bytes::Bytes;
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_model::wire::{Encode, EncodeError, Encoder};
use millstream_model::{BrokerId, LeaderEpoch, Offset, TimestampMs};
use uuid::Uuid;

use super::cluster::Cluster;
use super::files::SNAPSHOT_FOOTER;
use super::replay::FRAME_VERSION;
use super::{METADATA_VERSION, METADATA_VERSION_FEATURE};
use crate::generated::access_control_entry::AccessControlEntryRecord;
use crate::generated::client_quota::{ClientQuotaRecord, EntityData};
use crate::generated::config::ConfigRecord;
use crate::generated::feature_level::FeatureLevelRecord;
use crate::generated::kraft_version::KRaftVersionRecord;
use crate::generated::partition::PartitionRecord;
use crate::generated::producer_ids::ProducerIdsRecord;
use crate::generated::register_broker::{BrokerEndpoint, RegisterBrokerRecord};
use crate::generated::snapshot_footer::SnapshotFooterRecord;
use crate::generated::snapshot_header::SnapshotHeaderRecord;
use crate::generated::topic::TopicRecord;
use crate::generated::user_scram_credential::UserScramCredentialRecord;
use crate::generated::voters::{Endpoint, KRaftVersionFeature, Voter, VotersRecord};

/// Name of the file, in the directory of the metadata log.
pub const SNAPSHOT_FILE: &str = "00000000000000000000-0000000000.checkpoint";

/// A batch of records is closed beyond this; Kafka reads up to 8 MiB.
const BATCH_BYTES: usize = 512 << 10;
/// What a fresh 4.4 node has besides `metadata.version`.
const FEATURES: [(&str, i16); 5] = [
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("share.version", 2),
    ("streams.version", 1),
    ("transaction.version", 2),
];
const SNAPSHOT_HEADER: i16 = 3;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;
/// Partition records that know of directories (KIP-858) and of replicas that may still lead (KIP-966).
const PARTITION_VERSION: i16 = 2;
const REGISTER_BROKER_VERSION: i16 = 3;
const PLAINTEXT: i16 = 0;

/// The one node of the cluster, broker and controller.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: BrokerId,
    /// `directory.id` of its log directory's `meta.properties`.
    pub directory: Uuid,
    /// Host and port of its controller listener, which is called `CONTROLLER`.
    pub controller: (String, u16),
    /// The epoch that its `.kafka_cleanshutdown` says.
    pub broker_epoch: i64,
}

/// The bytes of the snapshot. All partitions are the node's, whatever their replicas were.
///
/// # Errors
/// When a text is longer than Kafka's format allows.
pub fn snapshot(cluster: &Cluster, node: &Node, now: TimestampMs) -> Result<Bytes, EncodeError> {
    let mut out = Snapshot { now, next: Offset::ZERO, bytes: Vec::new(), batch: None };
    let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: now.0 };
    out.control(&[
        (SNAPSHOT_HEADER, message(&header)?),
        (KRAFT_VERSION, message(&KRaftVersionRecord { version: 0, kraft_version: 1 })?),
        (KRAFT_VOTERS, message(&voters(node))?),
    ]);
    features(cluster, &mut out)?;
    out.record(RegisterBrokerRecord::RECORD_TYPE, REGISTER_BROKER_VERSION, &registration(node))?;
    topics(cluster, node, &mut out)?;
    configs(cluster, &mut out)?;
    security(cluster, &mut out)?;
    let next_producer_id = cluster.next_producer_id;
    let producer_ids = ProducerIdsRecord { broker_id: node.id.0, broker_epoch: node.broker_epoch, next_producer_id };
    out.record(ProducerIdsRecord::RECORD_TYPE, 0, &producer_ids)?;
    out.close();
    out.control(&[(SNAPSHOT_FOOTER, message(&SnapshotFooterRecord { version: 0 })?)]);
    Ok(out.bytes.into())
}

fn voters(node: &Node) -> VotersRecord {
    let (host, port) = node.controller.clone();
    let voter = Voter {
        voter_id: node.id.0,
        voter_directory_id: node.directory,
        endpoints: vec![Endpoint { name: "CONTROLLER".to_owned(), host, port }],
        kraft_version_feature: KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 },
    };
    VotersRecord { version: 0, voters: vec![voter] }
}

fn registration(node: &Node) -> RegisterBrokerRecord {
    // Kafka wants an address; the broker's own replaces it when it registers.
    let (host, port) = node.controller.clone();
    let end_point = BrokerEndpoint { name: "PLAINTEXT".to_owned(), host, port, security_protocol: PLAINTEXT };
    RegisterBrokerRecord {
        broker_id: node.id.0,
        is_migrating_zk_broker: false,
        incarnation_id: node.directory,
        broker_epoch: node.broker_epoch,
        end_points: vec![end_point],
        features: Vec::new(),
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: vec![node.directory],
        cordoned_log_dirs: None,
    }
}

fn features(cluster: &Cluster, out: &mut Snapshot) -> Result<(), EncodeError> {
    let level = |name: &str, fresh: i16| cluster.features.get(name).copied().unwrap_or(fresh);
    let metadata_version = (METADATA_VERSION_FEATURE, METADATA_VERSION);
    let others = FEATURES.map(|(name, fresh)| (name, level(name, fresh)));
    for (name, feature_level) in [metadata_version].into_iter().chain(others) {
        let record = FeatureLevelRecord { name: name.to_owned(), feature_level };
        out.record(FeatureLevelRecord::RECORD_TYPE, 0, &record)?;
    }
    Ok(())
}

fn topics(cluster: &Cluster, node: &Node, out: &mut Snapshot) -> Result<(), EncodeError> {
    for (id, topic) in &cluster.topics {
        let record = TopicRecord { name: topic.name.clone(), topic_id: id.0 };
        out.record(TopicRecord::RECORD_TYPE, 0, &record)?;
        for (index, partition) in &topic.partitions {
            let record = PartitionRecord {
                partition_id: index.0,
                topic_id: id.0,
                replicas: vec![node.id.0],
                isr: vec![node.id.0],
                leader: node.id.0,
                leader_epoch: partition.leader_epoch.0,
                partition_epoch: 0,
                directories: vec![node.directory],
                ..PartitionRecord::default()
            };
            out.record(PartitionRecord::RECORD_TYPE, PARTITION_VERSION, &record)?;
        }
    }
    Ok(())
}

fn configs(cluster: &Cluster, out: &mut Snapshot) -> Result<(), EncodeError> {
    for (owner, set) in &cluster.configs {
        let (resource_type, resource_name) = owner.resource();
        for (name, value) in set {
            let (resource_name, name, value) = (resource_name.clone(), name.clone(), Some(value.clone()));
            let record = ConfigRecord { resource_type, resource_name, name, value };
            out.record(ConfigRecord::RECORD_TYPE, 0, &record)?;
        }
    }
    Ok(())
}

fn security(cluster: &Cluster, out: &mut Snapshot) -> Result<(), EncodeError> {
    for (id, acl) in &cluster.acls {
        let record = AccessControlEntryRecord {
            id: *id,
            resource_type: acl.resource_type.number(),
            resource_name: acl.resource_name.clone(),
            pattern_type: acl.pattern_type.number(),
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            operation: acl.operation.number(),
            permission_type: acl.permission.number(),
        };
        out.record(AccessControlEntryRecord::RECORD_TYPE, 0, &record)?;
    }
    for ((mechanism, name), credential) in &cluster.scram {
        let record = UserScramCredentialRecord {
            name: name.clone(),
            mechanism: mechanism.number(),
            salt: credential.salt.clone(),
            stored_key: credential.stored_key.clone(),
            server_key: credential.server_key.clone(),
            iterations: credential.iterations,
        };
        out.record(UserScramCredentialRecord::RECORD_TYPE, 0, &record)?;
    }
    for (entity, limits) in &cluster.quotas {
        let parts = entity.iter().map(|(kind, name)| (kind.clone(), name.clone()));
        let entity: Vec<EntityData> =
            parts.map(|(entity_type, entity_name)| EntityData { entity_type, entity_name }).collect();
        for (key, value) in limits {
            let record = ClientQuotaRecord { entity: entity.clone(), key: key.clone(), value: *value, remove: false };
            out.record(ClientQuotaRecord::RECORD_TYPE, 0, &record)?;
        }
    }
    Ok(())
}

/// A control record's value: the message in its version 0.
fn message(message: &impl Encode) -> Result<Bytes, EncodeError> {
    let mut encoder = Encoder::new();
    message.encode(&mut encoder, 0)?;
    Ok(encoder.into_bytes())
}

/// The snapshot as far as it is written.
struct Snapshot {
    now: TimestampMs,
    next: Offset,
    bytes: Vec<u8>,
    batch: Option<BatchBuilder>,
}

impl Snapshot {
    fn control(&mut self, records: &[(i16, Bytes)]) {
        let mut batch = BatchBuilder::new(Compression::None).control();
        for (kind, value) in records {
            let key = [0_i16.to_be_bytes(), kind.to_be_bytes()].concat();
            batch.append(self.now, Some(&key), Some(value), &[]).expect("control records are small");
        }
        self.push(batch);
    }

    fn record(&mut self, record_type: i16, version: i16, record: &impl Encode) -> Result<(), EncodeError> {
        let mut encoder = Encoder::new();
        encoder.unsigned_varint(FRAME_VERSION);
        encoder.unsigned_varint(record_type.unsigned_abs().into());
        encoder.unsigned_varint(version.unsigned_abs().into());
        record.encode(&mut encoder, version)?;
        let batch = self.batch.get_or_insert_with(|| BatchBuilder::new(Compression::None));
        let value = encoder.into_bytes();
        batch.append(self.now, None, Some(&value), &[]).expect("batches are closed long before they are full");
        if batch.uncompressed_bytes() > BATCH_BYTES {
            self.close();
        }
        Ok(())
    }

    /// Ends the open batch.
    fn close(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.push(batch);
        }
    }

    fn push(&mut self, batch: BatchBuilder) {
        let batch = batch.build().placed(self.next, LeaderEpoch(0));
        self.next = batch.header().next_offset();
        self.bytes.extend_from_slice(batch.bytes());
    }
}
