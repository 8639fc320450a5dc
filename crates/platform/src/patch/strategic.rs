//! Strategic merge patch: a merge patch that merges lists by a key of their entries, as the schema says, with the directives
//! `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…` and `$setElementOrder/…`.
//! Source: Kubernetes community, sig-api-machinery, strategic-merge-patch.md.

use serde_json::{Map, Value};

use crate::object::{list, text};
use crate::schema::Schema;

const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// Merges `patch` into `target` under `schema`.
pub(crate) fn strategic(target: Value, patch: &Value, schema: &Schema) -> Result<Value, String> {
    match (target, patch) {
        (Value::Object(fields), Value::Object(patch)) => merge_object(fields, patch, Some(schema)).map(Value::Object),
        _ => Err("a strategic merge patch is an object".to_owned()),
    }
}

fn merge_object(
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
    schema: Option<&Schema>,
) -> Result<Map<String, Value>, String> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown directive $patch: {other}")),
    }
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|name, _| retained.iter().any(|kept| kept == name));
    }
    for (name, value) in patch {
        if let Some(list_name) = name.strip_prefix(DELETE_PRIMITIVES) {
            let doomed = value.as_array().ok_or_else(|| format!("{name} needs a list"))?;
            if let Some(items) = target.get_mut(list_name).and_then(Value::as_array_mut) {
                items.retain(|item| !doomed.contains(item));
            }
        } else if name.starts_with('$') {
            // Orders are applied below, when the lists are merged; the other directives are done.
        } else if value.is_null() {
            target.shift_remove(name);
        } else {
            let field = schema.and_then(|schema| schema.field(name)).map(AsRef::as_ref);
            let before = target.get_mut(name).map(Value::take);
            let merged = merge_value(before, value, field).map_err(|reason| format!("{name}: {reason}"))?;
            target.insert(name.clone(), merged);
        }
    }
    for (name, order) in patch {
        if let Some(list_name) = name.strip_prefix(ELEMENT_ORDER)
            && let Some(items) = target.get_mut(list_name).and_then(Value::as_array_mut)
        {
            let key = schema.and_then(|schema| schema.field(list_name)?.items()?.1);
            reorder(items, list(order, ""), key.unwrap_or("."));
        }
    }
    Ok(target)
}

fn merge_value(before: Option<Value>, patch: &Value, schema: Option<&Schema>) -> Result<Value, String> {
    match patch {
        Value::Object(patch) => {
            let before = match before {
                Some(Value::Object(fields)) => fields,
                _ => Map::new(),
            };
            merge_object(before, patch, schema).map(Value::Object)
        }
        Value::Array(patch) => {
            let before = match before {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            merge_list(before, patch, schema).map(Value::Array)
        }
        other => Ok(other.clone()),
    }
}

fn merge_list(before: Vec<Value>, patch: &[Value], schema: Option<&Schema>) -> Result<Vec<Value>, String> {
    let Some((items, Some(key))) = schema.and_then(Schema::items) else { return Ok(plain_list(patch)) };
    if patch.iter().any(|entry| text(entry, "/$patch") == "replace") {
        return Ok(plain_list(patch));
    }
    let mut merged = before;
    if key == "." {
        let new: Vec<Value> = patch.iter().filter(|entry| !merged.contains(entry)).cloned().collect();
        merged.extend(new);
        return Ok(merged);
    }
    for entry in patch {
        let identity = entry.get(key).ok_or_else(|| format!("an entry has no {key}, by which entries are matched"))?;
        let at = merged.iter().position(|item| item.get(key) == Some(identity));
        if text(entry, "/$patch") == "delete" {
            merged.retain(|item| item.get(key) != Some(identity));
        } else if let Some(at) = at {
            merged[at] = merge_value(Some(merged[at].take()), entry, Some(items))?;
        } else {
            merged.push(merge_value(None, entry, Some(items))?);
        }
    }
    Ok(merged)
}

/// A list that replaces: its entries without directives.
fn plain_list(patch: &[Value]) -> Vec<Value> {
    let is_directive_only = |entry: &&Value| {
        let fields = entry.as_object();
        fields.is_some_and(|fields| !fields.is_empty() && fields.keys().all(|name| name.starts_with('$')))
    };
    let strip = |entry: &Value| match entry {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        other => other.clone(),
    };
    patch.iter().filter(|entry| !is_directive_only(entry)).map(strip).collect()
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    let kept = patch.iter().filter(|(name, _)| !name.starts_with('$'));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Brings `items` into the order of `order`; entries that it does not name keep their place relative to those before them.
fn reorder(items: &mut Vec<Value>, order: &[Value], key: &str) {
    let identity = |item: &Value| if key == "." { Some(item.clone()) } else { item.get(key).cloned() };
    let mut rank = 0;
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let found =
            identity(&item).and_then(|wanted| order.iter().position(|entry| identity(entry).as_ref() == Some(&wanted)));
        rank = found.unwrap_or(rank);
        ranked.push((rank, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    items.extend(ranked.into_iter().map(|(_, item)| item));
}
