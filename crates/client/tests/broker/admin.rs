//! The admin client against a real broker (`MILLSTREAM_TEST_BOOTSTRAP`).

use std::collections::BTreeMap;

use millstream_client::admin::{
    AlterConfigOp, CommittedOffset, ConfigResource, ConfigSource, NewPartitions, NewTopic, OffsetSpec,
};
use millstream_client::config::IsolationLevel;
use millstream_client::{Admin, ClientConfig, Error, ErrorCode, TopicPartition};

use crate::peer;

async fn one<K, V>(answer: impl Future<Output = Result<Vec<(K, Result<V, Error>)>, Error>>) -> Result<V, Error> {
    answer.await.unwrap().pop().unwrap().1
}

fn code<V: std::fmt::Debug>(answer: Result<V, Error>) -> ErrorCode {
    answer.unwrap_err().code().expect("the broker answered with a code")
}

#[tokio::test]
async fn a_topic_lives_from_create_to_delete() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let name = peer::unique("admin-life");
    let topic = NewTopic {
        name: name.clone(),
        num_partitions: Some(2),
        replication_factor: Some(1),
        configs: vec![("retention.ms".to_owned(), "12345".to_owned())],
        ..NewTopic::default()
    };
    let planned = one(admin.create_topics(std::slice::from_ref(&topic), true)).await.unwrap();
    assert_eq!((planned.num_partitions, planned.replication_factor), (2, 1));
    assert!(!admin.list_topics().await.unwrap().iter().any(|topic| topic.name == name), "validate_only made it");

    let created = one(admin.create_topics(std::slice::from_ref(&topic), false)).await.unwrap();
    let again = one(admin.create_topics(&[topic], false)).await.unwrap_err();
    assert_eq!(again.code(), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(again.to_string(), format!("Topic '{name}' already exists."));
    let more = NewPartitions { topic: name.clone(), total_count: 3, assignments: None };
    one(admin.create_partitions(std::slice::from_ref(&more), false)).await.unwrap();
    let fewer = NewPartitions { total_count: 1, ..more };
    assert_eq!(code(one(admin.create_partitions(&[fewer], false)).await), ErrorCode::InvalidPartitions);

    let described = peer::eventually("three partitions", async || {
        let described = one(admin.describe_topics(&[&name])).await.ok()?;
        (described.partitions.len() == 3).then_some(described)
    })
    .await;
    assert_eq!(described.id, created.id);
    let partitions: Vec<_> = described.partitions.iter().map(|one| one.metadata.index).collect();
    assert_eq!(partitions, [0, 1, 2]);
    assert!(described.partitions.iter().all(|one| one.metadata.isr == one.metadata.replicas));

    one(admin.delete_topics(&[&name])).await.unwrap();
    let gone = peer::eventually("the topic is gone", async || one(admin.describe_topics(&[&name])).await.err()).await;
    assert_eq!(gone.code(), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(code(one(admin.delete_topics(&[&name])).await), ErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn configurations_are_set_and_taken_back() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let resource = ConfigResource::topic(peer::create_topic(&config, "admin-configs", 1).await);
    let retention_in = async |source: ConfigSource| {
        peer::eventually(source.name(), async || {
            let entries = one(admin.describe_configs(std::slice::from_ref(&resource), false)).await.unwrap();
            let entry = entries.into_iter().find(|entry| entry.name == "retention.ms").unwrap();
            (entry.source == source).then_some(entry)
        })
        .await
    };
    let change = async |op| {
        let changes = [(resource.clone(), vec![("retention.ms".to_owned(), op)])];
        one(admin.incremental_alter_configs(&changes, false)).await
    };
    assert!(retention_in(ConfigSource::DefaultConfig).await.is_default());
    change(AlterConfigOp::Set("777".to_owned())).await.unwrap();
    let set = retention_in(ConfigSource::DynamicTopicConfig).await;
    assert_eq!(set.value.as_deref(), Some("777"));
    assert_eq!(set.synonyms[0].name, "retention.ms");
    assert_eq!(code(change(AlterConfigOp::Set("soon".to_owned())).await), ErrorCode::InvalidConfig);
    change(AlterConfigOp::Delete).await.unwrap();
    assert_ne!(retention_in(ConfigSource::DefaultConfig).await.value.as_deref(), Some("777"));
    let broker = admin.describe_cluster().await.unwrap().brokers[0].id;
    let entries = one(admin.describe_configs(&[ConfigResource::broker(broker)], true)).await.unwrap();
    assert!(entries.iter().any(|entry| entry.name == "node.id" && entry.documentation.is_some()));
}

#[tokio::test]
async fn each_answer_about_configurations_stands_beside_what_it_answers() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let mut changes = Vec::new();
    for round in 0..6 {
        let (stem, is_there) = ("admin-each", round % 2 == 0);
        let name = if is_there { peer::create_topic(&config, stem, 1).await } else { peer::unique(stem) };
        let set = AlterConfigOp::Set(format!("{}", 1000 + round));
        changes.push((ConfigResource::topic(name), vec![("retention.ms".to_owned(), set)]));
    }
    let altered = admin.incremental_alter_configs(&changes, false).await.unwrap();
    for ((resource, _), (round, (answered, answer))) in changes.iter().zip(altered.iter().enumerate()) {
        assert_eq!((resource, answer.is_ok()), (answered, round % 2 == 0), "{answer:?}");
    }
    let resources: Vec<ConfigResource> = changes.into_iter().map(|(resource, _)| resource).collect();
    let described = admin.describe_configs(&resources, false).await.unwrap();
    assert_eq!(
        described.iter().map(|(_, answer)| answer.is_ok()).collect::<Vec<_>>(),
        [true, false, true, false, true, false]
    );
}

#[tokio::test]
async fn offsets_of_an_empty_group_are_committed_listed_and_deleted() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let group = peer::unique("admin-group");
    let partition = TopicPartition::new(peer::create_topic(&config, "admin-offsets", 1).await, 0);
    let missing = one(admin.describe_groups(&[&group])).await;
    assert!(matches!(missing, Err(Error::Kafka { code: ErrorCode::GroupIdNotFound, .. })), "{missing:?}");

    let offset = CommittedOffset { offset: 5, leader_epoch: Some(0), metadata: "note".to_owned() };
    let offsets = BTreeMap::from([(partition.clone(), offset)]);
    one(admin.alter_group_offsets(&group, &offsets)).await.unwrap();
    assert_eq!(admin.list_group_offsets(&group, None).await.unwrap(), offsets);
    let other = TopicPartition::new(partition.topic.clone(), 1);
    assert!(admin.list_group_offsets(&group, Some(&[other])).await.unwrap().is_empty());
    let listed = admin.list_groups(&[], &[]).await.unwrap();
    let found = listed.iter().find(|listing| listing.group_id == group).unwrap();
    assert_eq!((found.state.as_str(), found.group_type.as_str()), ("Empty", "classic"));
    let described = one(admin.describe_groups(&[&group])).await.unwrap();
    assert_eq!((described.state.as_str(), described.members.len()), ("Empty", 0));

    one(admin.delete_group_offsets(&group, &[partition])).await.unwrap();
    assert!(admin.list_group_offsets(&group, None).await.unwrap().is_empty());
    // A broker may drop a group with its last offset, so there may be nothing left to delete.
    let deleted = one(admin.delete_groups(&[&group])).await;
    assert!(deleted.is_ok() || code(deleted) == ErrorCode::GroupIdNotFound);
    assert_eq!(code(one(admin.delete_groups(&[&group])).await), ErrorCode::GroupIdNotFound);
}

