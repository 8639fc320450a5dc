//! JSON patch (RFC 6902): a list of operations, all or none.

use serde_json::Value;

use crate::object::text;

/// Operations in one patch; Kubernetes' own bound.
const OPERATIONS_MAX: usize = 10_000;

/// Text that the copies of one patch may add, so that copying copies cannot fill memory; Kubernetes' own bound.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// Applies the operations of `patch` in turn.
pub(crate) fn json(target: Value, patch: &Value) -> Result<Value, String> {
    let operations = patch.as_array().ok_or("a JSON patch is a list of operations")?;
    if operations.len() > OPERATIONS_MAX {
        return Err(format!("a JSON patch has at most {OPERATIONS_MAX} operations"));
    }
    let mut patched = target;
    let mut copied_bytes = 0;
    for operation in operations {
        if text(operation, "/op") == "copy" {
            copied_bytes += patched.pointer(text(operation, "/from")).map_or(0, |value| value.to_string().len());
            if copied_bytes > COPIED_BYTES_MAX {
                return Err(format!("the patch copies more than {COPIED_BYTES_MAX} bytes"));
            }
        }
        apply(&mut patched, operation)?;
    }
    Ok(patched)
}

fn apply(target: &mut Value, operation: &Value) -> Result<(), String> {
    let path = operation.get("path").and_then(Value::as_str).ok_or("an operation needs a path")?;
    let value = || operation.get("value").cloned().ok_or_else(|| format!("the operation at {path} needs a value"));
    let from = || {
        let from = text(operation, "/from");
        target.pointer(from).cloned().ok_or_else(|| missing(from))
    };
    match text(operation, "/op") {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path).map(drop),
        "replace" => {
            let value = value()?;
            let slot = target.pointer_mut(path).ok_or_else(|| missing(path))?;
            *slot = value;
            Ok(())
        }
        "copy" => {
            let value = from()?;
            add(target, path, value)
        }
        "move" => {
            let source = text(operation, "/from");
            if path.starts_with(&format!("{source}/")) {
                return Err(format!("{source} cannot move into itself"));
            }
            let value = remove(target, source)?;
            add(target, path, value)
        }
        "test" => {
            let expected = value()?;
            let found = target.pointer(path).unwrap_or(&Value::Null);
            if *found == expected { Ok(()) } else { Err(format!("testing path {path} failed: it is {found}")) }
        }
        other => Err(format!("unknown operation {other:?}")),
    }
}

fn missing(path: &str) -> String {
    format!("there is nothing at {path:?}")
}

/// The parent of `path` and the last token, unescaped.
fn parent<'a>(target: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let parent = target.pointer_mut(parent).ok_or_else(|| missing(path))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn index(token: &str, length: usize, path: &str) -> Result<usize, String> {
    let is_canonical = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    let index = token.parse::<usize>().ok().filter(|index| is_canonical && *index <= length);
    index.ok_or_else(|| missing(path))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    match parent(target, path)? {
        (Value::Object(fields), name) => drop(fields.insert(name, value)),
        (Value::Array(items), token) if token == "-" => items.push(value),
        (Value::Array(items), token) => {
            let at = index(&token, items.len(), path)?;
            items.insert(at, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str) -> Result<Value, String> {
    match parent(target, path)? {
        (Value::Object(fields), name) => fields.shift_remove(&name).ok_or_else(|| missing(path)),
        (Value::Array(items), token) => {
            let at = index(&token, items.len(), path)?;
            if at < items.len() { Ok(items.remove(at)) } else { Err(missing(path)) }
        }
        _ => Err(missing(path)),
    }
}
