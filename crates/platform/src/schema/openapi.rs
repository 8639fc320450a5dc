//! Reads the OpenAPI v3 schema of a CustomResourceDefinition into a `Schema`: the subset that Strimzi's definitions use
//! (types, properties, additionalProperties, required, enum, bounds, patterns, oneOf, defaults, validation rules).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Alternative, Schema, Shape};
use crate::object::{list, text};

/// The schema in `definition`; `metadata` replaces what the definition says about metadata (Kubernetes' own is stricter).
pub(super) fn parse(definition: &Value, metadata: Option<Arc<Schema>>) -> Schema {
    let mut schema = value_schema(definition);
    if let (Shape::Object { fields, .. }, Some(metadata)) = (&mut schema.shape, metadata) {
        fields.insert("metadata".to_owned(), metadata);
    }
    schema
}

fn value_schema(definition: &Value) -> Schema {
    let rules = list(definition, "/x-kubernetes-validations").iter();
    Schema {
        shape: shape(definition),
        default: definition.get("default").cloned(),
        allowed: list(definition, "/enum").to_vec(),
        pattern: definition.get("pattern").and_then(Value::as_str).map(str::to_owned),
        minimum: definition.get("minimum").and_then(Value::as_i64),
        maximum: definition.get("maximum").and_then(Value::as_i64),
        items_min: definition.get("minItems").and_then(Value::as_u64).unwrap_or(0).try_into().unwrap_or(usize::MAX),
        nullable: definition.get("nullable") == Some(&Value::Bool(true)),
        one_of: list(definition, "/oneOf").iter().map(alternative).collect(),
        rules: rules.map(|rule| (text(rule, "/rule").to_owned(), text(rule, "/message").to_owned())).collect(),
    }
}

fn shape(definition: &Value) -> Shape {
    if definition.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return Shape::IntOrString;
    }
    let keeps_unknown = definition.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let fields: BTreeMap<String, Arc<Schema>> = definition
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, field)| (name.clone(), Arc::new(value_schema(field))))
        .collect();
    match text(definition, "/type") {
        "string" => Shape::Text,
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        "array" => {
            let items = definition.get("items").map(value_schema).unwrap_or_default();
            Shape::List { items: Arc::new(items), merge_key: None }
        }
        "object" => match definition.get("additionalProperties") {
            Some(values @ Value::Object(_)) if fields.is_empty() => Shape::Map(Arc::new(value_schema(values))),
            _ => Shape::Object { fields, required: strings(definition, "/required"), keeps_unknown, drops_null: false },
        },
        _ => Shape::Any,
    }
}

fn alternative(definition: &Value) -> Alternative {
    let properties = definition.get("properties").and_then(Value::as_object).into_iter().flatten();
    Alternative {
        required: strings(definition, "/required"),
        fields: properties
            .map(|(name, field)| {
                let mut branches: Vec<Alternative> = list(field, "/oneOf").iter().map(alternative).collect();
                if branches.is_empty() {
                    branches.push(alternative(field));
                }
                (name.clone(), branches)
            })
            .collect(),
    }
}

fn strings(definition: &Value, pointer: &str) -> Vec<String> {
    list(definition, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
