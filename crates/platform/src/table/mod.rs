//! The Table form of lists (`as=Table`), with the columns that kubectl, oc and Strimzi print. Columns of Strimzi's kinds
//! come from their definitions.

mod builtin;
mod duration;
mod json_path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::age;
use crate::kinds::Kind;
use crate::object::{self, list, text};
use crate::strimzi;
pub(crate) use duration::human;

/// What each row carries beside its cells: the `includeObject` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

/// A column's name, type and priority; priority 1 is shown with `-o wide` only.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    type_name: &'static str,
    priority: u8,
    /// Where the value is; `None` for columns that a function computes.
    path: Option<json_path::JsonPath>,
}

/// Renders objects of one kind at one version.
#[derive(Debug)]
pub(crate) struct Printer {
    kind: &'static Kind,
    columns: Vec<Column>,
}

impl Printer {
    pub(crate) fn new(kind: &'static Kind, version: &str) -> Self {
        let columns = if kind.is_custom() { custom_columns(kind, version) } else { built_in_columns(kind) };
        Self { kind, columns }
    }

    /// The Table of `objects`; without `with_columns` (later events of a watch) the definitions are left out.
    pub(crate) fn table(
        &self,
        objects: &[Value],
        include: IncludeObject,
        resource_version: &str,
        now: Timestamp,
        with_columns: bool,
    ) -> Value {
        let rows: Vec<Value> = objects
            .iter()
            .map(|object| json!({ "cells": self.cells(object, now), "object": included(object, include) }))
            .collect();
        let definitions: Vec<Value> =
            if with_columns { self.columns.iter().map(definition).collect() } else { Vec::new() };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": { "resourceVersion": resource_version },
            "columnDefinitions": definitions, "rows": rows,
        })
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        if !self.kind.is_custom() {
            return builtin::cells(self.kind, object, now);
        }
        let cell = |column: &Column| {
            let Some(path) = &column.path else { return Value::from(object::name(object)) };
            match (path.find(object), column.type_name) {
                (None, _) => Value::Null,
                (Some(Value::String(since)), "date") => human(age(since, now)).into(),
                (Some(value @ Value::Number(_)), "integer" | "number") => value.clone(),
                (Some(Value::String(text)), _) => text.clone().into(),
                (Some(other), _) => other.to_string().into(),
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name, "type": column.type_name, "format": if column.name == "Name" { "name" } else { "" },
        "description": "", "priority": column.priority,
    })
}

fn included(object: &Value, include: IncludeObject) -> Value {
    match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => object.clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
    }
}

fn built_in_columns(kind: &Kind) -> Vec<Column> {
    let column = |text: &str| {
        let name = text.trim_start_matches('+');
        let is_count = matches!(name, "Desired" | "Current" | "Data" | "Up-to-date" | "Available" | "Revision");
        let type_name = if is_count { "integer" } else { "string" };
        Column { name: name.to_owned(), type_name, priority: u8::from(text.starts_with('+')), path: None }
    };
    builtin::columns(kind).split('|').map(column).collect()
}

fn custom_columns(kind: &Kind, version: &str) -> Vec<Column> {
    let definition = strimzi::version_of(kind, version);
    let declared = list(&definition, "/additionalPrinterColumns").iter().map(|column| Column {
        name: text(column, "/name").to_owned(),
        type_name: match text(column, "/type") {
            "integer" => "integer",
            "number" => "number",
            "date" => "date",
            "boolean" => "boolean",
            _ => "string",
        },
        priority: object::integer(column, "/priority").unwrap_or(0).clamp(0, 1) as u8,
        path: Some(json_path::JsonPath::parse(text(column, "/jsonPath"))),
    });
    let name = Column { name: "Name".to_owned(), type_name: "string", priority: 0, path: None };
    std::iter::once(name).chain(declared).collect()
}

#[cfg(test)]
mod tests;