#[tokio::test]
async fn offsets_of_an_empty_partition_are_zero_and_an_unknown_topic_is_named() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let partition = TopicPartition::new(peer::create_topic(&config, "admin-list", 1).await, 0);
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let asked = [(partition.clone(), spec)];
        let listed = one(admin.list_offsets(&asked, IsolationLevel::ReadUncommitted)).await.unwrap();
        assert_eq!((listed.offset, listed.timestamp), (0, -1));
    }
    for spec in [OffsetSpec::MaxTimestamp, OffsetSpec::Timestamp(5)] {
        let asked = [(partition.clone(), spec)];
        assert_eq!(one(admin.list_offsets(&asked, IsolationLevel::ReadUncommitted)).await.unwrap().offset, -1);
    }
    let unknown = [(TopicPartition::new(peer::unique("nowhere"), 0), OffsetSpec::Latest)];
    let answer = one(admin.list_offsets(&unknown, IsolationLevel::ReadUncommitted)).await;
    assert_eq!(code(answer), ErrorCode::UnknownTopicOrPartition);
    let beyond = one(admin.delete_records(&[(partition.clone(), 10)])).await;
    assert_eq!(code(beyond), ErrorCode::OffsetOutOfRange);
    assert_eq!(one(admin.delete_records(&[(partition, 0)])).await.unwrap(), 0);
}

#[tokio::test]
async fn the_cluster_describes_itself() {
    let Some(config) = peer::config() else { return };
    let admin = Admin::new(&config).unwrap();
    let cluster = admin.describe_cluster().await.unwrap();
    assert!(!cluster.cluster_id.is_empty() && !cluster.brokers.is_empty());
    let versions = one(admin.api_versions()).await.unwrap();
    assert!(versions.iter().any(|(key, range)| key.name() == "Produce" && *range.end() >= 9));
    let partition = TopicPartition::new(peer::create_topic(&config, "admin-dirs", 1).await, 0);
    let dirs = one(admin.describe_log_dirs(&[cluster.brokers[0].id], Some(&[partition]))).await.unwrap();
    assert!(dirs.iter().all(|dir| dir.error.is_none() && !dir.path.is_empty()));
    assert_eq!(admin.list_partition_reassignments(None).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_a_timeout_that_says_what_was_tried() {
    let config = ClientConfig::new("127.0.0.1:1").with("default.api.timeout.ms", "2000");
    let error = Admin::new(&config).unwrap().list_topics().await.unwrap_err();
    let Error::Timeout { what, .. } = &error else { panic!("{error:?}") };
    assert!(what.contains("listTopics") && what.contains("127.0.0.1:1"), "{what}");
}

/// Reconcilers run on threads.
#[test]
fn every_operation_may_move_between_threads() {
    fn moves(_: impl Send) {}
    let admin = Admin::new(&ClientConfig::new("localhost:9092")).unwrap();
    moves(admin.list_topics());
    moves(admin.describe_topics(&[]));
    moves(admin.create_topics(&[], false));
    moves(admin.delete_topics(&[]));
    moves(admin.create_partitions(&[], false));
    moves(admin.describe_configs(&[], false));
    moves(admin.incremental_alter_configs(&[], false));
    moves(admin.list_offsets(&[], IsolationLevel::ReadUncommitted));
    moves(admin.delete_records(&[]));
    moves(admin.describe_cluster());
    moves(admin.describe_log_dirs(&[], None));
    moves(admin.list_groups(&[], &[]));
    moves(admin.describe_groups(&[]));
    moves(admin.delete_groups(&[]));
    moves(admin.list_group_offsets("", None));
    moves(admin.delete_group_offsets("", &[]));
    moves(admin.api_versions());
}
