//! `cargo xtask codegen`: Rust from Apache Kafka's message definitions, checked in under `src/generated/` of the
//! crates that own them. `--check` says whether what is checked in is what would be written.

pub(crate) mod artifacts;
mod definition;
mod emit;
mod naming;
mod output;
mod schema;
mod versions;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use artifacts::Artifact;
use definition::{Definition, Kind, Listener};
use output::Output;
use schema::Message;
use versions::Versions;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a checked-in file is not what would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let clients = definitions(&artifacts::CLIENTS, root)?;
    let mut consumer_protocol = consumer_protocol(&clients)?;
    let beside = consumer_protocol.take_messages();
    let outputs = [
        protocol(&clients)?.finish(root, beside)?,
        consumer_protocol.finish(root, Vec::new())?,
        coordinator(root)?.finish(root, Vec::new())?,
        metadata(root, &clients)?.finish(root, Vec::new())?,
    ];
    if args.check {
        return output::check(root, &outputs);
    }
    outputs.iter().try_for_each(|output| output.write(root))
}

fn definitions(artifact: &Artifact, root: &Path) -> Result<Vec<Definition>> {
    let parse = |(name, text): (String, String)| Definition::parse(&text).context(name);
    artifact.definitions(root)?.into_iter().map(parse).collect()
}

/// The messages of every API that a broker serves to clients and tools.
fn protocol(definitions: &[Definition]) -> Result<Output> {
    let mut requests: Vec<&Definition> = definitions.iter().filter(|found| found.kind == Kind::Request).collect();
    requests.sort_by_key(|request| request.api_key);
    let mut output = Output::new("crates/protocol", "millstream_model::wire");
    let mut keys = Vec::new();
    for request in requests {
        let api = request.name.trim_end_matches("Request");
        let response = definitions
            .iter()
            .find(|found| found.kind == Kind::Response && found.api_key == request.api_key)
            .with_context(|| format!("{api} has no response"))?;
        let served = request.listeners.contains(&Listener::Broker);
        let unstable = request.latest_version_unstable;
        let messages = (Message::resolve(request, unstable)?, Message::resolve(response, unstable)?);
        let key = request.api_key.with_context(|| format!("{api} has no key"))?;
        let (Some(mut question), Some(mut answer)) = messages else {
            keys.push(emit::Api { key, name: api.to_owned(), versions: Versions::NONE, flexible: Versions::NONE });
            continue;
        };
        ensure!(question.versions == answer.versions, "{api}: request and response differ in versions");
        let versions = if served { question.versions } else { Versions::NONE };
        keys.push(emit::Api { key, name: api.to_owned(), versions, flexible: question.flexible });
        if served {
            separate(&mut question, &mut answer);
            let doc = format!("{api}, API key {key}.");
            output.add("millstream_protocol", &naming::snake_case(api), &doc, vec![question, answer])?;
        }
    }
    output.add_text("api_key", &emit::api_keys(&keys)?);
    Ok(output)
}

/// What consumers of one group tell each other through JoinGroup and SyncGroup.
fn consumer_protocol(definitions: &[Definition]) -> Result<Output> {
    let mut subscription = named(definitions, "ConsumerProtocolSubscription")?;
    let mut assignment = named(definitions, "ConsumerProtocolAssignment")?;
    separate(&mut subscription, &mut assignment);
    let mut output = Output::new("crates/model", "crate::wire");
    let doc = "What members of a consumer group tell each other inside JoinGroup and SyncGroup.";
    output.add("millstream_model", "consumer_protocol", doc, vec![subscription, assignment])?;
    Ok(output)
}

/// The records of `__consumer_offsets`, `__transaction_state` and `__share_group_state`: key and value in one file.
fn coordinator(root: &Path) -> Result<Output> {
    let mut output = Output::new("crates/coordinator", "millstream_model::wire");
    let topics = [
        (artifacts::GROUP_COORDINATOR, "__consumer_offsets"),
        (artifacts::TRANSACTION_COORDINATOR, "__transaction_state"),
        (artifacts::SHARE_COORDINATOR, "__share_group_state"),
    ];
    for (artifact, topic) in topics {
        let definitions = definitions(&artifact, root)?;
        for definition in definitions.iter().filter(|found| found.kind == Kind::CoordinatorKey) {
            let record = definition.name.trim_end_matches("Key");
            let mut key = named(&definitions, &definition.name)?;
            let doc = format!("`{record}` records of `{topic}`.");
            let mut value = named(&definitions, &format!("{record}Value"))?;
            separate(&mut key, &mut value);
            output.add("millstream_coordinator::generated", &naming::snake_case(record), &doc, vec![key, value])?;
        }
    }
    Ok(output)
}

/// The records of `__cluster_metadata` and of its snapshots.
fn metadata(root: &Path, clients: &[Definition]) -> Result<Output> {
    let mut output = Output::new("crates/metadata", "millstream_model::wire");
    for definition in definitions(&artifacts::METADATA, root)? {
        let record = definition.name.trim_end_matches("Record");
        let doc = format!("`{}` of `__cluster_metadata`.", definition.name);
        let message = named(std::slice::from_ref(&definition), &definition.name)?;
        output.add("millstream_metadata::generated", &naming::snake_case(record), &doc, vec![message])?;
    }
    for name in
        ["KRaftVersionRecord", "LeaderChangeMessage", "SnapshotHeaderRecord", "SnapshotFooterRecord", "VotersRecord"]
    {
        let message = named(clients, name)?;
        let module = naming::snake_case(name.trim_end_matches("Record"));
        let doc = format!("`{name}`, a control record of `__cluster_metadata`.");
        output.add("millstream_metadata::generated", &module, &doc, vec![message])?;
    }
    Ok(output)
}

fn named(definitions: &[Definition], name: &str) -> Result<Message> {
    let definition = definitions.iter().find(|found| found.name == name).with_context(|| format!("no {name}"))?;
    match Message::resolve(definition, false)? {
        Some(message) => Ok(message),
        None => bail!("{name} has no version"),
    }
}

/// Two messages of one file may both have a `Cursor`: these become `RequestCursor` and `ResponseCursor`.
fn separate(first: &mut Message, second: &mut Message) {
    let names =
        |message: &Message| -> Vec<String> { message.structs.iter().map(|structure| structure.name.clone()).collect() };
    let taken = names(second);
    for name in names(first).into_iter().filter(|name| taken.contains(name)) {
        for message in [&mut *first, &mut *second] {
            let prefix = message.name.rfind(char::is_uppercase).map_or("", |start| &message.name[start..]);
            message.rename_struct(&name, &format!("{prefix}{name}"));
        }
    }
}
