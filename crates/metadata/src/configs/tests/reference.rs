//! docs/reference/configs.md is made from the tables: `UPDATE_REFERENCE=1 cargo test -p millstream-metadata reference`.

use std::fmt::Write;
use std::path::Path;

use super::*;

const HEAD: &str = "# Configs

Every topic, broker and group config of Apache Kafka 4.4 exists in Millstream, with Kafka's name, type, default and
validation, and can be set and shown with Kafka's tools. The last column says what follows from it: **acted on**,
*in part*, or nothing, and why. `millstream.durability` is Millstream's own.

A topic's config that is not set follows the broker's config of the same meaning, named under \"falls back to\". For a
broker, \"may change\" says whether it can change while the broker runs: for one broker (per-broker), for one or for
all (cluster-wide), or not (read-only).

<!-- Made from the tables in crates/metadata/src/configs; edit those, then:
     UPDATE_REFERENCE=1 cargo test -p millstream-metadata reference -->
";

fn default(key: &ConfigKey) -> String {
    match key.default {
        DefaultValue::Required => "(none)".to_owned(),
        DefaultValue::Null => "(unset)".to_owned(),
        DefaultValue::Is("") => "(empty)".to_owned(),
        DefaultValue::Is(text) => format!("`{text}`"),
    }
}

fn valid(key: &ConfigKey) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match key.valid {
        Valid::Any => String::new(),
        Valid::AtLeast(least) => format!("≥ {least}"),
        Valid::Between(least, most) => format!("{least} to {most}"),
        Valid::BetweenDecimal(least, most) => format!("{least} to {most}"),
        Valid::BetweenOrMinusOne(least, most) => format!("{least} to {most}, or -1"),
        Valid::OneOf(allowed) => words(allowed),
        Valid::OneOfAnyCase(allowed) => format!("{} in any case", words(allowed)),
        Valid::NonEmpty => "not empty".to_owned(),
        Valid::ListOf([]) => "distinct items".to_owned(),
        Valid::NonEmptyListOf([]) => "distinct items, at least one".to_owned(),
        Valid::ListOf(allowed) => format!("any of {}", words(allowed)),
        Valid::NonEmptyListOf(allowed) => format!("at least one of {}", words(allowed)),
        Valid::ThrottledReplicas => "`*` or `partition:broker` items".to_owned(),
        Valid::AutoOffsetReset => "`latest`, `earliest`, `by_duration:PnDTnHnMn.nS`".to_owned(),
    }
}

fn effect(key: &ConfigKey) -> String {
    match key.effect {
        Effect::ActedOn => "**acted on**".to_owned(),
        Effect::InPart(what) => format!("*in part*: {what}"),
        Effect::None(why) => format!("accepted without effect: {why}"),
    }
}

fn value_type(key: &ConfigKey) -> String {
    key.value_type.name().to_lowercase()
}

fn section(page: &mut String, title: &str, keys: &[ConfigKey], of_broker: bool) {
    let extra = if of_broker { "may change" } else { "falls back to" };
    let _ = write!(page, "\n{title}\n\n| name | type | default | valid values | {extra} | meaning | effect |\n");
    page.push_str("|---|---|---|---|---|---|---|\n");
    for key in keys {
        let synonyms = key.synonyms.iter().map(|synonym| format!("`{}`", synonym.name)).collect::<Vec<_>>().join(", ");
        let extra = if of_broker { key.update.name().to_owned() } else { synonyms };
        let internal = if key.internal { " (internal)" } else { "" };
        let cells = [
            format!("`{}`{internal}", key.name),
            value_type(key),
            default(key),
            valid(key),
            extra,
            key.documentation.to_owned(),
            effect(key),
        ];
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "## Topics", topic::KEYS, false);
    page.push_str("\n## Brokers\n");
    for (title, keys) in broker::THEMES {
        section(&mut page, &format!("### {title}"), keys, true);
    }
    section(&mut page, "## Groups", group::KEYS, false);
    page
}

#[test]
fn the_reference_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configs.md");
    let page = page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let first = written.lines().zip(page.lines()).find(|(written, page)| written != page);
    assert!(
        written == page,
        "docs/reference/configs.md is not what the tables say (first difference: {first:?}); make it anew with \
         UPDATE_REFERENCE=1 cargo test -p millstream-metadata reference"
    );
}
