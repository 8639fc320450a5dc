//! The writing half. A field set in a version that lacks it is an error unless Kafka's definition calls it ignorable.

use super::super::schema::{DefaultValue, Field, Message, Struct, Type};
use super::super::versions::Condition;
use super::{choose, form, gate, version_parameter};

pub(crate) fn emit(message: &Message, structure: &Struct) -> String {
    let mut body = String::new();
    for field in &structure.fields {
        let absent = if field.ignorable { String::new() } else { refusal(message, field) };
        let present = field.versions.within(structure.versions);
        body += &match (field.tag, &present) {
            (Some(_), Condition::When(test)) if !absent.is_empty() => {
                format!("if {} && {absent}", Condition::negated(test))
            }
            (Some(_), _) => String::new(),
            (None, Condition::When(test)) if !absent.is_empty() => {
                format!("if {test} {{ {} }} else if {absent}", field_statement(message, field))
            }
            (None, _) => choose(&present, &field_statement(message, field), ""),
        };
        body += "\n";
    }
    let section = tagged_fields(message, structure);
    body += &choose(&message.flexible.within(structure.versions), &section, "");
    wrap(message, structure, &(form(message, structure, &body) + &body))
}

fn wrap(message: &Message, structure: &Struct, body: &str) -> String {
    let name = &structure.name;
    let gate = gate(message, false);
    if structure.path.is_empty() {
        return format!(
            "{gate}impl Encode for {name} {{
                fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError> {{
                    if !Self::VERSIONS.contains(&version) {{
                        return Err(EncodeError::UnsupportedVersion {{ message: Self::NAME, version }});
                    }}
                    {body}
                    Ok(())
                }}
            }}\n\n"
        );
    }
    let version = version_parameter(body);
    format!(
        "{gate}impl {name} {{
            fn encode(&self, encoder: &mut Encoder, {version}: i16) -> Result<(), EncodeError> {{ {body} Ok(()) }}
        }}\n\n"
    )
}

/// `set { return Err(…) }`, to stand behind an `if`.
fn refusal(message: &Message, field: &Field) -> String {
    format!("{} {{ {} }}", is_set(field), failure("UnsupportedField", message, field))
}

fn failure(error: &str, message: &Message, field: &Field) -> String {
    let name = field.name.trim_start_matches("r#");
    format!("return Err(EncodeError::{error} {{ message: \"{}\", field: \"{name}\", version }});", message.name)
}

