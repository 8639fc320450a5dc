//! From a definition as written to a `Message`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::super::definition::{Definition, FieldDefinition};
use super::super::naming;
use super::super::versions::Versions;
use super::{DefaultValue, Field, Message, Struct, Type};

impl Message {
    /// Resolves a definition; the highest version of an API whose latest is unstable is left out. `None` when the
    /// message has no version any more.
    pub(crate) fn resolve(definition: &Definition, unstable: bool) -> Result<Option<Self>> {
        let mut versions = Versions::parse(&definition.valid_versions)?;
        if unstable {
            versions.high -= 1;
        }
        if versions.is_empty() {
            return Ok(None);
        }
        let mut message = Self {
            name: definition.name.clone(),
            kind: definition.kind,
            key: definition.api_key,
            versions,
            flexible: Versions::parse_optional(definition.flexible_versions.as_ref())?.intersect(versions),
            structs: Vec::new(),
        };
        message.add_struct(&definition.name, "", versions, &definition.fields)?;
        for shared in &definition.common_structs {
            let versions = Versions::parse(&shared.versions)?.intersect(versions);
            if !versions.is_empty() {
                message.add_struct(&shared.name, "several fields", versions, &shared.fields)?;
            }
        }
        Ok(Some(message))
    }

    fn add_struct(&mut self, name: &str, path: &str, versions: Versions, fields: &[FieldDefinition]) -> Result<()> {
        ensure!(self.structure(name).is_err(), "two structures {name} in {}", self.name);
        let at = self.structs.len();
        self.structs.push(Struct { name: name.to_owned(), path: path.to_owned(), versions, fields: Vec::new() });
        for definition in fields {
            let field = self
                .field(definition, versions)
                .with_context(|| format!("field {} of {name} in {}", definition.name, self.name))?;
            if field.versions.is_empty() {
                continue;
            }
            if !definition.fields.is_empty() {
                let inner = field.kind.structure().context("fields inside a field that is no structure")?;
                let path = [path, &field.name].join(".").trim_start_matches('.').to_owned();
                self.add_struct(inner, &path, field.versions, &definition.fields)?;
            }
            self.structs[at].fields.push(field);
        }
        Ok(())
    }

    fn field(&self, definition: &FieldDefinition, context: Versions) -> Result<Field> {
        ensure!(definition.flexible_versions.is_none(), "a field's own flexibleVersions are for headers only");
        let tagged = Versions::parse_optional(definition.tagged_versions.as_ref())?.intersect(context);
        let versions = match &definition.versions {
            Some(text) => Versions::parse(text)?.intersect(context),
            None => tagged,
        };
        let tag = if tagged.is_empty() { None } else { definition.tag };
        ensure!(tag.is_none() || tagged == versions, "tagged in some versions only");
        let kind = Type::parse(&definition.type_name)?;
        Ok(Field {
            name: naming::field_name(&definition.name),
            default: default_value(&kind, definition.default.as_ref())?,
            kind,
            versions,
            nullable: Versions::parse_optional(definition.nullable_versions.as_ref())?.intersect(versions),
            tag,
            ignorable: definition.ignorable,
        })
    }
}

fn default_value(kind: &Type, default: Option<&Value>) -> Result<DefaultValue> {
    let text = match default {
        None if *kind == Type::Records => return Ok(DefaultValue::Null),
        None => return Ok(DefaultValue::Empty),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.as_str() {
        "null" => Ok(DefaultValue::Null),
        "" | "false" => Ok(DefaultValue::Empty),
        "true" => Ok(DefaultValue::True),
        _ => match number(&text) {
            Some(0) => Ok(DefaultValue::Empty),
            Some(value) => Ok(DefaultValue::Number(value)),
            None => bail!("default `{text}`"),
        },
    }
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
