"""confluent-kafka: librdkafka as Python programs use it, newer than the one in kcat."""

import time
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from claims import BOOTSTRAP, claim, equal, prove

TOPIC = "confluent-one"
LARGE = "confluent-large"
SHARED = "confluent-shared"
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def done(futures):
    """The result of the one future of an admin call."""
    return next(iter(futures.values())).result(timeout=30)


def consumer(group, **settings):
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest"}
    return Consumer({**base, "enable.auto.commit": False, **{k.replace("_", "."): v for k, v in settings.items()}})


def take(reader, count):
    records = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        record = reader.poll(1.0)
        if record is None:
            continue
        if record.error():
            raise KafkaException(record.error())
        records.append(record)
        if len(records) == count:
            return records
    raise AssertionError(f"{len(records)} records, expected {count}")


@claim("confluent-kafka creates a topic")
def create():
    done(admin.create_topics([NewTopic(TOPIC, 2, 1, config={"retention.ms": "86400000"})]))


@claim("confluent-kafka is told that a topic exists")
def create_again():
    try:
        done(admin.create_topics([NewTopic(TOPIC, 1, 1)]))
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS)
        return
    raise AssertionError("no error")


@claim("an idempotent producer's records are all there, once and in order, with every codec")
def produce():
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        failed = []
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "compression.type": codec})
        for number in range(200):
            producer.produce(TOPIC, f"{codec}-{number}", partition=0, on_delivery=lambda e, _: e and failed.append(e))
        equal(producer.flush(30), 0)
        equal(failed, [])
    reader = consumer(str(uuid.uuid4()))
    reader.assign([TopicPartition(TOPIC, 0, 0)])
    got = [record.value().decode() for record in take(reader, 1000)]
    reader.close()
    equal(got, [f"{codec}-{n}" for codec in ["none", "gzip", "snappy", "lz4", "zstd"] for n in range(200)])


@claim("keys choose partitions and headers keep their order")
def headers():
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "partitioner": "murmur2"})
    placed = []
    producer.produce(
        TOPIC, b"v", key=b"k", headers=[("a", b"1"), ("a", None)], on_delivery=lambda e, m: placed.append((e, m))
    )
    producer.flush(30)
    error, message = placed[0]
    equal(error, None)
    reader = consumer(str(uuid.uuid4()))
    reader.assign([TopicPartition(TOPIC, message.partition(), message.offset())])
    record = take(reader, 1)[0]
    reader.close()
    equal((record.key(), record.value(), record.headers()), (b"k", b"v", [("a", b"1"), ("a", None)]))


@claim("a group commits, and another member goes on there")
def group():
    first = consumer("confluent", **{"partition.assignment.strategy": "cooperative-sticky"})
    first.subscribe([TOPIC])
    records = take(first, 10)
    last = {}
    for record in records:
        last[record.partition()] = record
    for record in last.values():
        first.commit(record, asynchronous=False)
    first.close()
    second = consumer("confluent", **{"partition.assignment.strategy": "cooperative-sticky"})
    committed = second.committed([TopicPartition(TOPIC, partition) for partition in last], timeout=30)
    equal({place.partition: place.offset for place in committed}, {p: r.offset() + 1 for p, r in last.items()})
    second.close()


@claim("two members of a group share the partitions")
def share():
    members = [consumer("confluent-two") for _ in range(2)]
    for member in members:
        member.subscribe([TOPIC])
    for _ in range(120):
        for member in members:
            member.poll(0.25)
        owned = [sorted(place.partition for place in member.assignment()) for member in members]
        if sorted(owned) == [[0], [1]]:
            break
    for member in members:
        member.close()
    equal(sorted(owned), [[0], [1]])


@claim("confluent-kafka finds offsets by time and at the ends")
def offsets():
    reader = consumer(str(uuid.uuid4()))
    low, high = reader.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=30)
    equal((low, high >= 1000), (0, True))
    equal(reader.offsets_for_times([TopicPartition(TOPIC, 0, 0)], timeout=30)[0].offset, 0)
    reader.close()
    latest = done(admin.list_offsets({TopicPartition(TOPIC, 0): OffsetSpec.latest()}))
    equal(latest.offset, high)


@claim("confluent-kafka reads configs, alters them and takes them back")
def configs():
    def retention():
        return done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC)]))["retention.ms"].value

    def alter(operation):
        entry = ConfigEntry("retention.ms", "7200000", incremental_operation=operation)
        resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])
        done(admin.incremental_alter_configs([resource]))

    equal(retention(), "86400000")
    alter(AlterConfigOpType.SET)
    equal(retention(), "7200000")
    alter(AlterConfigOpType.DELETE)
    equal(retention(), "604800000")


