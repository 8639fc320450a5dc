//! The three patch formats of the Kubernetes API. Each takes an object and gives the patched one, or says why the patch
//! does not apply. Called within the transaction that stores the result.

mod json;
mod strategic;

use serde_json::{Map, Value};

pub(crate) use json::json;
pub(crate) use strategic::strategic;

/// Merge patch (RFC 7386): objects merge, null removes, everything else replaces.
pub(crate) fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = match target {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            merged.shift_remove(name);
        } else {
            let before = merged.get_mut(name).map(Value::take).unwrap_or_default();
            merged.insert(name.clone(), merge(before, value));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests;
