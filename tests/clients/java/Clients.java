// Apache Kafka's own Java clients: producer, consumer, admin, as a program uses them. One line `ok - …` or `not ok - …`
// per claim, read by `cargo xtask test`. Started as a source file: java -cp 'LIBS/*' Clients.java

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

public class Clients {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final String TOPIC = "java-one";

    interface Proof {
        void run() throws Exception;
    }

    static void claim(String text, Proof proof) {
        try {
            proof.run();
            System.out.println("ok - " + text);
        } catch (Throwable e) {
            System.out.println("not ok - " + text);
            System.out.println("# " + e.toString().replace("\n", "\n# "));
            for (StackTraceElement at : e.getStackTrace()) {
                if (at.getClassName().startsWith("Clients")) System.out.println("# at line " + at.getLineNumber());
            }
        }
    }

    static void equal(Object got, Object expected) {
        if (!Objects.equals(got, expected)) throw new AssertionError("got " + got + ", expected " + expected);
    }

    static Properties settings(String... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", BOOTSTRAP);
        for (int i = 0; i < pairs.length; i += 2) settings.put(pairs[i], pairs[i + 1]);
        return settings;
    }

    static KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String... pairs) {
        Properties settings = settings(pairs);
        settings.putIfAbsent("auto.offset.reset", "earliest");
        settings.putIfAbsent("enable.auto.commit", "false");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (taken.size() < count && System.nanoTime() < end) consumer.poll(Duration.ofMillis(200)).forEach(taken::add);
        return taken;
    }

    /// Polls the members in turn until each owns so many partitions and all together six.
    static void untilEachOwns(List<KafkaConsumer<String, String>> members, int count) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (System.nanoTime() < end) {
            members.forEach(member -> member.poll(Duration.ofMillis(50)));
            Set<TopicPartition> all = new HashSet<>();
            members.forEach(member -> all.addAll(member.assignment()));
            if (all.size() == 6 && members.stream().allMatch(member -> member.assignment().size() == count)) return;
        }
        throw new AssertionError("the members own " + members.stream().map(KafkaConsumer::assignment).toList());
    }

    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(settings())) {
            topics(admin);
            records(admin);
            groups(admin);
            configs(admin);
            claim("the admin client deletes topics and groups", () -> {
                admin.deleteConsumerGroups(List.of("java-group")).all().get();
                admin.deleteTopics(List.of(TOPIC, "java-large", "java-shared")).all().get();
            });
        }
    }

    static void topics(Admin admin) {
        claim("the admin client creates a topic", () ->
            equal(admin.createTopics(List.of(new NewTopic(TOPIC, 2, (short) 1))).numPartitions(TOPIC).get(), 2));
        claim("the admin client is told that a topic exists", () -> {
            try {
                admin.createTopics(List.of(new NewTopic(TOPIC, 2, (short) 1))).all().get();
            } catch (ExecutionException e) {
                equal(e.getCause().getClass(), TopicExistsException.class);
                equal(e.getCause().getMessage(), "Topic 'java-one' already exists.");
                return;
            }
            throw new AssertionError("no error");
        });
        claim("the admin client adds partitions and describes them", () -> {
            admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(3))).all().get();
            equal(admin.describeTopics(List.of(TOPIC)).allTopicNames().get().get(TOPIC).partitions().size(), 3);
        });
    }

    static void records(Admin admin) {
        claim("an idempotent producer's records are all there, once and in order, with every codec", () -> {
            List<String> sent = new ArrayList<>();
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
                try (KafkaProducer<String, String> producer = producer("compression.type", codec, "acks", "all", "linger.ms", "5")) {
                    List<Future<RecordMetadata>> answers = new ArrayList<>();
                    for (int i = 0; i < 500; i++) {
                        sent.add(codec + i);
                        answers.add(producer.send(new ProducerRecord<>(TOPIC, 0, "key", codec + i)));
                    }
                    for (Future<RecordMetadata> answer : answers) answer.get(30, TimeUnit.SECONDS);
                }
            }
            try (KafkaConsumer<String, String> consumer = consumer()) {
                consumer.assign(List.of(new TopicPartition(TOPIC, 0)));
                consumer.seekToBeginning(consumer.assignment());
                equal(take(consumer, sent.size()).stream().map(ConsumerRecord::value).toList(), sent);
            }
        });
        claim("headers keep their order and doubles, null stays null", () -> {
            try (KafkaProducer<String, String> producer = producer(); KafkaConsumer<String, String> consumer = consumer()) {
                ProducerRecord<String, String> record = new ProducerRecord<>(TOPIC, 1, null, null);
                record.headers().add("h", "1".getBytes(StandardCharsets.UTF_8)).add("h", null);
                RecordMetadata at = producer.send(record).get();
                consumer.assign(List.of(new TopicPartition(TOPIC, 1)));
                consumer.seek(new TopicPartition(TOPIC, 1), at.offset());
                ConsumerRecord<String, String> read = take(consumer, 1).get(0);
                equal(read.key(), null);
                equal(read.value(), null);
                Header[] headers = read.headers().toArray();
                equal(headers.length, 2);
                equal(new String(headers[0].value(), StandardCharsets.UTF_8), "1");
                equal(headers[1].value(), null);
                equal(read.timestamp(), at.timestamp());
            }
        });
        claim("a record that is too large is refused, and taken where the topic allows it", () -> {
            try (KafkaProducer<String, String> producer = producer("max.request.size", "5000000")) {
                try {
                    producer.send(new ProducerRecord<>(TOPIC, 1, null, "x".repeat(2_000_000))).get();
                    throw new AssertionError("no error");
                } catch (ExecutionException e) {
                    equal(e.getCause().getClass(), RecordTooLargeException.class);
                }
                producer.send(new ProducerRecord<>(TOPIC, 1, null, "small")).get();
                admin.createTopics(List.of(new NewTopic("java-large", 1, (short) 1).configs(Map.of("max.message.bytes", "5000000")))).all().get();
                producer.send(new ProducerRecord<>("java-large", 0, null, "x".repeat(3_000_000))).get();
            }
            try (KafkaConsumer<String, String> consumer = consumer()) {
                consumer.assign(List.of(new TopicPartition("java-large", 0)));
                equal(take(consumer, 1).get(0).value().length(), 3_000_000);
            }
        });
        claim("a consumer seeks, pauses and resumes", () -> {
            TopicPartition first = new TopicPartition(TOPIC, 0);
            try (KafkaConsumer<String, String> consumer = consumer("max.poll.records", "1")) {
                consumer.assign(List.of(first));
                consumer.seek(first, 2000);
                equal(take(consumer, 1).get(0).offset(), 2000L);
                consumer.pause(List.of(first));
                equal(consumer.poll(Duration.ofMillis(500)).count(), 0);
                consumer.seek(first, 3);
                consumer.resume(List.of(first));
                equal(take(consumer, 1).get(0).offset(), 3L);
            }
        });
        claim("offsets are found by time and at the ends", () -> {
            try (KafkaConsumer<String, String> consumer = consumer()) {
                TopicPartition first = new TopicPartition(TOPIC, 0);
                equal(consumer.beginningOffsets(List.of(first)).get(first), 0L);
                equal(consumer.endOffsets(List.of(first)).get(first), 2500L);
                equal(consumer.offsetsForTimes(Map.of(first, 0L)).get(first).offset(), 0L);
            }
        });
        claim("an offset out of range is told when nothing says where to go", () -> {
            try (KafkaConsumer<String, String> consumer = consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(new TopicPartition(TOPIC, 0)));
                consumer.seek(new TopicPartition(TOPIC, 0), 1_000_000L);
                try {
                    take(consumer, 1);
                } catch (OffsetOutOfRangeException e) {
                    return;
                }
                throw new AssertionError("no error");
            }
        });
    }

    static void groups(Admin admin) {
        claim("two members share a group and commit", () -> {
            try (KafkaConsumer<String, String> one = consumer("group.id", "java-group"); KafkaConsumer<String, String> two = consumer("group.id", "java-group")) {
                one.subscribe(List.of(TOPIC));
                two.subscribe(List.of(TOPIC));
                long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
                while ((one.assignment().isEmpty() || two.assignment().isEmpty()) && System.nanoTime() < end) {
                    one.poll(Duration.ofMillis(100));
                    two.poll(Duration.ofMillis(100));
                }
                equal(one.assignment().size() + two.assignment().size(), 3);
                TopicPartition mine = one.assignment().iterator().next();
                one.commitSync(Map.of(mine, new OffsetAndMetadata(7, "note")));
                equal(one.committed(Set.of(mine)).get(mine), new OffsetAndMetadata(7, "note"));
                String state = admin.describeConsumerGroups(List.of("java-group")).all().get().get("java-group").groupState().toString();
                equal(state, "Stable");
            }
        });
        claim("members that come and go take and give single partitions, and keep the others", () -> {
            admin.createTopics(List.of(new NewTopic("java-shared", 6, (short) 1))).all().get();
            Set<TopicPartition> revoked = new HashSet<>();
            List<KafkaConsumer<String, String>> members = new ArrayList<>();
            for (int count = 1; count <= 3; count++) {
                KafkaConsumer<String, String> member = consumer("group.id", "java-cooperative", "heartbeat.interval.ms", "300",
                    "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
                member.subscribe(List.of("java-shared"), new ConsumerRebalanceListener() {
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        revoked.addAll(partitions);
                    }
                });
                members.add(member);
                List<Set<TopicPartition>> before = members.stream().map(KafkaConsumer::assignment).map(Set::copyOf).toList();
                revoked.clear();
                untilEachOwns(members, 6 / count);
                for (int i = 0; i < count - 1; i++) equal(before.get(i).containsAll(members.get(i).assignment()), true);
                equal(revoked.size(), count == 1 ? 0 : 6 / count);
            }
            members.remove(2).close();
            untilEachOwns(members, 3);
            equal(admin.describeConsumerGroups(List.of("java-cooperative")).all().get().get("java-cooperative").members().size(), 2);
            members.forEach(KafkaConsumer::close);
            Set<String> listed = new HashSet<>();
            admin.listGroups().all().get().forEach(group -> listed.add(group.groupId()));
            equal(listed.containsAll(Set.of("java-group", "java-cooperative")), true);
        });
        claim("a group's offsets are set from outside and its members go on there", () -> {
            TopicPartition first = new TopicPartition(TOPIC, 0);
            admin.alterConsumerGroupOffsets("java-outside", Map.of(first, new OffsetAndMetadata(42))).all().get();
            try (KafkaConsumer<String, String> consumer = consumer("group.id", "java-outside")) {
                consumer.assign(List.of(first));
                equal(take(consumer, 1).get(0).offset(), 42L);
            }
        });
        claim("a static member comes back without a rebalance", () -> {
            String[] settings = {"group.id", "java-static", "group.instance.id", "one"};
            Set<TopicPartition> before;
            try (KafkaConsumer<String, String> member = consumer(settings)) {
                member.subscribe(List.of(TOPIC));
                equal(take(member, 1).isEmpty(), false);
                before = Set.copyOf(member.assignment());
            }
            try (KafkaConsumer<String, String> member = consumer(settings)) {
                member.subscribe(List.of(TOPIC));
                equal(take(member, 1).isEmpty(), false);
                equal(member.assignment(), before);
            }
        });
    }

    static void configs(Admin admin) {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
        claim("configs are set, read and taken back", () -> {
            ConfigEntry entry = new ConfigEntry("retention.ms", "12345");
            admin.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
            equal(admin.describeConfigs(List.of(topic)).all().get().get(topic).get("retention.ms").value(), "12345");
            admin.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.DELETE)))).all().get();
            equal(admin.describeConfigs(List.of(topic)).all().get().get(topic).get("retention.ms").value(), "604800000");
        });
        claim("records are deleted up to an offset", () -> {
            TopicPartition first = new TopicPartition(TOPIC, 0);
            equal(admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(10))).lowWatermarks().get(first).get().lowWatermark(), 10L);
            equal(admin.listOffsets(Map.of(first, OffsetSpec.earliest())).partitionResult(first).get().offset(), 10L);
        });
        claim("the cluster describes itself", () -> {
            equal(admin.describeCluster().nodes().get().size(), 1);
            equal(admin.describeCluster().clusterId().get().length(), 22);
        });
    }
}
