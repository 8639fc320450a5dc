//! Admits a value under a schema: unknown fields are pruned and reported, defaults set, the rest validated.
//! Every problem is collected with its path; nothing stops at the first.

use serde_json::Value;

use super::{Alternative, Schema, Shape};
use crate::error::Cause;

/// What admission found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Paths of fields that the schema does not know; they have been removed.
    pub(crate) unknown: Vec<String>,
    /// Values that are not acceptable.
    pub(crate) causes: Vec<Cause>,
}

impl Schema {
    /// Prunes, defaults and validates `value`, which stands at `path` (empty for the whole object).
    pub(crate) fn admit(&self, value: &mut Value, path: &str, findings: &mut Findings) {
        if value.is_null() && self.nullable {
            return;
        }
        let is_right = match &self.shape {
            Shape::Any => true,
            Shape::Text => value.is_string(),
            Shape::Integer => value.is_i64() || value.is_u64(),
            Shape::Number => value.is_number(),
            Shape::Boolean => value.is_boolean(),
            Shape::IntOrString => value.is_string() || value.is_i64() || value.is_u64(),
            Shape::List { .. } => value.is_array(),
            Shape::Map(_) | Shape::Object { .. } => value.is_object(),
        };
        if !is_right {
            findings.causes.push(Cause::wrong_type(path, self.shape.name(), value));
            return;
        }
        self.check_bounds(value, path, findings);
        match &self.shape {
            Shape::List { items, .. } => {
                for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                    items.admit(item, &format!("{path}[{index}]"), findings);
                }
            }
            Shape::Map(values) => {
                for (key, item) in value.as_object_mut().into_iter().flatten() {
                    values.admit(item, &join(path, key), findings);
                }
            }
            Shape::Object { .. } => self.admit_object(value, path, findings),
            _ => {}
        }
        self.check_between_fields(value, path, findings);
    }

    fn admit_object(&self, value: &mut Value, path: &str, findings: &mut Findings) {
        let (Shape::Object { fields, required, keeps_unknown, drops_null }, Some(object)) =
            (&self.shape, value.as_object_mut())
        else {
            return;
        };
        object.retain(|name, _| {
            let keep = *keeps_unknown || fields.contains_key(name);
            if !keep {
                findings.unknown.push(join(path, name));
            }
            keep
        });
        for (name, schema) in fields {
            // A null where the schema does not allow it means "not set"; Kubernetes drops it before it defaults.
            let is_unset = *drops_null || (!schema.nullable && schema.default.is_some());
            if is_unset && object.get(name).is_some_and(Value::is_null) {
                object.shift_remove(name);
            }
            if let Some(default) = &schema.default
                && !object.contains_key(name)
            {
                object.insert(name.clone(), default.clone());
            }
            if let Some(field) = object.get_mut(name) {
                schema.admit(field, &join(path, name), findings);
            }
        }
        for name in required {
            if !object.contains_key(name) {
                findings.causes.push(Cause::required(&join(path, name), ""));
            }
        }
    }

    fn check_bounds(&self, value: &Value, path: &str, findings: &mut Findings) {
        if !self.allowed.is_empty() && !self.allowed.contains(value) {
            findings.causes.push(Cause::unsupported(path, value, &self.allowed));
        }
        if let Some(number) = value.as_i64() {
            let wrong = match (self.minimum, self.maximum) {
                (Some(minimum), _) if number < minimum => Some(format!("greater than or equal to {minimum}")),
                (_, Some(maximum)) if number > maximum => Some(format!("less than or equal to {maximum}")),
                _ => None,
            };
            if let Some(bound) = wrong {
                findings.causes.push(Cause::invalid(path, value, &format!("{path} in body should be {bound}")));
            }
        }
        if value.as_array().is_some_and(|items| items.len() < self.items_min) {
            let why = format!("{path} in body should have at least {} items", self.items_min);
            let count = value.as_array().map_or(0, Vec::len);
            findings.causes.push(Cause::invalid(path, &Value::from(count), &why));
        }
        if let (Some(pattern), Some(text)) = (&self.pattern, value.as_str()) {
            // A pattern that does not compile cannot refuse anything; the tests compile every embedded one.
            if regex_lite::Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text)) {
                findings.causes.push(Cause::invalid(path, value, &format!("{path} in body should match '{pattern}'")));
            }
        }
    }

    fn check_between_fields(&self, value: &Value, path: &str, findings: &mut Findings) {
        if !self.one_of.is_empty() && self.one_of.iter().filter(|branch| branch.matches(value)).count() != 1 {
            let shown = Value::from("");
            findings.causes.push(Cause::invalid(path, &shown, "must validate one and only one schema (oneOf)"));
        }
        for (rule, message) in &self.rules {
            if super::rules::is_broken(rule, value) {
                findings.causes.push(Cause::invalid(path, &Value::from("object"), message));
            }
        }
    }
}

impl Alternative {
    fn matches(&self, value: &Value) -> bool {
        let below = |(name, branches): &(String, Vec<Self>)| match value.get(name) {
            Some(field) => branches.iter().filter(|branch| branch.matches(field)).count() == 1,
            None => true,
        };
        self.required.iter().all(|name| value.get(name).is_some()) && self.fields.iter().all(below)
    }
}

impl Shape {
    fn name(&self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer or string",
            Self::List { .. } => "array",
            Self::Map(_) | Self::Object { .. } => "object",
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if name.contains('.') {
        format!("{path}[{name}]")
    } else {
        format!("{path}.{name}")
    }
}
