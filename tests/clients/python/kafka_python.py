"""kafka-python: a client without librdkafka, in pure Python."""

import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError

from claims import BOOTSTRAP, claim, equal, prove

TOPIC = "kafka-python-one"
LARGE = "kafka-python-large"
SHARED = "kafka-python-shared"
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def consumer(**settings):
    settings = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 10_000, **settings}
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, **settings)


def read(count, **settings):
    """The first `count` records of partition 0 of the topic."""
    with_partition = consumer(**settings)
    with_partition.assign([TopicPartition(TOPIC, 0)])
    with_partition.seek_to_beginning()
    records = []
    for record in with_partition:
        records.append(record)
        if len(records) == count:
            break
    with_partition.close()
    return records


@claim("kafka-python creates a topic")
def create():
    admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    equal(TOPIC in admin.list_topics(), True)


@claim("kafka-python is told that a topic exists")
def create_again():
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    except TopicAlreadyExistsError:
        return
    raise AssertionError("no error")


@claim("kafka-python sends with every codec and learns each offset")
def send():
    for offset, codec in enumerate([None, "gzip", "snappy", "lz4", "zstd"]):
        producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", compression_type=codec)
        sent = producer.send(TOPIC, key=b"key", value=str(codec).encode(), headers=[("h", b"1"), ("h", b"2")])
        equal(sent.get(timeout=30).offset, offset)
        producer.close()


@claim("kafka-python reads what it sent, headers in order")
def receive():
    records = read(5)
    equal([record.value for record in records], [b"None", b"gzip", b"snappy", b"lz4", b"zstd"])
    equal({record.key for record in records}, {b"key"})
    equal(list(records[0].headers), [("h", b"1"), ("h", b"2")])


@claim("a group commits, and another member goes on there")
def group():
    first = consumer(group_id="kafka-python", enable_auto_commit=False)
    first.subscribe([TOPIC])
    taken = [next(first).offset, next(first).offset]
    first.commit()
    first.close()
    equal(taken, [0, 1])
    second = consumer(group_id="kafka-python", enable_auto_commit=False)
    second.subscribe([TOPIC])
    # The first member committed the position behind all it had fetched and handed out.
    equal(second.committed(TopicPartition(TOPIC, 0)), 2)
    equal(next(second).offset, 2)
    second.close()


@claim("kafka-python finds offsets by time and at the ends")
def offsets():
    partition = TopicPartition(TOPIC, 0)
    looker = consumer()
    equal(looker.beginning_offsets([partition]), {partition: 0})
    equal(looker.end_offsets([partition]), {partition: 5})
    equal(looker.offsets_for_times({partition: 0})[partition].offset, 0)
    looker.close()


@claim("kafka-python adds partitions, alters configs and reads them")
def alter():
    admin.create_partitions({TOPIC: NewPartitions(total_count=3)})
    equal(len(admin.describe_topics([TOPIC])[0]["partitions"]), 3)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {"retention.ms": "7200000"})])
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
    (topics,) = described.values()
    equal(str(topics[TOPIC]["retention.ms"]["value"]), "7200000")


@claim("an idempotent producer's records are all there, once and in order")
def idempotent():
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True, acks="all")
    sent = [producer.send(TOPIC, value=str(number).encode(), partition=1) for number in range(300)]
    equal([answer.get(timeout=30).offset for answer in sent], list(range(300)))
    producer.close()


@claim("kafka-python seeks, pauses and resumes")
def pause():
    partition = TopicPartition(TOPIC, 1)
    reader = consumer(max_poll_records=10)
    reader.assign([partition])
    reader.seek(partition, 290)
    equal(next(reader).offset, 290)
    reader.pause(partition)
    equal(sum(len(records) for records in reader.poll(timeout_ms=500).values()), 0)
    reader.seek(partition, 100)
    reader.resume(partition)
    equal(next(reader).offset, 100)
    reader.close()


@claim("kafka-python finds the offset of a moment between records")
def between():
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    base = 1_700_000_000_000
    for moment in [0, 1000, 2000]:
        producer.send(TOPIC, value=b"timed", partition=2, timestamp_ms=base + moment).get(timeout=30)
    producer.close()
    partition = TopicPartition(TOPIC, 2)
    looker = consumer()
    equal(looker.offsets_for_times({partition: base + 500})[partition].offset, 1)
    equal(looker.offsets_for_times({partition: base + 5000})[partition], None)
    looker.close()


