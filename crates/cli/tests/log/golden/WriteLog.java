// Writes the log whose dump by Kafka's own tool is recorded (record.bash): every codec, headers, nulls, both kinds of transaction ends,
// both kinds of timestamps, and a second segment.
//   java -cp 'LIBS/*' WriteLog.java HOST:PORT

import java.util.List;
import java.util.Map;
import java.util.HashMap;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

public class WriteLog {
    static final long TIME = 1_700_000_000_000L, HOUR = 3_600_000L;
    static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var configs = Map.of("index.interval.bytes", "200", "retention.ms", "-1", "segment.ms", Long.toString(HOUR / 2));
            admin.createTopics(List.of(
                new NewTopic("dumped", 1, (short) 1).configs(configs),
                new NewTopic("stamped", 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime")))).all().get();
        }
        long offset = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            try (var producer = producer(Map.of("compression.type", codec))) {
                for (int n = 0; n < 4; n++) {
                    var record = new ProducerRecord<>("dumped", 0, TIME + offset++, n == 1 ? null : "key " + n, n == 2 ? null : codec.repeat(9) + n);
                    record.headers().add("first", new byte[] {1}).add("second", null);
                    producer.send(record);
                }
            }
        try (var producer = producer(Map.of("enable.idempotence", "false"))) {
            producer.send(new ProducerRecord<>("dumped", 0, TIME + 5, "", "an earlier time"));
            producer.send(new ProducerRecord<>("stamped", 0, TIME, "k", "stamped by the broker"));
        }
        try (var producer = producer(Map.of("transactional.id", "t"))) {
            producer.initTransactions();
            for (int n = 0; n < 4; n++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("dumped", 0, TIME + 100 + n + (n < 2 ? 0 : HOUR), "t", "in transaction " + n));
                producer.flush();
                if (n % 2 == 0) producer.abortTransaction(); else producer.commitTransaction();
            }
        }
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 200));
        config.putAll(more);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }
}
