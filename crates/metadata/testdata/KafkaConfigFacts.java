// Prints what Kafka's own classes say about configs, as the tables of crates/metadata are compared with:
//   java -cp 'libs/*' KafkaConfigFacts.java keys   > kafka-4.4.0-configs.tsv
//   java -cp 'libs/*' KafkaConfigFacts.java values > kafka-4.4.0-config-values.tsv
// where libs holds the jars of Apache Kafka 4.4.0's server. Columns are explained where they are printed.

import java.util.*;
import java.util.stream.*;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.ConfigKey;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.*;
import org.apache.kafka.storage.internals.log.LogConfig;

public class KafkaConfigFacts {
    static final List<String> PROBES = List.of("", " 7 ", "x", "x,", "x,x", "-3", "-1", "0", "1", "0.7", "3000000000", "TRUE",
        "compact,delete", "0:1,2:3", "*", "99999999999999999999");

    public static void main(String[] args) {
        Map<String, Map<String, ConfigKey>> kinds = new LinkedHashMap<>();
        kinds.put("topic", LogConfig.configKeys());
        kinds.put("broker", AbstractKafkaConfig.CONFIG_DEF.configKeys());
        kinds.put("group", GroupConfig.CONFIG_DEF.configKeys());
        kinds.forEach((kind, keys) -> new TreeMap<>(keys).forEach((name, key) -> {
            if (args[0].equals("keys")) key(kind, name, key); else values(kind, name, key);
        }));
    }

    /// The first key with the same type and validator: what holds for its values holds for this one's.
    static final Map<String, String> ALIKE = new HashMap<>();

    static String alike(String kind, String name, ConfigKey key) {
        ConfigDef.Validator validator = key.validator;
        StringBuilder shape = new StringBuilder(key.type + " " + validator);
        try {
            if (validator != null) {
                for (var field : validator.getClass().getDeclaredFields()) {
                    field.setAccessible(true);
                    if (!validator.getClass().isSynthetic()) shape.append(' ').append(field.get(validator));
                }
            }
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
        return ALIKE.computeIfAbsent(shape.toString(), s -> kind + "/" + name);
    }

    // kind, name, type, default (canonical; <none>, <null>), importance, update mode, internal, the first key with the
    // same type and validator, synonyms (with /hours or /minutes where the value is converted)
    static void key(String kind, String name, ConfigKey key) {
        String value = key.defaultValue == ConfigDef.NO_DEFAULT_VALUE ? "<none>"
            : key.defaultValue == null ? "<null>" : ConfigDef.convertToString(key.defaultValue, key.type);
        String mode = "-", synonyms = "";
        if (kind.equals("broker")) {
            mode = DynamicBrokerConfig.dynamicConfigUpdateModes().getOrDefault(name, "read-only");
            synonyms = String.join(",", DynamicBrokerConfig.brokerConfigSynonyms(name, true));
        } else if (kind.equals("topic")) {
            synonyms = ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.getOrDefault(name, List.of()).stream().map(s -> s.name() + switch (s.converter().apply("1")) {
                case "3600000" -> "/hours"; case "60000" -> "/minutes"; default -> ""; }).collect(Collectors.joining(","));
        } else {
            synonyms = GroupConfig.brokerSynonym(name).orElse("");
        }
        System.out.println(String.join("\t", kind, name, key.type.name(), value, key.importance.name(), mode, String.valueOf(key.internalConfig), alike(kind, name, key), synonyms));
    }

    // For the first key of each shape: kind, name, value given, and either "= canonical value" or "! message"
    static void values(String kind, String name, ConfigKey key) {
        if (key.type == ConfigDef.Type.CLASS || key.type == ConfigDef.Type.PASSWORD) return;
        if (!alike(kind, name, key).equals(kind + "/" + name)) return;
        List<String> probes = new ArrayList<>(PROBES);
        if (key.validator instanceof ConfigDef.Range) {
            for (String bound : key.validator.toString().replaceAll("[\\[\\]]", "").split(",")) {
                if (bound.equals("...") || bound.contains(".")) continue;
                long limit = Long.parseLong(bound);
                for (long near = limit - 1; near <= limit + 1; near++) probes.add(String.valueOf(near));
            }
        }
        for (String value : new LinkedHashSet<>(probes)) {
            String outcome;
            try {
                Object parsed = new ConfigDef().define(key).parse(Map.of(name, value)).get(name);
                outcome = "= " + ConfigDef.convertToString(parsed, key.type);
            } catch (Exception e) {
                outcome = "! " + e.getMessage();
            }
            System.out.println(String.join("\t", kind, name, value, outcome));
        }
    }
}
