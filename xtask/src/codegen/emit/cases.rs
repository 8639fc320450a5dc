//! Each message a second time, as a table of fields: what `millstream_model::wire::sample` makes its samples from.

use anyhow::{Context, Result};

use super::super::schema::{Field, Message, Type};
use super::super::versions::Versions;
use super::head;

/// A table of the messages, each with the path of its Rust module.
pub(crate) fn emit(messages: &[(String, Message)]) -> Result<String> {
    let (mut imports, mut cases) = (String::new(), String::new());
    for (path, message) in messages {
        imports += &format!("use {path}::{};\n", message.name);
        cases += &case(message)?;
    }
    Ok(format!(
        "{head}{imports}use millstream_model::wire::sample::{{Case, Field, Kind, decode, read_and_write, write_default}};

        pub(crate) const CASES: &[Case] = &[ {cases} ];

        /// A field of every version from `low` to `high`.
        const fn field(kind: Kind, low: i16, high: i16) -> Field {{
            Field {{ kind, versions: (low, high), nullable: (0, -1), tag: None }}
        }}

        /// A field that may be null in the versions from `nullable_from` to `nullable_to`.
        const fn nullable(field: Field, nullable_from: i16, nullable_to: i16) -> Field {{
            Field {{ nullable: (nullable_from, nullable_to), ..field }}
        }}

        /// A tagged field.
        const fn tagged(tag: u32, field: Field) -> Field {{
            Field {{ tag: Some(tag), ..field }}
        }}\n",
        head = head("The messages' fields as the tests' samples need them."),
    ))
}

fn case(message: &Message) -> Result<String> {
    let Versions { low, high } = message.versions;
    let flexible_from =
        if message.flexible.is_empty() { "i16::MAX".to_owned() } else { message.flexible.low.to_string() };
    let mut structs = String::new();
    for structure in &message.structs {
        let fields: Result<String> = structure.fields.iter().map(|found| field(message, found)).collect();
        structs += &format!("&[{}],", fields?);
    }
    Ok(format!(
        "Case {{
            name: \"{}\",
            versions: ({low}, {high}),
            flexible_from: {flexible_from},
            structs: &[{structs}],
            decode: decode::<{0}>,
            read: read_and_write::<{0}>,
            write_default: write_default::<{0}>,
        }},",
        message.name
    ))
}

fn field(message: &Message, field: &Field) -> Result<String> {
    let Versions { low, high } = field.versions;
    let mut text = format!("field({}, {low}, {high})", kind(message, &field.kind)?);
    if !field.nullable.is_empty() {
        text = format!("nullable({text}, {}, {})", field.nullable.low, field.nullable.high);
    }
    if let Some(tag) = field.tag {
        text = format!("tagged({tag}, {text})");
    }
    Ok(text + ",")
}

fn kind(message: &Message, of: &Type) -> Result<String> {
    Ok(match of {
        Type::Struct(name) => {
            let index = message.structs.iter().position(|found| found.name == *name);
            format!("Kind::Struct({})", index.with_context(|| format!("no struct {name}"))?)
        }
        Type::Array(element) => format!("Kind::Array(&{})", kind(message, element)?),
        other => format!("Kind::{other:?}"),
    })
}
