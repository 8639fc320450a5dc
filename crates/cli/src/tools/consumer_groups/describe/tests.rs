//! What `consumer-groups --describe` prints, against outputs recorded from kafka-consumer-groups.sh.

use millstream_client::Broker;

use super::*;

fn broker() -> Broker {
    Broker { id: 1, host: "127.0.0.1".to_owned(), port: 19092, rack: None }
}

fn group(state: &str, members: Vec<MemberDescription>) -> GroupDescription {
    GroupDescription {
        group_id: "g2".to_owned(),
        state: state.to_owned(),
        group_type: "Classic",
        protocol_type: "consumer".to_owned(),
        protocol: if members.is_empty() { String::new() } else { "range".to_owned() },
        coordinator: broker(),
        members,
        epochs: None,
    }
}

fn member() -> MemberDescription {
    MemberDescription {
        member_id: "console-consumer-c9eb26b6-004d-4698-adee-4dac03d66500".to_owned(),
        group_instance_id: None,
        client_id: "console-consumer".to_owned(),
        host: "/127.0.0.1".to_owned(),
        assignment: (0..5).map(|index| TopicPartition::new("t1", index)).collect(),
        target_assignment: None,
        member_epoch: None,
        upgraded: None,
    }
}

fn text(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn partitions_stand_with_their_lag() {
    let row = |index, committed, end| OffsetRow {
        partition: TopicPartition::new("tk", index),
        leader_epoch: None,
        committed,
        end,
        member: ["-", "-", "-"].map(str::to_owned),
    };
    let rows = [row(0, Some(3), Some(5)), row(1, None, Some(4)), row(2, Some(1), None)];
    let expected = "
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g1              tk              0          3               5               2               -               -               -
g1              tk              1          -               4               -               -               -               -
g1              tk              2          1               -               -               -               -               -
";
    assert_eq!(text(|out| print_offsets("g1", &rows, false, out)), expected);
    assert!(text(|out| print_offsets("g1", &rows, true, out)).contains(" PARTITION  LEADER-EPOCH    CURRENT-OFFSET "));
}

#[test]
fn members_stand_with_their_assignments() {
    let expected = "
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   
g2              console-consumer-c9eb26b6-004d-4698-adee-4dac03d66500 /127.0.0.1      console-consumer 5               -               t1:0,1,2,3,4         -               -                   
";
    assert_eq!(text(|out| print_members(&group("Stable", vec![member()]), true, out)), expected);
    let expected = "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n";
    assert_eq!(text(|out| print_members(&group("Empty", Vec::new()), false, out)), expected);
}

#[test]
fn a_static_member_brings_a_column() {
    let member = MemberDescription { group_instance_id: Some("one".to_owned()), ..member() };
    let printed = text(|out| print_members(&group("Stable", vec![member]), false, out));
    assert!(
        printed.contains(" GROUP-INSTANCE-ID HOST ") && printed.contains(" one               /127.0.0.1 "),
        "{printed}"
    );
}

#[test]
fn the_state_stands_with_its_coordinator() {
    let expected = "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
g2              127.0.0.1:19092  (1)      range                Stable               1
";
    assert_eq!(text(|out| print_state(&group("Stable", vec![member()]), false, out)), expected);
    let consumer =
        GroupDescription { epochs: Some((2, 2)), protocol: "uniform".to_owned(), ..group("Stable", vec![member()]) };
    let expected = "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
g2              127.0.0.1:19092  (1)      uniform              Stable               2               2                         1
";
    assert_eq!(text(|out| print_state(&consumer, true, out)), expected);
}
