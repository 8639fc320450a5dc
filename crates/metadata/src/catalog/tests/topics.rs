//! Topics: made, deleted, grown.

use super::*;

#[tokio::test]
async fn a_topic_is_there_once_it_is_made() {
    let catalog = cluster(1).await;
    let changes = catalog.subscribe();
    let created = create(&catalog, topic("t1", 3, 1)).await.unwrap().topic;
    assert!(changes.has_changed().unwrap());
    let image = catalog.image();
    assert_eq!(image.topic("t1"), Some(&created));
    assert_eq!(image.topic_by_id(created.id), Some(&created));
    assert_eq!((created.partitions.len(), created.replication_factor()), (3, 1));
    assert_eq!(created.id.to_string().len(), 22);
}

#[tokio::test]
async fn names_are_refused_in_kafkas_words() {
    let catalog = cluster(1).await;
    create(&catalog, NewTopic::named("a.b")).await.unwrap();
    create(&catalog, NewTopic::named("y".repeat(249))).await.unwrap();
    let long = "x".repeat(250);
    let too_long = format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249");
    let characters = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    for (name, message) in [
        ("a_b", "Topic 'a_b' collides with existing topic: a.b".to_owned()),
        ("a.b", "Topic 'a.b' already exists.".to_owned()),
        ("", "Topic name is invalid: the empty string is not allowed".to_owned()),
        (".", "Topic name is invalid: '.' is not allowed".to_owned()),
        ("..", "Topic name is invalid: '..' is not allowed".to_owned()),
        (&long, too_long),
        ("a b", format!("Topic name is invalid: 'a b' {characters}")),
        ("a/b", format!("Topic name is invalid: 'a/b' {characters}")),
        ("__cluster_metadata", "Creation of internal topic __cluster_metadata is prohibited.".to_owned()),
    ] {
        assert_eq!(refusal(&catalog, NewTopic::named(name)).await, message);
    }
}

