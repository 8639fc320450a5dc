// What the tests of import and export write into a cluster and read back, with Kafka's own client:
//   java -cp 'LIBS/*' KafkaData.java write|write-plainly|security|more|dump|dump-security HOST:PORT
// `dump` prints what a reader of the cluster can see, line by line and sorted, so that two clusters are equal when the texts are.

import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

public class KafkaData {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final long TIME = 1_700_000_000_000L;
    static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            switch (args[0]) {
                case "write" -> { write(admin); transactions(); commit("second", Map.of(new TopicPartition("transactions", 1), 5L)); }
                case "write-plainly" -> write(admin);
                case "security" -> security(admin);
                case "more" -> more();
                case "dump" -> dump(admin);
                case "dump-security" -> dumpSecurity(admin);
                default -> throw new IllegalArgumentException(args[0]);
            }
        }
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "batch.size", 2000));
        config.putAll(more);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, int number, String key, String value) throws Exception {
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, partition, TIME + number,
            key == null ? null : bytes(key), value == null ? null : bytes(value));
        record.headers().add("n", bytes(Integer.toString(number)));
        producer.send(record, (done, error) -> { if (error != null) { error.printStackTrace(); System.exit(1); } });
    }

    static void write(Admin admin) throws Exception {
        admin.createTopics(List.of(
            new NewTopic("codecs", CODECS.length, (short) 1).configs(Map.of("segment.bytes", "1048576", "retention.ms", "-1")),
            new NewTopic("small-segments", 1, (short) 1).configs(Map.of("segment.bytes", "1048576", "retention.ms", "-1")),
            new NewTopic("compacted", 2, (short) 1).configs(Map.of("cleanup.policy", "compact", "segment.ms", "60000")),
            new NewTopic("transactions", 2, (short) 1).configs(Map.of("retention.ms", "-1")),
            new NewTopic("trimmed", 1, (short) 1).configs(Map.of("retention.ms", "-1")),
            new NewTopic("emptied", 1, (short) 1).configs(Map.of("retention.ms", "-1")),
            new NewTopic("never.used", 3, (short) 1),
            new NewTopic("deleted", 1, (short) 1))).all().get();
        for (int codec = 0; codec < CODECS.length; codec++) {
            try (var producer = producer(Map.of("compression.type", CODECS[codec]))) {
                for (int n = 0; n < 300; n++) send(producer, "codecs", codec, n, "k" + n % 7, "value " + n + " " + CODECS[codec].repeat(n % 30));
            }
        }
        try (var producer = producer(Map.of("batch.size", 100_000))) {
            for (int n = 0; n < 1500; n++) send(producer, "small-segments", 0, n, null, "x".repeat(2000) + n);
        }
        try (var producer = producer(Map.of())) {
            for (int n = 0; n < 500; n++) send(producer, "compacted", n % 2, n, "key " + n % 10, n % 50 == 0 ? null : "v" + n);
            for (int n = 0; n < 50; n++) {
                send(producer, "trimmed", 0, n, "k", "v" + n);
                send(producer, "emptied", 0, n, "k", "v" + n);
                send(producer, "deleted", 0, n, "k", "v" + n);
            }
        }
        admin.deleteRecords(Map.of(
            new TopicPartition("trimmed", 0), RecordsToDelete.beforeOffset(33),
            new TopicPartition("emptied", 0), RecordsToDelete.beforeOffset(-1))).all().get();
        admin.deleteTopics(List.of("deleted")).all().get();
        commit("first", Map.of(new TopicPartition("codecs", 0), 17L, new TopicPartition("codecs", 4), 300L));
    }

    @SuppressWarnings("removal")
    static void transactions() throws Exception {
        try (var producer = producer(Map.of("transactional.id", "tx"))) {
            producer.initTransactions();
            for (int n = 0; n < 6; n++) {
                producer.beginTransaction();
                for (int m = 0; m < 5; m++) send(producer, "transactions", m % 2, 10 * n + m, "t" + n, (n % 2 == 0 ? "kept " : "aborted ") + m);
                if (n == 4) producer.sendOffsetsToTransaction(
                    Map.of(new TopicPartition("codecs", 1), new OffsetAndMetadata(42, "in a transaction")), new ConsumerGroupMetadata("third"));
                if (n % 2 == 0) producer.commitTransaction(); else { producer.flush(); producer.abortTransaction(); }
            }
        }
    }

    static void commit(String group, Map<TopicPartition, Long> offsets) throws Exception {
        try (var consumer = consumer(group, "read_uncommitted")) {
            consumer.assign(offsets.keySet());
            Map<TopicPartition, OffsetAndMetadata> commits = new HashMap<>();
            offsets.forEach((partition, offset) -> commits.put(partition, new OffsetAndMetadata(offset, "by " + group)));
            consumer.commitSync(commits);
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group, String isolation) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "isolation.level", isolation,
            "enable.auto.commit", "false", "auto.offset.reset", "none", "fetch.max.wait.ms", "20"));
        if (group != null) config.put("group.id", group);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Goes on writing everywhere, and commits an offset. */
    static void more() throws Exception {
        try (var producer = producer(Map.of("compression.type", "lz4"))) {
            for (int n = 0; n < 40; n++) {
                for (int p = 0; p < CODECS.length; p++) send(producer, "codecs", p, 10_000 + n, "more", "more " + n);
                for (String topic : List.of("small-segments", "compacted", "transactions", "trimmed", "emptied", "never.used"))
                    send(producer, topic, 0, 10_000 + n, "more " + n, "more " + n);
            }
        }
        commit("first", Map.of(new TopicPartition("codecs", 0), 320L));
        commit("fourth", Map.of(new TopicPartition("never.used", 0), 7L));
    }

    static void security(Admin admin) throws Exception {
        admin.createAcls(List.of(
            new AclBinding(new ResourcePattern(ResourceType.TOPIC, "codecs", PatternType.LITERAL),
                new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW)),
            new AclBinding(new ResourcePattern(ResourceType.GROUP, "f", PatternType.PREFIXED),
                new AccessControlEntry("User:bob", "10.0.0.1", AclOperation.ALL, AclPermissionType.DENY)))).all().get();
        admin.alterUserScramCredentials(List.of(
            new UserScramCredentialUpsertion("alice", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"),
            new UserScramCredentialUpsertion("bob", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 5000), "secret"))).all().get();
        Map<String, String> everybody = new HashMap<>();
        everybody.put("user", null);
        admin.alterClientQuotas(List.of(
            new ClientQuotaAlteration(new ClientQuotaEntity(Map.of("user", "alice", "client-id", "c")),
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e8))),
            new ClientQuotaAlteration(new ClientQuotaEntity(everybody),
                List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 123450000.0))))).all().get();
        admin.incrementalAlterConfigs(Map.of(
            new ConfigResource(ConfigResource.Type.BROKER, ""), List.of(new AlterConfigOp(new ConfigEntry("log.retention.ms", "600000000"), AlterConfigOp.OpType.SET)),
            new ConfigResource(ConfigResource.Type.BROKER, "1"), List.of(new AlterConfigOp(new ConfigEntry("message.max.bytes", "2000000"), AlterConfigOp.OpType.SET)),
            new ConfigResource(ConfigResource.Type.GROUP, "first"), List.of(new AlterConfigOp(new ConfigEntry("consumer.session.timeout.ms", "46000"), AlterConfigOp.OpType.SET))
        )).all().get();
    }

    static void dumpSecurity(Admin admin) throws Exception {
        var lines = new TreeSet<String>();
        admin.describeAcls(AclBindingFilter.ANY).values().get().forEach(acl -> lines.add("acl " + acl));
        admin.describeUserScramCredentials().all().get().forEach((user, description) -> lines.add("scram " + user + " " + description));
        admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().forEach((entity, quotas) -> lines.add("quota " + new TreeMap<>(entity.entries()) + " " + quotas));
        lines.forEach(System.out::println);
    }

    static void dump(Admin admin) throws Exception {
        var topics = new TreeMap<>(admin.describeTopics(admin.listTopics().names().get()).allTopicNames().get());
        var resources = new ArrayList<ConfigResource>(List.of(new ConfigResource(ConfigResource.Type.BROKER, ""), new ConfigResource(ConfigResource.Type.BROKER, "1"),
            new ConfigResource(ConfigResource.Type.GROUP, "first")));
        topics.keySet().stream().filter(name -> !name.startsWith("__")).forEach(name -> resources.add(new ConfigResource(ConfigResource.Type.TOPIC, name)));
        var configs = new TreeSet<String>();
        admin.describeConfigs(resources).all().get().forEach((resource, config) -> config.entries().stream()
            .filter(entry -> !inherited(resource, entry))
            .forEach(entry -> configs.add("config " + resource.type() + " " + resource.name() + " " + entry.name() + "=" + entry.value())));
        configs.forEach(System.out::println);
        var partitions = new ArrayList<TopicPartition>();
        System.out.println("cluster " + admin.describeCluster().clusterId().get());
        for (var topic : topics.values()) {
            if (topic.name().startsWith("__")) continue;
            System.out.println("topic " + topic.name() + " " + topic.topicId() + " " + topic.partitions().size());
            for (var partition : topic.partitions()) partitions.add(new TopicPartition(topic.name(), partition.partition()));
        }
        partitions.sort(Comparator.comparing(TopicPartition::toString));
        for (String isolation : List.of("read_uncommitted", "read_committed")) {
            try (var consumer = consumer(null, isolation)) {
                for (var partition : partitions) records(consumer, partition, isolation);
            }
        }
        for (String group : List.of("first", "second", "third", "fourth"))
            new TreeMap<>(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet().stream()
                .collect(java.util.stream.Collectors.toMap(entry -> entry.getKey().toString(), entry -> entry.getValue().offset() + " " + entry.getValue().metadata())))
                .forEach((partition, offset) -> System.out.println("group " + group + " " + partition + " " + offset));
    }

    static boolean inherited(ConfigResource resource, ConfigEntry entry) {
        return switch (resource.type()) {
            case TOPIC -> entry.source() != ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
            case GROUP -> entry.source() != ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG;
            default -> resource.name().isEmpty() ? entry.source() != ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
                : entry.source() != ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG;
        };
    }

    static void records(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, String isolation) {
        consumer.assign(List.of(partition));
        long begin = consumer.beginningOffsets(List.of(partition)).get(partition), end = consumer.endOffsets(List.of(partition)).get(partition);
        System.out.println("log " + partition + " " + isolation + " " + begin + ".." + end);
        consumer.seek(partition, begin);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (consumer.position(partition) < end) {
            if (System.nanoTime() > deadline) throw new IllegalStateException(partition + " stops at " + consumer.position(partition));
            for (var record : consumer.poll(java.time.Duration.ofMillis(100)))
                System.out.println(partition + " " + isolation.charAt(5) + " " + record.offset() + " " + record.timestamp() + " " + text(record.key()) + "=" + text(record.value())
                    + " " + text(record.headers().lastHeader("n").value()));
        }
        // In a lookup by time Kafka counts the markers of transactions, too, whose times are not ours to choose.
        if (isolation.equals("read_committed") || partition.topic().equals("transactions")) return;
        for (long after : new long[] {TIME + 20, TIME + 10_005}) {
            var found = consumer.offsetsForTimes(Map.of(partition, after)).get(partition);
            System.out.println("time " + partition + " " + after + " " + (found == null ? "none" : found.offset() + " " + found.timestamp()));
        }
    }

    static String text(byte[] bytes) {
        if (bytes == null) return "null";
        String text = new String(bytes, StandardCharsets.UTF_8);
        return text.length() > 40 ? text.substring(0, 40) + "#" + Arrays.hashCode(bytes) : text;
    }
}
