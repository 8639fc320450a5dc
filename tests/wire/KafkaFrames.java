import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * Prints what Kafka's own code writes, for our tests to compare with: `cargo xtask golden` runs it.
 *
 * One line per message, version and content: `NAME VERSION default|full|nulls HEX`, and for the newest version
 * `NAME VERSION fields TEXT`, the full message as Rust would print it (structure names left out).
 * With the argument `errors`: `CODE NAME REMEDY MESSAGE`.
 */
public class KafkaFrames {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("errors")) {
            printErrors();
            return;
        }
        TreeSet<String> classes = new TreeSet<>();
        for (String path : arguments) {
            try (JarFile jar = new JarFile(path)) {
                jar.stream().map(entry -> entry.getName()).filter(KafkaFrames::isMessage).forEach(classes::add);
            }
        }
        for (String path : classes) {
            Class<?> type = Class.forName(path.replace(".class", "").replace('/', '.'));
            if (Message.class.isAssignableFrom(type) && isSpoken(type)) {
                printFrames(type);
            }
        }
    }

    static void printErrors() {
        for (Errors error : Errors.values()) {
            Exception exception = error.exception();
            String remedy = exception instanceof InvalidMetadataException ? "StaleMetadata"
                : exception instanceof RetriableException ? "Retriable" : "Final";
            String message = exception == null ? "" : error.message();
            System.out.println((error.code() + " " + error.name() + " " + remedy + " " + message).trim());
        }
    }

    static boolean isMessage(String path) {
        boolean here = path.startsWith("org/apache/kafka/common/message/") && path.endsWith("Data.class")
            || path.startsWith("org/apache/kafka/common/message/ConsumerProtocol")
            || path.matches("org/apache/kafka/common/message/.*(Record|Message).class")
            || path.startsWith("org/apache/kafka/common/metadata/") && path.endsWith("Record.class")
            || path.matches("org/apache/kafka/coordinator/.*/generated/.*(Key|Value).class");
        return here && !path.matches(".*([$]|JsonConverter|HeaderData|DefaultPrincipal).*");
    }

    /** Whether brokers serve this API to clients; what is no API is always spoken. */
    static boolean isSpoken(Class<?> type) {
        for (ApiMessageType api : ApiMessageType.values()) {
            if (type.getSimpleName().matches(api.name + "(Request|Response)Data")) {
                return api.listeners().contains(ApiMessageType.ListenerType.BROKER);
            }
        }
        return true;
    }

    static void printFrames(Class<?> type) throws Exception {
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        String name = type.getSimpleName().replaceAll("Data$", "");
        for (short version = 0; version < schemas.length; version++) {
            if (schemas[version] == null) {
                continue;
            }
            try {
                System.out.println(name + " " + version + " default " + write(newMessage(type), version));
            } catch (NullPointerException | org.apache.kafka.common.errors.UnsupportedVersionException refused) {
                System.out.println(name + " " + version + " default refused");
            }
            Message full = fill(type, schemas[version], version, false);
            System.out.println(name + " " + version + " full " + write(full, version));
            Message nulls = fill(type, schemas[version], version, true);
            System.out.println(name + " " + version + " nulls " + write(nulls, version));
            if (version == schemas.length - 1) {
                System.out.println(name + " " + version + " fields " + print(full));
            }
        }
    }

    /** A filled message, made from bytes that Kafka's schemas wrote and its generated code reads and writes alike. */
    static Message fill(Class<?> type, Schema schema, short version, boolean nulls) throws Exception {
        ByteBuffer bytes = ByteBuffer.allocate(1 << 16);
        new Filler(nulls).struct(schema).writeTo(bytes);
        bytes.flip();
        Message message = newMessage(type);
        message.read(new ByteBufferAccessor(bytes.duplicate()), version);
        if (nulls) {
            clearTagged(message, schema);
        } else if (!write(message, version).equals(hex(bytes))) {
            throw new IllegalStateException(type + " " + version + ": schema and generated code differ");
        }
        return message;
    }

    /** Sets the message's own tagged fields to null where they may be: Kafka's schemas cannot write that. */
    static void clearTagged(Message message, Schema schema) throws Exception {
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tagged) {
                for (var known : tagged.fields().values()) {
                    for (Field candidate : message.getClass().getDeclaredFields()) {
                        if (known.type.isNullable() && snakeCase(candidate.getName()).equals(known.name)) {
                            candidate.setAccessible(true);
                            candidate.set(message, null);
                        }
                    }
                }
            }
        }
    }

    static Message newMessage(Class<?> type) throws Exception {
        return (Message) type.getConstructor().newInstance();
    }

    static String write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(bytes), cache, version);
        bytes.flip();
        return hex(bytes);
    }

    static String hex(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return copy.length == 0 ? "-" : HexFormat.of().formatHex(copy);
    }

    /** Fills a structure with values that are all different, so that a swapped field shows; or with null where it may. */
    static class Filler {
        private final boolean nulls;
        private int next = 1;

        Filler(boolean nulls) {
            this.nulls = nulls;
        }

        Struct struct(Schema schema) {
            Struct struct = new Struct(schema);
            for (BoundField field : schema.fields()) {
                struct.set(field, value(field.def.type));
            }
            return struct;
        }

        Object value(Type type) {
            if (nulls && type.isNullable()) {
                return null;
            }
            if (type instanceof Schema schema) {
                return struct(schema);
            }
            if (type instanceof TaggedFields tagged) {
                TreeMap<Integer, Object> values = new TreeMap<>();
                // Nothing is put where the value is null: see clearTagged.
                tagged.fields().forEach((tag, field) -> values.computeIfAbsent(tag, key -> value(field.type)));
                return values;
            }
            if (type.isArray()) {
                Type element = type.arrayElementType().get();
                return new Object[] {value(element), value(element)};
            }
            int number = next++;
            String name = type.toString();
            if (name.endsWith("STRING")) {
                return "text" + number;
            }
            if (name.endsWith("BYTES")) {
                return ByteBuffer.wrap(("bytes" + number).getBytes(StandardCharsets.UTF_8));
            }
            return switch (name) {
                case "BOOLEAN" -> true;
                case "INT8" -> (byte) (number % 100);
                case "INT16" -> (short) number;
                case "UINT16", "INT32" -> number;
                case "UINT32" -> (long) number;
                case "INT64" -> 0x100000000L + number;
                case "FLOAT64" -> number + 0.5;
                case "UUID" -> new Uuid(number, number);
                case "RECORDS", "COMPACT_RECORDS", "NULLABLE_RECORDS", "COMPACT_NULLABLE_RECORDS" ->
                    MemoryRecords.readableRecords(ByteBuffer.wrap(("records" + number).getBytes(StandardCharsets.UTF_8)));
                default -> throw new IllegalArgumentException(name);
            };
        }
    }

    static String print(Object value) throws Exception {
        if (value == null) {
            return "None";
        }
        if (value instanceof String) {
            return "\"" + value + "\"";
        }
        if (value instanceof Number || value instanceof Boolean) {
            return value.toString();
        }
        if (value instanceof Uuid uuid) {
            return new java.util.UUID(uuid.getMostSignificantBits(), uuid.getLeastSignificantBits()).toString();
        }
        if (value instanceof byte[] bytes) {
            return "b\"" + new String(bytes, StandardCharsets.UTF_8) + "\"";
        }
        if (value instanceof ByteBuffer bytes) {
            return "b\"" + StandardCharsets.UTF_8.decode(bytes.duplicate()) + "\"";
        }
        if (value instanceof MemoryRecords records) {
            return "{ chunks: [" + print(records.buffer()) + "] }";
        }
        List<String> parts = new ArrayList<>();
        if (value instanceof Collection<?> elements) {
            for (Object element : elements) {
                parts.add(print(element));
            }
            return "[" + String.join(", ", parts) + "]";
        }
        for (Field field : value.getClass().getDeclaredFields()) {
            String name = field.getName();
            if (!Modifier.isStatic(field.getModifiers()) && !name.matches("_unknownTaggedFields|prev|next")) {
                field.setAccessible(true);
                parts.add(snakeCase(name) + ": " + print(field.get(value)));
            }
        }
        return parts.isEmpty() ? "{}" : "{ " + String.join(", ", parts) + " }";
    }

    static String snakeCase(String name) {
        return name.replace("kRaft", "kraft").replace("KRaft", "Kraft").replaceAll("([a-z0-9])([A-Z])", "$1_$2").toLowerCase();
    }
}
