//! Kafka's message definitions (`common/message/*.json`) as they are written: JSON with `//` comments.
//!
//! Parsed strictly: an attribute that is not known here is an error, because ignoring it could mean wrong bytes.

use anyhow::{Context, Result};
use serde::Deserialize;

/// One file of Kafka's definitions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Definition {
    pub(crate) api_key: Option<i16>,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) listeners: Vec<Listener>,
    pub(crate) name: String,
    pub(crate) valid_versions: String,
    pub(crate) flexible_versions: Option<String>,
    /// Kafka serves the highest version only when asked to by `unstable.api.versions.enable`.
    #[serde(default)]
    pub(crate) latest_version_unstable: bool,
    #[serde(default)]
    pub(crate) fields: Vec<FieldDefinition>,
    #[serde(default)]
    pub(crate) common_structs: Vec<StructDefinition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Request,
    Response,
    Header,
    Data,
    Metadata,
    CoordinatorKey,
    CoordinatorValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Listener {
    Broker,
    Controller,
}

/// A structure that several fields of one definition share.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StructDefinition {
    pub(crate) name: String,
    pub(crate) versions: String,
    pub(crate) fields: Vec<FieldDefinition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FieldDefinition {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) versions: Option<String>,
    pub(crate) nullable_versions: Option<String>,
    pub(crate) tagged_versions: Option<String>,
    pub(crate) flexible_versions: Option<String>,
    pub(crate) tag: Option<u32>,
    /// A JSON null counts as absent, as it does for Kafka's generator; the text "null" means null.
    pub(crate) default: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) ignorable: bool,
    #[serde(default)]
    pub(crate) fields: Vec<FieldDefinition>,
    // What follows does not change the bytes.
    #[serde(rename = "about")]
    _about: Option<String>,
    #[serde(rename = "entityType")]
    _entity_type: Option<String>,
    #[serde(rename = "mapKey")]
    _map_key: Option<bool>,
    #[serde(rename = "zeroCopy")]
    _zero_copy: Option<bool>,
}

impl Definition {
    /// Reads one definition file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let json: String = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
        serde_json::from_str(&json).context("not a message definition as this generator knows them")
    }
}

/// The line up to a `//` that does not stand inside a string.
fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let mut previous = ' ';
    for (index, character) in line.char_indices() {
        match character {
            '"' if previous != '\\' => in_string = !in_string,
            '/' if previous == '/' && !in_string => return &line[..index - 1],
            _ => {}
        }
        previous = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_slashes_in_strings_stay() {
        assert_eq!(without_comment(r#"{ "a": "x//y" } // why"#), r#"{ "a": "x//y" } "#);
        assert_eq!(without_comment("// all of it"), "");
    }

    #[test]
    fn an_unknown_attribute_is_refused() {
        let text = r#"{ "type": "data", "name": "X", "validVersions": "0", "fields": [
            { "name": "A", "type": "int8", "versions": "0+", "scrambled": true } ] }"#;
        assert!(Definition::parse(text).is_err());
    }
}