/// Whether the field differs from Kafka's default.
fn is_set(field: &Field) -> String {
    let value = format!("self.{}", field.name);
    match (&field.default, &field.kind) {
        (DefaultValue::Null, _) => format!("{value}.is_some()"),
        (DefaultValue::True, _) => format!("!{value}"),
        (DefaultValue::Number(i64::MAX), _) => format!("{value} != i64::MAX"),
        (DefaultValue::Number(number), Type::Int32) if *number == i64::from(i32::MAX) => {
            format!("{value} != i32::MAX")
        }
        (DefaultValue::Number(number), Type::Int32) if *number == i64::from(i32::MIN) => {
            format!("{value} != i32::MIN")
        }
        (DefaultValue::Number(number), _) => format!("{value} != {number}"),
        (DefaultValue::Empty, Type::Struct(name)) if field.is_option() => {
            format!("{value}.as_ref() != Some(&{name}::default())")
        }
        (DefaultValue::Empty, _) if field.is_option() => {
            format!("{value}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        (DefaultValue::Empty, Type::Bool) => value,
        (DefaultValue::Empty, Type::Float64) => format!("{value} != 0.0"),
        (DefaultValue::Empty, Type::Uuid) => format!("!{value}.is_nil()"),
        (DefaultValue::Empty, Type::Struct(name)) => format!("{value} != {name}::default()"),
        (DefaultValue::Empty, Type::String | Type::Bytes | Type::Array(_)) => format!("!{value}.is_empty()"),
        (DefaultValue::Empty, _) => format!("{value} != 0"),
    }
}

fn tagged_fields(message: &Message, structure: &Struct) -> String {
    let mut tagged: Vec<&Field> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    if tagged.is_empty() {
        return "encoder.no_tagged_fields();".to_owned();
    }
    let flexible = message.flexible.intersect(structure.versions);
    let (mut tests, mut fields) = (String::new(), String::new());
    let mut count = Vec::new();
    for field in tagged {
        let test = match field.versions.within(flexible) {
            Condition::When(test) => format!("{test} && {}", is_set(field)),
            Condition::Always | Condition::Never => is_set(field),
        };
        let has = format!("has_{}", field.name.trim_start_matches("r#"));
        tests += &format!("let {has} = {test};\n");
        count.push(format!("u32::from({has})"));
        fields += &format!(
            "if {has} {{ encoder.tagged_field({}, |encoder| {{ {} Ok(()) }})?; }}\n",
            field.tag.unwrap_or_default(),
            field_statement(message, field)
        );
    }
    format!("{tests} encoder.unsigned_varint({}); {fields}", count.join(" + "))
}

/// Writes the field in the versions that carry it.
fn field_statement(message: &Message, field: &Field) -> String {
    let value = format!("self.{}", field.name);
    if field.kind == Type::Records {
        return format!("encoder.nullable_records(form, {value}.as_ref());");
    }
    if !field.is_option() {
        return statement(&field.kind, &value, false);
    }
    let required = format!(
        "let Some(value) = &{value} else {{ {} }}; {}",
        failure("UnexpectedNull", message, field),
        statement(&field.kind, "value", true)
    );
    choose(&field.nullable.within(field.versions), &nullable_statement(field, &value), &required)
}

/// Writes what `place` names; `borrowed` says that it is a reference already.
fn statement(kind: &Type, place: &str, borrowed: bool) -> String {
    let reference = if borrowed { place.to_owned() } else { format!("&{place}") };
    let copy = if borrowed { format!("*{place}") } else { place.to_owned() };
    match kind {
        Type::Bool => format!("encoder.bool({copy});"),
        Type::Int8 => format!("encoder.i8({copy});"),
        Type::Int16 => format!("encoder.i16({copy});"),
        Type::Uint16 => format!("encoder.u16({copy});"),
        Type::Int32 => format!("encoder.i32({copy});"),
        Type::Uint32 => format!("encoder.u32({copy});"),
        Type::Int64 => format!("encoder.i64({copy});"),
        Type::Float64 => format!("encoder.f64({copy});"),
        Type::Uuid => format!("encoder.uuid({copy});"),
        Type::String => format!("encoder.string(form, {reference})?;"),
        Type::Bytes => format!("encoder.bytes(form, {reference});"),
        Type::Records => format!("encoder.nullable_records(form, Some({reference}));"),
        Type::Struct(_) => format!("{place}.encode(encoder, version)?;"),
        Type::Array(element) => format!("encoder.array(form, {reference}, {})?;", element_writer(element)),
    }
}

fn nullable_statement(field: &Field, place: &str) -> String {
    match &field.kind {
        Type::String => format!("encoder.nullable_string(form, {place}.as_deref())?;"),
        Type::Bytes => format!("encoder.nullable_bytes(form, {place}.as_deref());"),
        Type::Array(element) => {
            format!("encoder.nullable_array(form, {place}.as_deref(), {})?;", element_writer(element))
        }
        other => {
            // In a tagged field Kafka marks the presence of a structure by a varint, elsewhere by a signed byte.
            let marker = match field.tag {
                Some(_) => format!("encoder.unsigned_varint(u32::from({place}.is_some()));"),
                None => format!("encoder.present({place}.is_some());"),
            };
            format!("{marker} if let Some(value) = &{place} {{ {} }}", statement(other, "value", true))
        }
    }
}

/// A closure that writes one element.
fn element_writer(element: &Type) -> String {
    let statement = statement(element, "value", true);
    match statement.strip_suffix("?;") {
        Some(fallible) => format!("|encoder, value| {fallible}"),
        None => format!("|encoder, value| {{ {statement} Ok(()) }}"),
    }
}
