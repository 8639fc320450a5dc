//! Structural schemas: what an object may look like. Built-in kinds come from `data/kubernetes.schema` (`notation`),
//! custom ones from the OpenAPI v3 schemas of Strimzi's definitions (`openapi`). `admit` prunes, defaults and
//! validates in that order, as the Kubernetes API server does; strategic merge patches read the merge keys.

mod admit;
mod notation;
mod openapi;
mod rules;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use admit::Findings;

use crate::kinds::Kind;
use crate::strimzi;

/// What one value may be.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    /// Set where the field is absent.
    pub(crate) default: Option<Value>,
    /// The closed set of values; empty when open.
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<String>,
    pub(crate) minimum: Option<i64>,
    pub(crate) maximum: Option<i64>,
    pub(crate) items_min: usize,
    pub(crate) nullable: bool,
    /// Exactly one of these must match.
    pub(crate) one_of: Vec<Alternative>,
    /// Rules between fields, in Common Expression Language, with their message.
    pub(crate) rules: Vec<(String, String)>,
}

/// The JSON type of a value and what lies in it.
#[derive(Debug, Default)]
pub(crate) enum Shape {
    /// Anything at all: `x-kubernetes-preserve-unknown-fields`.
    #[default]
    Any,
    Text,
    Integer,
    Number,
    Boolean,
    IntOrString,
    List {
        items: Arc<Schema>,
        /// The field (or `.` for the value itself) by which a strategic merge patch matches entries.
        merge_key: Option<String>,
    },
    Map(Arc<Schema>),
    Object {
        fields: BTreeMap<String, Arc<Schema>>,
        required: Vec<String>,
        keeps_unknown: bool,
        /// A null field counts as absent, as in the decoding of built-in kinds; custom ones refuse it.
        drops_null: bool,
    },
}

/// One branch of a `oneOf`: fields that must be there, and branches below some of them.
#[derive(Debug, Default)]
pub(crate) struct Alternative {
    pub(crate) required: Vec<String>,
    pub(crate) fields: Vec<(String, Vec<Alternative>)>,
}

static BUILT_IN: LazyLock<HashMap<String, Arc<Schema>>> =
    LazyLock::new(|| notation::parse(include_str!("../../data/kubernetes.schema")));

/// The schema of `kind` at `version`, one of its versions. Custom kinds are parsed at first use: Kafka's definition is a quarter of a megabyte.
pub(crate) fn of(kind: &'static Kind, version: &str) -> Arc<Schema> {
    static CUSTOM: Mutex<BTreeMap<(&str, String), Arc<Schema>>> = Mutex::new(BTreeMap::new());
    if !kind.is_custom() {
        return BUILT_IN.get(kind.kind).map_or_else(|| Arc::new(Schema::default()), Arc::clone);
    }
    let mut parsed = CUSTOM.lock();
    let schema = parsed.entry((kind.plural, version.to_owned())).or_insert_with(|| {
        let definition = strimzi::open_api_schema(kind, version);
        Arc::new(openapi::parse(&definition, BUILT_IN.get("ObjectMeta").map(Arc::clone)))
    });
    Arc::clone(schema)
}

impl Schema {
    /// The schema of `name` inside an object or map.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        match &self.shape {
            Shape::Object { fields, .. } => fields.get(name),
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    /// The schema of a list's entries, and their merge key.
    pub(crate) fn items(&self) -> Option<(&Arc<Schema>, Option<&str>)> {
        match &self.shape {
            Shape::List { items, merge_key } => Some((items, merge_key.as_deref())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
