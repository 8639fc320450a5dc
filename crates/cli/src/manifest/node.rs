//! A YAML document with the line of every field, so that a complaint about `spec.kafka.replicas` can name its line.
//!
//! Built by [`super::read`]; the JSON value is what is sent, the lines are only for people.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A YAML value as read, each part with its place.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// Lines (1-based) by field path as Kubernetes writes it: `spec.kafka.listeners[0].port`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lines(HashMap<String, u64>);

impl Lines {
    /// The line of a field, or of its nearest parent that stands in the file.
    pub(crate) fn of(&self, field: &str) -> Option<u64> {
        let mut path = field;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The lines of the object at `prefix` as if it stood alone, for the items of a `List`.
    pub(super) fn below(&self, prefix: &str) -> Self {
        let inner = |(path, line): (&String, &u64)| {
            let rest = path.strip_prefix(prefix)?;
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            Some((rest.to_owned(), *line))
        };
        Self(self.0.iter().filter_map(inner).collect())
    }
}

/// Splits a located document into its JSON value and its lines.
pub(super) fn split(root: Spanned<Node>) -> (Value, Lines) {
    let mut lines = Lines::default();
    lines.0.insert(String::new(), root.referenced.line());
    let value = flatten(root.value, "", &mut lines);
    (value, lines)
}

fn flatten(node: Node, path: &str, lines: &mut Lines) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(value),
        Node::Number(value) => Value::Number(value),
        Node::Text(value) => Value::String(value),
        Node::Sequence(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.0.insert(path.clone(), item.referenced.line());
                out.push(flatten(item.value, &path, lines));
            }
            Value::Array(out)
        }
        Node::Mapping(entries) => {
            let mut out = Map::with_capacity(entries.len());
            for (key, item) in entries {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                lines.0.insert(path.clone(), key.referenced.line());
                out.insert(key.value, flatten(item.value, &path, lines));
            }
            Value::Object(out)
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            out.push(item);
        }
        Ok(Node::Sequence(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            out.push(entry);
        }
        Ok(Node::Mapping(out))
    }
}