#[tokio::test]
async fn counts_are_refused_in_kafkas_words() {
    let catalog = cluster(1).await;
    let partitions = "Number of partitions was set to an invalid non-positive value.";
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    for (new, message) in [
        (topic("p", 0, 1), partitions),
        (topic("p", -2, 1), partitions),
        (topic("p", 10_001, 1), "Excessively large number of partitions per request."),
        (topic("p", 1, 0), factor),
        (topic("p", 1, -2), factor),
        (
            topic("p", 1, 3),
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached \
             because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
    ] {
        assert_eq!(refusal(&catalog, new).await, message);
    }
    assert_eq!(catalog.image().topics().len(), 0);
}

#[tokio::test]
async fn assignments_are_refused_in_kafkas_words() {
    let catalog = cluster(2).await;
    let gap = "partitions should be a consecutive 0-based integer sequence";
    for (new, message) in [
        (assigned("m", &[(0, &[])]), "The manual partition assignment includes an empty replica list."),
        (assigned("m", &[(0, &[1, 1])]), "The manual partition assignment includes the broker 1 more than once."),
        (
            assigned("m", &[(0, &[1, 7])]),
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (assigned("m", &[(1, &[1])]), gap),
        (assigned("m", &[(0, &[1]), (2, &[1])]), gap),
        (assigned("m", &[(-1, &[1])]), gap),
        (
            assigned("m", &[(0, &[1]), (1, &[1, 2])]),
            "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with \
             previous partitions, which have 1 replica(s).",
        ),
        (
            NewTopic { partitions: 1, ..assigned("m", &[(0, &[1])]) },
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            NewTopic { replication_factor: 1, ..assigned("m", &[(0, &[1])]) },
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
    ] {
        assert_eq!(refusal(&catalog, new).await, message);
    }
    let made = create(&catalog, assigned("m", &[(1, &[1, 2]), (0, &[2, 1])])).await.unwrap().topic;
    let leaders: Vec<i32> = made.partitions.iter().map(|partition| partition.leader.0).collect();
    assert_eq!(leaders, [2, 1]);
}

#[tokio::test]
async fn leaders_stand_in_turn_over_the_brokers() {
    let catalog = cluster(3).await;
    let replicas = |created: &CreatedTopic| -> Vec<Vec<i32>> {
        let ids = |partition: &Partition| partition.replicas.iter().map(|id| id.0).collect();
        created.topic.partitions.iter().map(ids).collect()
    };
    let first = create(&catalog, topic("a", 4, 2)).await.unwrap();
    assert_eq!(replicas(&first), [[1, 2], [2, 3], [3, 1], [1, 2]]);
    let second = create(&catalog, topic("b", 1, 3)).await.unwrap();
    assert_eq!(replicas(&second), [[2, 3, 1]]);
}

#[tokio::test]
async fn defaults_come_from_the_brokers_configs() {
    let store = MemoryStore::new();
    let catalog = cluster_on(&store, 3, &[("num.partitions", "5"), ("default.replication.factor", "2")]).await;
    let made = create(&catalog, NewTopic::named("t")).await.unwrap().topic;
    assert_eq!((made.partitions.len(), made.replication_factor()), (5, 2));
}

#[tokio::test]
async fn validating_makes_nothing_but_says_what_would_be() {
    let catalog = cluster(1).await;
    create(&catalog, topic("old", 1, 1)).await.unwrap();
    let before = catalog.image().revision();
    let topics = [topic("new", 3, 1), topic("old", 1, 1)];
    let answers = catalog.create_topics(ONE, &topics, true).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().topic.partitions.len(), 3);
    assert_eq!(answers[1], Err(CreateTopicError::Exists("old".to_owned())));
    assert_eq!((catalog.image().topic("new"), catalog.image().revision()), (None, before));
}

#[tokio::test]
async fn one_request_makes_what_it_can() {
    let catalog = cluster(1).await;
    let topics = [topic("a", 1, 1), topic("b", 0, 1), topic("twice", 1, 1), topic("twice", 1, 1), topic("c", 1, 1)];
    let made: Vec<bool> = catalog.create_topics(ONE, &topics, false).await.unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(made, [true, false, false, false, true]);
    let image = catalog.image();
    let names: Vec<&str> = image.topics().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(names, ["a", "c"]);
}

#[tokio::test]
async fn a_request_for_too_many_partitions_makes_none() {
    let catalog = cluster(1).await;
    let answers = catalog.create_topics(ONE, &[topic("a", 6000, 1), topic("b", 6000, 1)], false).await.unwrap();
    assert_eq!(answers, [Err(CreateTopicError::TooManyPartitions), Err(CreateTopicError::TooManyPartitions)]);
    assert_eq!(catalog.image().topics().len(), 0);
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let catalog = cluster(1).await;
    let a = create(&catalog, topic("a", 1, 1)).await.unwrap().topic;
    let b = create(&catalog, topic("b", 1, 1)).await.unwrap().topic;
    let unknown: TopicId = "qk9ZVg0wSBSuSbPQJfwgyA".parse().unwrap();
    let named = |name: &str| TopicSelector::Name(name.to_owned());
    let selectors = [named("a"), TopicSelector::Id(b.id), named("nope"), TopicSelector::Id(unknown), named("a")];
    let answers = catalog.delete_topics(&selectors).await.unwrap();
    assert_eq!(answers[..2], [Ok(Arc::clone(&a)), Ok(b)]);
    let message = |at: usize| answers[at].as_ref().unwrap_err().to_string();
    assert_eq!(message(2), "This server does not host this topic-partition.");
    assert_eq!(message(3), "This server does not host this topic ID.");
    assert_eq!(answers[4], Ok(a));
    assert_eq!((catalog.image().topics().len(), catalog.image().topic_by_id(unknown)), (0, None));
}

#[tokio::test]
async fn a_topic_made_anew_has_another_id() {
    let catalog = cluster(1).await;
    let old = create(&catalog, topic("a", 1, 1)).await.unwrap().topic;
    catalog.delete_topics(&[TopicSelector::Id(old.id)]).await.unwrap();
    let new = create(&catalog, topic("a", 1, 1)).await.unwrap().topic;
    assert_ne!(old.id, new.id);
}

#[tokio::test]
async fn growing_is_refused_in_kafkas_words() {
    let catalog = cluster(1).await;
    create(&catalog, topic("t1", 3, 1)).await.unwrap();
    let to = |topic: &str, count, assignments: Option<&[&[i32]]>| {
        let replicas = |ids: &&[i32]| ids.iter().copied().map(BrokerId).collect();
        let assignments = assignments.map(|all| all.iter().map(replicas).collect());
        NewPartitions { topic: topic.to_owned(), count, assignments }
    };
    for (new, message) in [
        (to("t1", 2, None), "The topic t1 currently has 3 partition(s); 2 would not be an increase."),
        (to("t1", 3, None), "Topic already has 3 partition(s)."),
        (to("t1", 0, None), "The topic t1 currently has 3 partition(s); 0 would not be an increase."),
        (to("t1", -1, None), "The topic t1 currently has 3 partition(s); -1 would not be an increase."),
        (to("t1", 20_000, None), "Excessively large number of additional partitions per request."),
        (to("nope", 3, None), "This server does not host this topic-partition."),
        (
            to("t1", 5, Some(&[&[1]])),
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            to("t1", 4, Some(&[&[9]])),
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (to("t1", 4, Some(&[&[]])), "The manual partition assignment includes an empty replica list."),
        (to("t1", 4, Some(&[&[1, 1]])), "The manual partition assignment includes the broker 1 more than once."),
    ] {
        let answers = catalog.create_partitions(&[new], false).await.unwrap();
        assert_eq!(answers[0].as_ref().unwrap_err().to_string(), message);
    }
    assert_eq!(catalog.image().topic("t1").unwrap().partitions.len(), 3);
}

#[tokio::test]
async fn a_topic_grows_and_keeps_what_it_had() {
    let catalog = cluster(3).await;
    let old = create(&catalog, topic("t", 2, 1)).await.unwrap().topic;
    let grow = |count| [NewPartitions { topic: "t".to_owned(), count, assignments: None }];
    assert_eq!(catalog.create_partitions(&grow(5), true).await.unwrap(), [Ok(())]);
    assert_eq!(catalog.image().topic("t"), Some(&old));
    assert_eq!(catalog.create_partitions(&grow(5), false).await.unwrap(), [Ok(())]);
    let new = Arc::clone(catalog.image().topic("t").unwrap());
    assert_eq!((new.id, &new.partitions[..2]), (old.id, &old.partitions[..]));
    let leaders: Vec<i32> = new.partitions.iter().map(|partition| partition.leader.0).collect();
    assert_eq!(leaders, [1, 2, 3, 1, 2]);
}
