// Writes the batches in this folder with Apache Kafka's own code (kafka-clients 4.4.0), for crates/model/tests/golden.rs.
//   javac -cp 'LIBS/*' -d OUT GoldenBatches.java && java -cp 'LIBS/*:OUT' GoldenBatches .
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class GoldenBatches {
    static final byte MAGIC = 2;
    static final long T0 = 1_700_000_000_000L;

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Null and empty keys and values, a key that comes twice among the headers, timestamps that go back. */
    static SimpleRecord[] mixed() {
        Header[] headers = {
            new RecordHeader("trace", utf8("a")), new RecordHeader("trace", utf8("b")), new RecordHeader("nothing", null),
            new RecordHeader("", new byte[0])
        };
        return new SimpleRecord[] {
            new SimpleRecord(T0, utf8("k0"), utf8("v0")),
            new SimpleRecord(T0 + 5, null, utf8("no key"), headers),
            new SimpleRecord(T0 - 3, utf8("tombstone"), null),
            new SimpleRecord(T0 + 70_000, new byte[0], new byte[0])
        };
    }

    /** 300 records of 1,000 compressible bytes: several blocks of every codec. */
    static SimpleRecord[] large() {
        SimpleRecord[] records = new SimpleRecord[300];
        for (int i = 0; i < records.length; i++) {
            byte[] value = new byte[1000];
            for (int j = 0; j < value.length; j++) value[j] = (byte) ((i * 31 + j / 100) % 251);
            records[i] = new SimpleRecord(T0 + i, utf8("key-" + i), value);
        }
        return records;
    }

    static void write(Path folder, String name, MemoryRecords records) throws Exception {
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().duplicate().get(bytes);
        Files.write(folder.resolve(name + ".bin"), bytes);
    }

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            Compression compression = Compression.of(CompressionType.forName(codec)).build();
            write(folder, codec + "-mixed", MemoryRecords.withRecords(MAGIC, 0, compression, TimestampType.CREATE_TIME, mixed()));
            if (codec.equals("none")) continue;
            write(folder, codec + "-large", MemoryRecords.withRecords(MAGIC, 0, compression, TimestampType.CREATE_TIME, large()));
        }
        write(folder, "idempotent", MemoryRecords.withRecords(MAGIC, 0, Compression.NONE, TimestampType.CREATE_TIME,
            4711, (short) 3, 17, -1, true, mixed()));
        MemoryRecords appended = MemoryRecords.withRecords(MAGIC, 0, Compression.NONE, TimestampType.CREATE_TIME, mixed());
        MutableRecordBatch batch = appended.batches().iterator().next();
        batch.setLastOffset(1003);
        batch.setPartitionLeaderEpoch(7);
        batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, T0 + 99);
        write(folder, "log-append-time", appended);
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.COMMIT, ControlRecordType.ABORT})
            write(folder, type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                0, T0, -1, 4711, (short) 3, new EndTransactionMarker(type, 12)));
    }
}
