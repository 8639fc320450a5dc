//! The reading half.

use anyhow::{Result, ensure};

use super::super::schema::{Field, Message, Struct, Type};
use super::super::versions::{Condition, Versions};
use super::structs::default_value;
use super::{choose, form, gate, version_parameter};

pub(crate) fn emit(message: &Message, structure: &Struct) -> Result<String> {
    let fields = literal(message, structure)?;
    let tagged: Vec<&Field> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    let flexible = message.flexible.within(structure.versions);
    let body = if message.flexible.intersect(structure.versions).is_empty() {
        ensure!(tagged.is_empty(), "{} has tagged fields and no flexible version", structure.name);
        format!("Ok({fields})\n")
    } else if tagged.is_empty() {
        let skip = choose(&flexible, "decoder.skip_tagged_fields()?;", "");
        format!("let message = {fields};\n{skip}\nOk(message)\n")
    } else {
        let section = choose(&flexible, &tagged_fields(message, structure, &tagged)?, "");
        format!("let mut message = {fields};\n{section}\nOk(message)\n")
    };
    let body = form(message, structure, &body) + &body;
    let name = &structure.name;
    let gate = gate(message, true);
    Ok(if structure.path.is_empty() {
        format!(
            "{gate}impl Decode for {name} {{
                fn decode(decoder: &mut Decoder, version: i16) -> Result<Self, DecodeError> {{
                    if !Self::VERSIONS.contains(&version) {{
                        return Err(DecodeError::UnsupportedVersion {{ message: Self::NAME, version }});
                    }}
                    {body}
                }}
            }}\n\n"
        )
    } else {
        let version = version_parameter(&body);
        format!(
            "{gate}impl {name} {{
                fn decode(decoder: &mut Decoder, {version}: i16) -> Result<Self, DecodeError> {{ {body} }}
            }}\n\n"
        )
    })
}

/// `Self { … }`: a struct literal's expressions run in the order of the fields on the wire.
fn literal(message: &Message, structure: &Struct) -> Result<String> {
    let mut text = "Self {\n".to_owned();
    for field in &structure.fields {
        let default = default_value(field)?;
        let value = match field.tag {
            Some(_) => default,
            None => choose(&field.versions.within(structure.versions), &field_value(message, field)?, &default),
        };
        text += &format!("{}: {value},\n", field.name);
    }
    Ok(text + "}")
}

fn tagged_fields(message: &Message, structure: &Struct, tagged: &[&Field]) -> Result<String> {
    let flexible = message.flexible.intersect(structure.versions);
    let mut arms = String::new();
    for field in tagged {
        let guard = match field.versions.within(flexible) {
            Condition::When(test) => format!("if {test}"),
            Condition::Always | Condition::Never => String::new(),
        };
        let tag = field.tag.unwrap_or_default();
        arms += &format!("{tag} {guard} => {{ message.{} = {}; }}\n", field.name, field_value(message, field)?);
    }
    Ok(format!(
        "decoder.tagged_fields(|tag, decoder| {{
            match tag {{ {arms} _ => return Ok(false), }}
            Ok(true)
        }})?;"
    ))
}

/// The value of a field in the versions that carry it.
fn field_value(message: &Message, field: &Field) -> Result<String> {
    if !field.is_option() {
        return Ok(format!("{}?", value(message, &field.kind, field.versions)?));
    }
    let nullable = match (field.tag, &field.kind) {
        // In a tagged field Kafka marks the presence of a structure by a varint, elsewhere by a signed byte.
        (Some(_), Type::Struct(name)) => {
            format!("if decoder.unsigned_varint()? > 0 {{ Some({name}::decode(decoder, version)?) }} else {{ None }}")
        }
        _ => nullable_value(message, &field.kind, field.versions)?,
    };
    if field.kind == Type::Records {
        return Ok(nullable);
    }
    let required = format!("Some({}?)", value(message, &field.kind, field.versions)?);
    Ok(choose(&field.nullable.within(field.versions), &nullable, &required))
}

/// An expression of type `Result<T, DecodeError>`.
fn value(message: &Message, kind: &Type, versions: Versions) -> Result<String> {
    Ok(match kind {
        Type::Bool => "decoder.bool()".to_owned(),
        Type::Int8 => "decoder.i8()".to_owned(),
        Type::Int16 => "decoder.i16()".to_owned(),
        Type::Uint16 => "decoder.u16()".to_owned(),
        Type::Int32 => "decoder.i32()".to_owned(),
        Type::Uint32 => "decoder.u32()".to_owned(),
        Type::Int64 => "decoder.i64()".to_owned(),
        Type::Float64 => "decoder.f64()".to_owned(),
        Type::Uuid => "decoder.uuid()".to_owned(),
        Type::String => "decoder.string(form)".to_owned(),
        Type::Bytes => "decoder.bytes(form)".to_owned(),
        Type::Records => "decoder.nullable_records(form)".to_owned(),
        Type::Struct(name) => format!("{name}::decode(decoder, version)"),
        Type::Array(element) => format!("decoder.array({})", array_arguments(message, element, versions)?),
    })
}

/// An expression of type `Option<T>`.
fn nullable_value(message: &Message, kind: &Type, versions: Versions) -> Result<String> {
    Ok(match kind {
        Type::String => "decoder.nullable_string(form)?".to_owned(),
        Type::Bytes => "decoder.nullable_bytes(form)?".to_owned(),
        Type::Records => "decoder.nullable_records(form)?".to_owned(),
        Type::Array(element) => {
            format!("decoder.nullable_array({})?", array_arguments(message, element, versions)?)
        }
        other => {
            let value = value(message, other, versions)?;
            format!("if decoder.present()? {{ Some({value}?) }} else {{ None }}")
        }
    })
}

fn array_arguments(message: &Message, element: &Type, versions: Versions) -> Result<String> {
    let minimum = message.element_bytes_min(element, versions)?;
    let read = match element {
        Type::String | Type::Bytes | Type::Records | Type::Struct(_) | Type::Array(_) => {
            format!("|decoder| {}", value(message, element, versions)?)
        }
        fixed => value(message, fixed, versions)?.replace("decoder.", "Decoder::").replace("()", ""),
    };
    Ok(format!("form, {minimum}, {read}"))
}
