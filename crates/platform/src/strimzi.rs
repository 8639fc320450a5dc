//! Strimzi's CustomResourceDefinitions, as published (Apache-2.0): `v1` from Strimzi 1.2.0, `v1beta2` from 0.51.0, the last
//! that served it. `data/strimzi/*.json` hold them; a test compares them with the originals where those are present.

use serde_json::Value;

use crate::kinds::{KAFKA, KAFKA_NODE_POOL, KAFKA_TOPIC, KAFKA_USER, Kind};
use crate::object::{list, text};

/// One embedded definition.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) kind: &'static Kind,
    json: &'static str,
}

/// All embedded definitions.
pub(crate) static DEFINITIONS: &[Definition] = &[
    Definition { kind: &KAFKA, json: include_str!("../data/strimzi/kafkas.json") },
    Definition { kind: &KAFKA_TOPIC, json: include_str!("../data/strimzi/kafkatopics.json") },
    Definition { kind: &KAFKA_USER, json: include_str!("../data/strimzi/kafkausers.json") },
    Definition { kind: &KAFKA_NODE_POOL, json: include_str!("../data/strimzi/kafkanodepools.json") },
];

impl Definition {
    /// The whole CustomResourceDefinition; parsed each time, since it is seldom asked for.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::from_str(self.json).expect("an embedded definition is JSON, checked by a test")
    }
}

/// The version `version` of the definition of `kind`; `Value::Null` when there is none.
pub(crate) fn version_of(kind: &Kind, version: &str) -> Value {
    let definition = DEFINITIONS.iter().find(|definition| definition.kind == kind).map(Definition::to_value);
    let definition = definition.unwrap_or_default();
    let found = list(&definition, "/spec/versions").iter().find(|entry| text(entry, "/name") == version);
    found.cloned().unwrap_or_default()
}

/// The OpenAPI v3 schema of `kind` at `version`; `Value::Null` when there is none.
pub(crate) fn open_api_schema(kind: &Kind, version: &str) -> Value {
    version_of(kind, version).pointer_mut("/schema/openAPIV3Schema").map(Value::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_of_kinds_agrees_with_the_definitions() {
        for definition in DEFINITIONS {
            let (value, kind) = (definition.to_value(), definition.kind);
            assert_eq!(text(&value, "/spec/names/kind"), kind.kind);
            assert_eq!(text(&value, "/spec/names/plural"), kind.plural);
            assert_eq!(text(&value, "/spec/names/singular"), kind.singular);
            let short: Vec<&str> = list(&value, "/spec/names/shortNames").iter().filter_map(Value::as_str).collect();
            assert_eq!(short, kind.short_names);
            let versions: Vec<&str> =
                list(&value, "/spec/versions").iter().map(|version| text(version, "/name")).collect();
            assert_eq!(versions, kind.versions);
        }
    }

    #[test]
    fn the_definitions_are_strimzis_own() {
        let originals = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/strimzi");
        if !originals.exists() {
            eprintln!("SKIPPED: no definitions of Strimzi beside the project");
            return;
        }
        let files = ["040-Crd-kafka", "043-Crd-kafkatopic", "044-Crd-kafkauser", "045-Crd-kafkanodepool"];
        for (definition, file) in DEFINITIONS.iter().zip(files) {
            for (release, version) in [("1.2.0", "v1"), ("0.51.0", "v1beta2")] {
                let yaml = std::fs::read_to_string(originals.join(release).join(format!("{file}.yaml"))).unwrap();
                let original: Value = serde_saphyr::from_str(&yaml).unwrap();
                let original = list(&original, "/spec/versions").iter().find(|entry| text(entry, "/name") == version);
                let schema = original.and_then(|entry| entry.pointer("/schema")).unwrap();
                assert_eq!(version_of(definition.kind, version)["schema"], *schema, "{file} {version}");
            }
        }
    }
}