@claim("large records pass where the topic allows them and are refused where not")
def large():
    admin.create_topics([NewTopic(LARGE, 1, 1, topic_configs={"max.message.bytes": "6000000"})])
    value = bytes(range(256)) * 20_000
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, max_request_size=8_000_000)
    equal(producer.send(LARGE, value=value).get(timeout=30).offset, 0)
    try:
        producer.send(TOPIC, value=value).get(timeout=30)
        raise AssertionError("no error")
    except MessageSizeTooLargeError:
        pass
    producer.close()
    reader = consumer()
    reader.assign([TopicPartition(LARGE, 0)])
    equal(next(reader).value == value, True)
    reader.close()


class Member(threading.Thread):
    """A member of a group on a thread of its own, as in a program of its own: members need one another to join."""

    def __init__(self, **settings):
        super().__init__(daemon=True)
        self.settings = {"heartbeat_interval_ms": 300, **settings}
        self.owned, self.generation = [], None
        self.over = threading.Event()
        self.start()

    def run(self):
        member = consumer(**self.settings)
        member.subscribe([SHARED])
        while not self.over.is_set():
            member.poll(timeout_ms=100)
            self.owned = sorted(place.partition for place in member.assignment())
            self.generation = member._coordinator._generation.generation_id
        member.close()

    def leave(self):
        self.over.set()
        self.join(60)
        equal(self.is_alive(), False)


def owned(members, until):
    """Waits until what each member owns is as wanted; the partitions of each."""
    end = time.monotonic() + 60
    while True:
        owned = [member.owned for member in members]
        if until(owned):
            return owned
        if time.monotonic() > end:
            raise AssertionError(f"the members own {owned}")
        time.sleep(0.05)


def split(count):
    """Whether six partitions are spread over so many members, each to one."""
    return lambda owned: sorted(sum(owned, [])) == list(range(6)) and {len(mine) for mine in owned} == {6 // count}


# Its cooperative members leave partitions to two or to nobody, against Apache Kafka too; the other suites have the claim.
@claim("members that come and go share the partitions")
def rebalance():
    admin.create_topics([NewTopic(SHARED, 6, 1)])
    members = []
    for count in [1, 2, 3]:
        members.append(Member(group_id="kafka-python-range"))
        owned(members, split(count))
    described = admin.describe_groups(["kafka-python-range"])
    equal(len(described["kafka-python-range"]["members"]), 3)
    members.pop().leave()
    owned(members, split(2))
    for member in members:
        member.leave()


@claim("a static member comes back to its partitions without a rebalance")
def static():
    def named(number):
        return Member(group_id="kafka-python-static", group_instance_id=f"member-{number}")

    members = [named(0), named(1)]
    before = owned(members, split(2))
    generation = members[0].generation
    members[1].leave()
    members[1] = named(1)
    equal(owned(members, split(2)), before)
    equal([member.generation for member in members], [generation, generation])
    for member in members:
        member.leave()


@claim("kafka-python lists groups and sets their offsets")
def groups():
    listed = {group["group_id"] for group in admin.list_groups()}
    equal({"kafka-python", "kafka-python-range"} <= listed, True)
    partition = TopicPartition(TOPIC, 0)
    admin.reset_group_offsets("kafka-python", {partition: 4})
    equal(admin.list_group_offsets(["kafka-python"])["kafka-python"][partition].offset, 4)


@claim("kafka-python deletes records up to an offset")
def delete_records():
    partition = TopicPartition(TOPIC, 0)
    admin.delete_records({partition: 3})
    looker = consumer()
    equal(looker.beginning_offsets([partition]), {partition: 3})
    looker.close()


@claim("kafka-python deletes groups and topics")
def delete():
    admin.delete_groups(["kafka-python"])
    admin.delete_topics([TOPIC, LARGE, SHARED])
    equal({TOPIC, LARGE, SHARED} & set(admin.list_topics()), set())


prove()
