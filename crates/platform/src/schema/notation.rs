//! Reads `data/kubernetes.schema`, the compact notation of the built-in kinds (its head explains the form).
//! The file is part of the program, so a mistake in it is a broken invariant and panics; a test reads it whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::{Schema, Shape};

struct Field<'a> {
    name: &'a str,
    type_name: &'a str,
    options: Vec<&'a str>,
}

/// Every `object` and `type` of `text` by name.
pub(super) fn parse(text: &str) -> HashMap<String, Arc<Schema>> {
    let mut structures: HashMap<&str, (bool, Vec<Field<'_>>)> = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let first = words.next().expect("blank lines are filtered out");
        let second = words.next().unwrap_or_else(|| panic!("kubernetes.schema: a name and a type are needed: {line}"));
        if line.starts_with(' ') {
            let (_, fields) = structures.get_mut(current).expect("fields follow a structure's first line");
            fields.push(Field { name: first, type_name: second, options: words.collect() });
        } else {
            current = second;
            structures.insert(current, (first == "object", Vec::new()));
        }
    }
    let mut built = HashMap::new();
    for name in structures.keys() {
        build(name, &structures, &mut built);
    }
    built
}

fn build(
    name: &str,
    structures: &HashMap<&str, (bool, Vec<Field<'_>>)>,
    built: &mut HashMap<String, Arc<Schema>>,
) -> Arc<Schema> {
    if let Some(schema) = built.get(name) {
        return Arc::clone(schema);
    }
    let (is_kind, declared) =
        structures.get(name).unwrap_or_else(|| panic!("kubernetes.schema: the type {name} is used but not declared"));
    let mut fields = BTreeMap::new();
    let mut required = Vec::new();
    if *is_kind {
        let text = Arc::new(Schema { shape: Shape::Text, ..Schema::default() });
        fields.insert("apiVersion".to_owned(), Arc::clone(&text));
        fields.insert("kind".to_owned(), text);
        fields.insert("metadata".to_owned(), build("ObjectMeta", structures, built));
    }
    for field in declared {
        if field.options.contains(&"required") {
            required.push(field.name.to_owned());
        }
        fields.insert(field.name.to_owned(), Arc::new(field_schema(field, structures, built)));
    }
    let shape = Shape::Object { fields, required, keeps_unknown: false, drops_null: true };
    let schema = Arc::new(Schema { shape, ..Schema::default() });
    built.insert(name.to_owned(), Arc::clone(&schema));
    schema
}

fn field_schema(
    field: &Field<'_>,
    structures: &HashMap<&str, (bool, Vec<Field<'_>>)>,
    built: &mut HashMap<String, Arc<Schema>>,
) -> Schema {
    let mut schema = if let Some(items) = field.type_name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let items = Arc::new(plain(items, structures, built));
        Schema { shape: Shape::List { items, merge_key: None }, ..Schema::default() }
    } else {
        plain(field.type_name, structures, built)
    };
    for option in &field.options {
        apply_option(&mut schema, option);
    }
    schema
}

fn apply_option(schema: &mut Schema, option: &str) {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let number = || value.parse().unwrap_or_else(|_| panic!("kubernetes.schema: {option} needs a number"));
    match name {
        "required" => {}
        "nonempty" => schema.items_min = 1,
        "min" => schema.minimum = Some(number()),
        "max" => schema.maximum = Some(number()),
        "enum" => schema.allowed = value.split('|').map(Value::from).collect(),
        "default" => {
            let default =
                serde_json::from_str(value).unwrap_or_else(|_| panic!("kubernetes.schema: {option} is no JSON"));
            schema.default = Some(default);
        }
        "key" => {
            if let Shape::List { merge_key, .. } = &mut schema.shape {
                *merge_key = Some(value.to_owned());
            }
        }
        _ => panic!("kubernetes.schema: unknown option {option}"),
    }
}

/// A type without options. A structure is copied shallowly: its fields stay shared.
fn plain(
    type_name: &str,
    structures: &HashMap<&str, (bool, Vec<Field<'_>>)>,
    built: &mut HashMap<String, Arc<Schema>>,
) -> Schema {
    let of = |shape| Schema { shape, ..Schema::default() };
    match type_name {
        "string" => of(Shape::Text),
        "time" => Schema { nullable: true, ..of(Shape::Text) },
        "integer" => {
            Schema { minimum: Some(i64::from(i32::MIN)), maximum: Some(i64::from(i32::MAX)), ..of(Shape::Integer) }
        }
        "long" => of(Shape::Integer),
        "number" => of(Shape::Number),
        "boolean" => of(Shape::Boolean),
        "quantity" => of(Shape::IntOrString),
        "any" => of(Shape::Any),
        "map" => of(Shape::Map(Arc::new(of(Shape::Text)))),
        "quantities" => of(Shape::Map(Arc::new(of(Shape::IntOrString)))),
        name => {
            let structure = build(name, structures, built);
            let Shape::Object { fields, required, .. } = &structure.shape else {
                panic!("kubernetes.schema: {name} is no structure")
            };
            of(Shape::Object {
                fields: fields.clone(),
                required: required.clone(),
                keeps_unknown: false,
                drops_null: true,
            })
        }
    }
}
