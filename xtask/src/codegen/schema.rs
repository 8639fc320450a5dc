//! Definitions resolved for emission: versions as ranges, types as a tree, structures in one list per message.

mod resolve;

use anyhow::{Context, Result, bail};

use super::definition::Kind;
use super::versions::Versions;

/// One message: its structures, the outermost first.
#[derive(Debug)]
pub(crate) struct Message {
    /// Kafka's name: `ListOffsetsRequest`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// API key of a request or response, record type of a coordinator or metadata record.
    pub(crate) key: Option<i16>,
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
    pub(crate) structs: Vec<Struct>,
}

#[derive(Debug)]
pub(crate) struct Struct {
    /// Rust's name, unique in its file.
    pub(crate) name: String,
    /// The field that holds it, as `topics.partitions`; empty for the message itself.
    pub(crate) path: String,
    /// Versions of the message in which it can occur.
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug)]
pub(crate) struct Field {
    /// Rust's name.
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Versions that carry the field, tagged or not, within those of its structure.
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tag: Option<u32>,
    pub(crate) default: DefaultValue,
    /// Set in a version without it, the field is dropped silently instead of refused.
    pub(crate) ignorable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    String,
    Bytes,
    Records,
    Uuid,
    Struct(String),
    Array(Box<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    Null,
    /// Zero, false, empty, or a structure of defaults.
    Empty,
    True,
    Number(i64),
}

impl Field {
    /// Whether the Rust type is an `Option`.
    pub(crate) fn is_option(&self) -> bool {
        !self.nullable.is_empty() || self.kind == Type::Records
    }
}

impl Type {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            "uuid" => Self::Uuid,
            _ => match text.strip_prefix("[]") {
                Some(element) => Self::Array(Box::new(Self::parse(element)?)),
                None if text.starts_with(char::is_uppercase) => Self::Struct(text.to_owned()),
                None => bail!("unknown type `{text}`"),
            },
        })
    }

    /// The structure inside, if there is one.
    pub(crate) fn structure(&self) -> Option<&String> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }

    fn structure_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure_mut(),
            _ => None,
        }
    }
}

impl Message {
    pub(crate) fn structure(&self, name: &str) -> Result<&Struct> {
        self.structs.iter().find(|candidate| candidate.name == name).with_context(|| format!("no struct {name}"))
    }

    /// Gives a structure another name, where two messages of one file both have it.
    pub(crate) fn rename_struct(&mut self, from: &str, to: &str) {
        for structure in &mut self.structs {
            if structure.name == from {
                to.clone_into(&mut structure.name);
            }
            for field in &mut structure.fields {
                if let Some(name) = field.kind.structure_mut().filter(|name| *name == from) {
                    to.clone_into(name);
                }
            }
        }
    }

    /// The fewest bytes that one element of type `element` takes on the wire in any of `versions`.
    pub(crate) fn element_bytes_min(&self, element: &Type, versions: Versions) -> Result<usize> {
        let sizes: Result<Vec<usize>> = versions.iter().map(|version| self.bytes_min(element, version)).collect();
        match sizes?.into_iter().min() {
            Some(0) => bail!("{}: elements without bytes cannot be bounded", self.name),
            Some(size) => Ok(size),
            None => bail!("{}: an array in no version", self.name),
        }
    }

    fn bytes_min(&self, kind: &Type, version: i16) -> Result<usize> {
        let flexible = self.flexible.contains(version);
        Ok(match kind {
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String if !flexible => 2,
            Type::Bytes | Type::Records | Type::Array(_) if !flexible => 4,
            Type::String | Type::Bytes | Type::Records | Type::Array(_) => 1,
            Type::Struct(name) => {
                let mut bytes = usize::from(flexible);
                for field in &self.structure(name)?.fields {
                    bytes += self.field_bytes_min(field, version)?;
                }
                bytes
            }
        })
    }

    fn field_bytes_min(&self, field: &Field, version: i16) -> Result<usize> {
        if field.tag.is_some() || !field.versions.contains(version) {
            Ok(0)
        } else if matches!(field.kind, Type::Struct(_)) && field.nullable.contains(version) {
            Ok(1)
        } else {
            self.bytes_min(&field.kind, version)
        }
    }
}
