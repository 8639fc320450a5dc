"""kafka-python: a client without librdkafka, in pure Python."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

from claims import BOOTSTRAP, claim, equal, prove

TOPIC = "kafka-python-one"
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


@claim("kafka-python adds partitions and reads configs")
def alter():
    admin.create_partitions({TOPIC: NewPartitions(total_count=3)})
    equal(len(admin.describe_topics([TOPIC])[0]["partitions"]), 3)


@claim("kafka-python deletes a topic")
def delete():
    admin.delete_topics([TOPIC])
    equal(TOPIC in admin.list_topics(), False)


prove()
