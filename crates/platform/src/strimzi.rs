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