@claim("confluent-kafka seeks, pauses and resumes")
def pause():
    place = TopicPartition(TOPIC, 0, 500)
    reader = consumer(str(uuid.uuid4()))
    reader.assign([place])
    equal(take(reader, 1)[0].offset(), 500)
    reader.pause([place])
    equal(reader.poll(0.5), None)
    reader.seek(TopicPartition(TOPIC, 0, 100))
    reader.resume([place])
    equal(take(reader, 1)[0].offset(), 100)
    reader.close()


@claim("large records pass where the topic allows them and are refused where not")
def large():
    done(admin.create_topics([NewTopic(LARGE, 1, 1, config={"max.message.bytes": "6000000"})]))
    value = bytes(range(256)) * 20_000
    outcomes = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "message.max.bytes": 8_000_000})
    for topic in [LARGE, TOPIC]:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, _: outcomes.append(error and error.code()))
        equal(producer.flush(30), 0)
    equal(outcomes, [None, KafkaError.MSG_SIZE_TOO_LARGE])
    reader = consumer(str(uuid.uuid4()))
    reader.assign([TopicPartition(LARGE, 0, 0)])
    equal(take(reader, 1)[0].value() == value, True)
    reader.close()


def owned(members, until):
    """Polls the members in turn until what each owns is as wanted; the partitions of each."""
    end = time.monotonic() + 60
    while True:
        for member in members:
            member.poll(0.1)
        owned = [sorted(place.partition for place in member.assignment()) for member in members]
        if until(owned):
            return owned
        if time.monotonic() > end:
            raise AssertionError(f"the members own {owned}")


def split(count):
    """Whether six partitions are spread over so many members, each to one."""
    return lambda owned: sorted(sum(owned, [])) == list(range(6)) and {len(mine) for mine in owned} == {6 // count}


@claim("members that come and go share the partitions, and cooperative ones keep theirs")
def rebalance():
    done(admin.create_topics([NewTopic(SHARED, 6, 1)]))
    for strategy in ["range", "roundrobin", "cooperative-sticky"]:
        settings = {"partition.assignment.strategy": strategy, "heartbeat.interval.ms": 300}
        members = []
        for count in [1, 2, 3]:
            before = [set(place.partition for place in member.assignment()) for member in members]
            members.append(consumer(f"confluent-{strategy}", **settings))
            members[-1].subscribe([SHARED])
            now = owned(members, split(count))
            if strategy == "cooperative-sticky":
                equal([set(mine) <= was for mine, was in zip(now, before)], [True] * (count - 1))
        members.pop().close()
        owned(members, split(2))
        described = done(admin.describe_consumer_groups([f"confluent-{strategy}"]))
        equal((described.partition_assignor, len(described.members)), (strategy, 2))
        for member in members:
            member.close()


@claim("a static member comes back to its partitions without a rebalance")
def static():
    revoked = []

    def member(number):
        settings = {"group.instance.id": f"member-{number}", "heartbeat.interval.ms": 300}
        reader = consumer("confluent-static", **settings)
        reader.subscribe([SHARED], on_revoke=lambda _, places: revoked.append((number, places)))
        return reader

    members = [member(0), member(1)]
    before = owned(members, split(2))
    revoked.clear()
    members[1].close()
    members[1] = member(1)
    equal(owned(members, split(2)), before)
    equal([places for number, places in revoked if number == 0], [])
    for reader in members:
        reader.close()


@claim("confluent-kafka deletes records and sets a group's offsets")
def delete_records():
    place = TopicPartition(TOPIC, 0, 10)
    equal(done(admin.delete_records([place])).low_watermark, 10)
    equal(done(admin.list_offsets({TopicPartition(TOPIC, 0): OffsetSpec.earliest()})).offset, 10)
    done(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("confluent", [TopicPartition(TOPIC, 0, 77)])]))
    asked = ConsumerGroupTopicPartitions("confluent", [TopicPartition(TOPIC, 0)])
    equal(done(admin.list_consumer_group_offsets([asked])).topic_partitions[0].offset, 77)


@claim("confluent-kafka adds partitions and sees groups")
def alter():
    done(admin.create_partitions([NewPartitions(TOPIC, 3)]))
    equal(len(admin.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions), 3)
    groups = {group.group_id for group in admin.list_consumer_groups().result(timeout=30).valid}
    equal("confluent" in groups, True)


@claim("confluent-kafka deletes a group and topics")
def delete():
    done(admin.delete_consumer_groups(["confluent"]))
    for deleted in admin.delete_topics([TOPIC, LARGE, SHARED]).values():
        deleted.result(timeout=30)


prove()
