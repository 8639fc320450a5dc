"""confluent-kafka: librdkafka as Python programs use it, newer than the one in kcat."""

import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec

from claims import BOOTSTRAP, claim, equal, prove

TOPIC = "confluent-one"
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


@claim("confluent-kafka reads and alters configs")
def configs():
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
    equal(done(admin.describe_configs([resource]))["retention.ms"].value, "86400000")


@claim("confluent-kafka adds partitions and sees groups")
def alter():
    done(admin.create_partitions([NewPartitions(TOPIC, 3)]))
    equal(len(admin.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions), 3)
    groups = {group.group_id for group in admin.list_consumer_groups().result(timeout=30).valid}
    equal("confluent" in groups, True)


@claim("confluent-kafka deletes a group and a topic")
def delete():
    done(admin.delete_consumer_groups(["confluent"]))
    done(admin.delete_topics([TOPIC]))


prove()
