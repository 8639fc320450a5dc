//! The options of `configs`: which entity, and what is done to its configs.

use crate::tools::{
    Failure,
    options::{HELP, Line, OptionSpec, VERSION, flag, value},
    properties,
};

pub(super) static OPTIONS: [OptionSpec; 26] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "A server of the cluster, or several."),
    value("bootstrap-controller", "HOST:PORT,…", "Not served: configs are reached through --bootstrap-server."),
    value("command-config", "file", "Property file with settings for the client."),
    flag("describe", "Show configs."),
    flag("alter", "Change configs."),
    flag("all", "With --describe: everything, what nobody has set too."),
    value(
        "add-config",
        "k1=v1,k2=[v1,v2],…",
        "With --alter: set these. A value with commas stands in square brackets. The names stand in docs/reference/configs.md.",
    ),
    value("add-config-file", "file", "With --alter: set what this property file says."),
    value("delete-config", "k1,k2", "With --alter: take these away."),
    value("entity-type", "type", "topics, brokers, broker-loggers, client-metrics, groups, users, clients or ips."),
    value("entity-name", "name", "The topic, the broker's id, …"),
    flag("entity-default", "What holds for all entities of the type."),
    value("topic", "topic", "The topic: --entity-type topics --entity-name in one."),
    value("broker", "id", "The broker."),
    flag("broker-defaults", "What holds for all brokers."),
    value("broker-logger", "id", "The broker whose loggers are meant."),
    value("client-metrics", "name", "The client metrics resource."),
    value("group", "group", "The group."),
    value("user", "user", "The user."),
    flag("user-defaults", "What holds for all users."),
    value("client", "client-id", "The client id."),
    flag("client-defaults", "What holds for all client ids."),
    value("ip", "ip", "The address."),
    flag("ip-defaults", "What holds for all addresses."),
];

const TYPES: [&str; 8] = ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];
/// Options that name a type and an entity at once.
const NAMES: [(&str, &str); 8] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];
/// Options that name a type and its default entity.
const DEFAULTS: [(&str, &str); 4] = [
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];

/// Whose configs are meant. An empty name is the default entity; no name is every entity of the type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) types: Vec<String>,
    pub(super) names: Vec<String>,
}

impl Entity {
    fn of(line: &Line) -> Self {
        let mut types: Vec<String> = line.values("entity-type").iter().map(|&kind| kind.to_owned()).collect();
        let mut names: Vec<String> = Vec::new();
        // Names stand in the order of the line, defaults among them.
        let given = line.in_order(&["entity-name", "entity-default"]);
        names.extend(given.into_iter().map(|(_, name)| name.unwrap_or_default().to_owned()));
        for (option, kind) in NAMES {
            for name in line.values(option) {
                types.push(kind.to_owned());
                names.push(name.to_owned());
            }
        }
        for (option, kind) in DEFAULTS {
            if line.has(option) {
                types.push(kind.to_owned());
                names.push(String::new());
            }
        }
        Self { types, names }
    }
}

/// Checks what Kafka checks before it connects, in its order and words.
pub(super) fn check(line: &Line) -> Result<Entity, Failure> {
    if line.count(&["alter", "describe"]) != 1 {
        return Err(Failure::Usage("Command must include exactly one action: --describe, --alter".to_owned()));
    }
    line.exclude("describe", &["add-config", "delete-config"])?;
    let entity = Entity::of(line);
    check_types(&entity).map_err(Failure::Message)?;
    let specific = NAMES.iter().map(|(option, _)| *option).chain(DEFAULTS.iter().map(|(option, _)| *option));
    let specific: Vec<&str> = specific.collect();
    let fail = |message: &str| Err(Failure::Message(message.to_owned()));
    if line.count(&["entity-name", "entity-type", "entity-default"]) > 0 && line.count(&specific) > 0 {
        return fail("--entity-{type,name,default} should not be used in conjunction with specific entity flags");
    }
    match line.count(&["bootstrap-server", "bootstrap-controller"]) {
        0 => return fail("Either --bootstrap-server or --bootstrap-controller must be specified."),
        1 if line.has("bootstrap-controller") => {
            return fail("--bootstrap-controller is not served: name a broker with --bootstrap-server");
        }
        1 => {}
        _ => return fail("Only one of --bootstrap-server and --bootstrap-controller can be specified"),
    }
    check_names(line, &entity).map_err(Failure::Message)?;
    Ok(entity)
}

fn check_types(entity: &Entity) -> Result<(), String> {
    let types = &entity.types;
    if let Some((_, twice)) = types.iter().enumerate().find(|(at, kind)| types[..*at].contains(kind)) {
        return Err(format!("Duplicate entity type(s) specified: {twice}"));
    }
    if let Some(unknown) = types.iter().find(|kind| !TYPES.contains(&kind.as_str())) {
        let known = TYPES.join(", ");
        return Err(format!(
            "Invalid entity type {unknown}, the entity type must be one of {known} with a --bootstrap-server or --bootstrap-controller argument"
        ));
    }
    let users_and_clients = types.iter().all(|kind| ["users", "clients"].contains(&kind.as_str()));
    match types.len() {
        0 => Err("At least one entity type must be specified".to_owned()),
        1 => Ok(()),
        _ if users_and_clients => Ok(()),
        _ => Err("Only 'users' and 'clients' entity types may be specified together".to_owned()),
    }
}

