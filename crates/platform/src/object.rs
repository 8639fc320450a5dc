//! Reading and writing the JSON objects that the API serves. An object is a `serde_json::Value` all the way
//! from the wire to the store: the platform knows few kinds deeply, and must keep the fields it does not know.
//! Paths are JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The string at `pointer`; empty when absent or of another type.
#[must_use]
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `pointer`.
#[must_use]
pub(crate) fn integer(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The array at `pointer`; empty when absent or of another type.
#[must_use]
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// `metadata.name`.
#[must_use]
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`; empty for cluster-scoped objects.
#[must_use]
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
#[must_use]
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// `metadata.resourceVersion` as a number; 0 when absent.
#[must_use]
pub(crate) fn resource_version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// Whether `metadata.deletionTimestamp` is set.
#[must_use]
pub(crate) fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// `metadata.annotations[key]`.
#[must_use]
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// The string-to-string map at `pointer` (labels, selectors, data); values of other types are left out.
#[must_use]
pub(crate) fn text_map<'a>(object: &'a Value, pointer: &str) -> BTreeMap<&'a str, &'a str> {
    let Some(map) = object.pointer(pointer).and_then(Value::as_object) else { return BTreeMap::new() };
    map.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// `metadata` for writing, created when absent.
///
/// # Panics
/// When `object` is no JSON object: the edge has refused that.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    field_mut(object, "metadata")
}

/// The object-valued field `name` for writing, created (or replaced, when of another type) if needed.
///
/// # Panics
/// When `object` is no JSON object: the edge has refused that.
pub(crate) fn field_mut<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let fields = object.as_object_mut().expect("an API object is a JSON object, checked at the edge");
    let field = fields.entry(name).or_insert_with(|| json!({}));
    if !field.is_object() {
        *field = json!({});
    }
    field.as_object_mut().expect("set to an object above")
}

/// The JSON type of `value` in the words of OpenAPI.
#[must_use]
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
