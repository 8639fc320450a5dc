//! The structures and their defaults.

use anyhow::{Result, bail};

use super::super::definition::Kind;
use super::super::schema::{DefaultValue, Field, Message, Struct, Type};
use super::super::versions::Condition;
use super::rust_type;

pub(crate) fn emit(message: &Message) -> Result<String> {
    let mut text = String::new();
    for structure in &message.structs {
        let plain = structure.fields.iter().all(is_plain);
        text += &format!("/// {}\n", doc(message, structure));
        text += &format!("#[derive(Clone, Debug, PartialEq{})]\n", if plain { ", Default" } else { "" });
        text += &format!("pub struct {} {{\n", structure.name);
        for field in &structure.fields {
            if let Some(doc) = field_doc(structure, field) {
                text += &format!("/// {doc}\n");
            }
            text += &format!("pub {}: {},\n", field.name, field_type(field));
        }
        text += "}\n\n";
        if !plain {
            text += &impl_default(structure)?;
        }
    }
    Ok(text)
}

fn doc(message: &Message, structure: &Struct) -> String {
    if !structure.path.is_empty() {
        return match structure.path.as_str() {
            "several fields" => format!("In several fields of `{}`.", message.name),
            path => format!("In `{}`, field `{path}`.", message.name),
        };
    }
    let versions = message.versions;
    let flexible = match message.flexible.within(versions) {
        Condition::Always => "all flexible".to_owned(),
        Condition::Never => "none flexible".to_owned(),
        Condition::When(_) => format!("flexible from {}", message.flexible.low),
    };
    let what = match (message.kind, message.key) {
        (Kind::Request, Some(key)) => format!("Request of API key {key}"),
        (Kind::Response, Some(key)) => format!("Response of API key {key}"),
        (Kind::CoordinatorKey, Some(key)) => format!("Key of a record of type {key}"),
        (Kind::CoordinatorValue, Some(key)) => format!("Value of a record of type {key}"),
        (Kind::Metadata, Some(key)) => format!("Metadata record of type {key}"),
        _ => "Message".to_owned(),
    };
    format!("{what}; versions {versions}, {flexible}.")
}

/// What a reader cannot see in the Rust type: versions, tag, a default other than Rust's.
fn field_doc(structure: &Struct, field: &Field) -> Option<String> {
    let mut facts = Vec::new();
    if !field.versions.covers(structure.versions) {
        let mut versions = field.versions;
        if versions.high == structure.versions.high {
            versions.high = i16::MAX;
        }
        facts.push(format!("versions {versions}"));
    }
    if !field.nullable.is_empty() && !field.nullable.covers(field.versions) {
        facts.push(format!("null from version {}", field.nullable.low));
    }
    if let Some(tag) = field.tag {
        facts.push(format!("tag {tag}"));
    }
    match field.default {
        DefaultValue::True => facts.push("default true".to_owned()),
        DefaultValue::Number(value) => facts.push(format!("default {value}")),
        DefaultValue::Empty if field.is_option() => facts.push("default not null".to_owned()),
        DefaultValue::Null | DefaultValue::Empty => {}
    }
    if field.ignorable && !field.versions.covers(structure.versions) {
        facts.push("dropped in others".to_owned());
    }
    let mut doc = facts.join(", ");
    let first = doc.get(..1)?.to_uppercase();
    doc.replace_range(..1, &first);
    Some(doc + ".")
}

fn field_type(field: &Field) -> String {
    let inner = rust_type(&field.kind);
    if field.is_option() { format!("Option<{inner}>") } else { inner }
}

/// Whether Rust's default is Kafka's.
fn is_plain(field: &Field) -> bool {
    match field.default {
        DefaultValue::Null => true,
        DefaultValue::Empty => !field.is_option(),
        DefaultValue::True | DefaultValue::Number(_) => false,
    }
}

fn impl_default(structure: &Struct) -> Result<String> {
    let mut text = format!("impl Default for {} {{ fn default() -> Self {{ Self {{\n", structure.name);
    for field in &structure.fields {
        text += &format!("{}: {},\n", field.name, default_value(field)?);
    }
    Ok(text + "} } }\n\n")
}

/// Kafka's default as a Rust expression.
pub(crate) fn default_value(field: &Field) -> Result<String> {
    let value = match (&field.default, &field.kind) {
        (DefaultValue::Null, _) => return Ok("None".to_owned()),
        (DefaultValue::True, _) => "true".to_owned(),
        (DefaultValue::Number(i64::MAX), Type::Int64) => "i64::MAX".to_owned(),
        (DefaultValue::Number(value), Type::Int32) if *value == i64::from(i32::MAX) => "i32::MAX".to_owned(),
        (DefaultValue::Number(value), Type::Int32) if *value == i64::from(i32::MIN) => "i32::MIN".to_owned(),
        (DefaultValue::Number(value), _) => value.to_string(),
        (DefaultValue::Empty, Type::Bool) => "false".to_owned(),
        (DefaultValue::Empty, Type::Float64) => "0.0".to_owned(),
        (DefaultValue::Empty, Type::String) => "String::new()".to_owned(),
        (DefaultValue::Empty, Type::Bytes) => "Bytes::new()".to_owned(),
        (DefaultValue::Empty, Type::Uuid) => "Uuid::nil()".to_owned(),
        (DefaultValue::Empty, Type::Array(_)) => "Vec::new()".to_owned(),
        (DefaultValue::Empty, Type::Struct(name)) => format!("{name}::default()"),
        (DefaultValue::Empty, Type::Records) => bail!("records whose default is not null"),
        (DefaultValue::Empty, _) => "0".to_owned(),
    };
    Ok(if field.is_option() { format!("Some({value})") } else { value })
}