fn check_names(line: &Line, entity: &Entity) -> Result<(), String> {
    let is = |kinds: &[&str]| entity.types.iter().any(|kind| kinds.contains(&kind.as_str()));
    let types = entity.types.join(",");
    let has_name = entity.names.iter().any(|name| !name.is_empty());
    let with_default = ["users", "clients", "brokers", "ips"];
    if is(&["brokers", "broker-loggers"])
        && let Some(name) = entity.names.iter().find(|name| !name.is_empty() && name.parse::<i32>().is_err())
    {
        return Err(format!("The entity name for {types} must be a valid integer broker id, but it is: {name}"));
    }
    if line.has("describe") {
        if line.has("entity-default") && !is(&with_default) {
            return Err(format!("--entity-default must not be specified with --describe of {types}"));
        }
        if is(&["broker-loggers"]) && !has_name {
            return Err(format!("An entity name must be specified with --describe of {types}"));
        }
        return Ok(());
    }
    if is(&with_default) && entity.names.is_empty() {
        return Err(
            "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips"
                .to_owned(),
        );
    }
    if !is(&with_default) && !has_name {
        return Err(format!("An entity name must be specified with --alter of {types}"));
    }
    if line.count(&["add-config", "add-config-file"]) > 1 {
        return Err("Only one of --add-config or --add-config-file must be specified".to_owned());
    }
    if line.count(&["add-config", "add-config-file", "delete-config"]) == 0 {
        return Err(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter"
                .to_owned(),
        );
    }
    Ok(())
}

/// What `--add-config` and `--add-config-file` set.
pub(super) fn added(line: &Line) -> Result<Vec<(String, String)>, Failure> {
    let mut added: Vec<(String, String)> = Vec::new();
    if let Some(path) = line.value("add-config-file")? {
        added.extend(properties::load(path)?);
    }
    if let Some(text) = line.value("add-config")? {
        for pair in split_outside_brackets(text) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Failure::Message("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.".to_owned()));
            };
            let value = value.trim().trim_start_matches('[').trim_end_matches(']');
            added.push((name.trim().to_owned(), value.to_owned()));
        }
    }
    let is_legal = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    match added.iter().find(|(name, _)| !is_legal(name)) {
        Some((name, _)) => Err(Failure::Message(format!("Invalid character found for config key: {name}"))),
        None => Ok(added),
    }
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .collect()
}

/// What `--delete-config` takes away.
pub(super) fn deleted(line: &Line) -> Vec<String> {
    line.values("delete-config").iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::line;

    fn checked(words: &[&str]) -> Result<Entity, Failure> {
        check(&line(&OPTIONS, &[&["--bootstrap-server", "h:1"], words].concat()))
    }

    fn refused(words: &[&str], message: &str) {
        match checked(words) {
            Err(Failure::Usage(got) | Failure::Message(got)) => assert_eq!(got, message),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn an_entity_is_named_in_two_ways() {
        let expected = Entity { types: vec!["topics".to_owned()], names: vec!["t".to_owned()] };
        assert_eq!(checked(&["--describe", "--entity-type", "topics", "--entity-name", "t"]).unwrap(), expected);
        assert_eq!(checked(&["--describe", "--topic", "t"]).unwrap(), expected);
        let defaults = Entity { types: vec!["brokers".to_owned()], names: vec![String::new()] };
        assert_eq!(checked(&["--describe", "--entity-type", "brokers", "--entity-default"]).unwrap(), defaults);
        assert_eq!(checked(&["--describe", "--broker-defaults"]).unwrap(), defaults);
    }

    #[test]
    fn what_is_wrong_is_told_in_kafkas_words() {
        refused(&["--describe"], "At least one entity type must be specified");
        refused(
            &["--alter", "--topic", "t"],
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        );
        refused(
            &["--alter", "--entity-type", "topics", "--add-config", "a=b"],
            "An entity name must be specified with --alter of topics",
        );
        refused(
            &["--describe", "--broker", "one"],
            "The entity name for brokers must be a valid integer broker id, but it is: one",
        );
        refused(
            &["--describe", "--alter", "--topic", "t"],
            "Command must include exactly one action: --describe, --alter",
        );
        refused(
            &["--describe", "--topic", "t", "--broker", "1"],
            "Only 'users' and 'clients' entity types may be specified together",
        );
    }

    #[test]
    fn values_with_commas_stand_in_brackets() {
        let added = added(&line(&OPTIONS, &["--add-config", "a=1,cleanup.policy=[compact,delete],empty="])).unwrap();
        let expected = [("a", "1"), ("cleanup.policy", "compact,delete"), ("empty", "")];
        assert_eq!(added, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let Err(Failure::Message(message)) = super::added(&line(&OPTIONS, &["--add-config", "a"])) else {
            panic!("no value")
        };
        assert!(message.starts_with("requirement failed: Invalid entity config: "));
    }
}
