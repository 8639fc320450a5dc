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

    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(settings())) {
            topics(admin);
            records();
            groups(admin);
            configs(admin);
            claim("the admin client deletes topics and groups", () -> {
                admin.deleteConsumerGroups(List.of("java-group")).all().get();
                admin.deleteTopics(List.of(TOPIC)).all().get();
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

    static void records() {
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
        claim("a record that is too large is refused and the next one taken", () -> {
            try (KafkaProducer<String, String> producer = producer("max.request.size", "5000000")) {
                try {
                    producer.send(new ProducerRecord<>(TOPIC, 1, null, "x".repeat(2_000_000))).get();
                    throw new AssertionError("no error");
                } catch (ExecutionException e) {
                    equal(e.getCause().getClass(), RecordTooLargeException.class);
                }
                producer.send(new ProducerRecord<>(TOPIC, 1, null, "small")).get();
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
