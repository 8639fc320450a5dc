//! `millstream bench`: measures a broker, Apache Kafka's or ours, with the load generator of `millstream-bench`.
//!
//! Without a load it runs a few after each other and prints a table. stdout carries the result, for people or as JSON
//! (`cargo xtask bench` reads it); progress goes to stderr. An error answer of the broker ends the load and the command
//! fails with its name.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use millstream_bench::{
    AtEnd, BatchShape, Cluster, DiskProbe, EndToEnd, Fetch, IdleConnections, Limit, NewTopics, Probe, Produce,
    Progress, Report,
};

use self::args::{
    ConnectionsArgs, CreateTopicsArgs, DiskArgs, End, EndToEndArgs, FetchArgs, MetadataArgs, Output, ProduceArgs,
    Target, TopicArgs, TopicsArgs,
};

mod args;
mod show;
mod suite;

const RECORDS_DEFAULT: u64 = 10_000;

/// Measures a broker: throughput, latency, and how long it takes to start.
///
/// Without a load, a few run after each other on a topic of their own, which is removed again, and a table says what came
/// of them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    suite: suite::SuiteArgs,
    #[command(subcommand)]
    load: Option<Load>,
}

#[derive(Subcommand, Debug)]
enum Load {
    /// Send record batches that were built beforehand, several requests in flight.
    Produce(ProduceArgs),
    /// Read a topic as a consumer without a group does.
    Fetch(FetchArgs),
    /// Send records one by one and wait until a consumer has each.
    E2e(EndToEndArgs),
    /// Make topics and wait until every partition is served by its leader.
    CreateTopics(CreateTopicsArgs),
    /// Remove topics and wait until they are unknown.
    DeleteTopics(TopicsArgs),
    /// Wait until every partition of topics is served by its leader.
    AwaitTopics(TopicsArgs),
    /// Wait for a starting broker's first answer to Metadata.
    Metadata(MetadataArgs),
    /// Open connections and hold them idle.
    Connections(ConnectionsArgs),
    /// Write to a disk past any broker, each write synced: what durable records can cost at least.
    Disk(DiskArgs),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let server = &*args.target.bootstrap_server;
    let Some(load) = &args.load else { return suite::run(&args.suite, server, args.target.output) };
    let report = match load {
        Load::Produce(args) => produce(args, server)?,
        Load::Fetch(args) => fetch(args, server)?,
        Load::E2e(args) => end_to_end(args, server)?,
        Load::CreateTopics(args) => create_topics(args, server)?,
        Load::DeleteTopics(args) => delete_topics(args, server)?,
        Load::AwaitTopics(args) => NewTopics::wait(&args.names(), server)?,
        Load::Metadata(args) => metadata(args, server)?,
        Load::Connections(args) => connections(args, server)?,
        Load::Disk(args) => disk(args)?,
    };
    match args.target.output {
        Output::Text => print!("{}", show::text(&report)),
        Output::Json => println!("{}", serde_json::to_string(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn produce(args: &ProduceArgs, server: &str) -> Result<Report> {
    prepare(server, &args.topic)?;
    let limit = args.limit.or_seconds();
    let load = Produce {
        topic: args.topic.topic.clone(),
        partitions: args.topic.partitions,
        connections: args.connections,
        in_flight: args.in_flight,
        acks: args.acks.number(),
        shape: BatchShape {
            record_bytes: usize::try_from(args.record_size)?,
            keys: args.keys,
            batch_bytes: usize::try_from(args.batch_size)?,
            compression: args.compression,
        },
        partitions_per_request: args.partitions_per_request,
        shuffled: args.shuffle,
        limit,
        rate: args.limit.rate,
    };
    show::watched("produce", limit, |progress| Ok(load.run(server, progress)?))
}

fn fetch(args: &FetchArgs, server: &str) -> Result<Report> {
    let at_end = match args.at_end {
        End::Stop => AtEnd::Stop,
        End::Again => AtEnd::Again,
        End::Follow => AtEnd::Follow,
    };
    let limit = if at_end == AtEnd::Stop { args.limit.limit() } else { args.limit.or_seconds() };
    let load = Fetch {
        topic: args.topic.topic.clone(),
        partitions: args.topic.partitions,
        connections: args.connections,
        in_flight: args.in_flight,
        start: args.from,
        records: args.records,
        at_end,
        max_bytes: args.max_bytes,
        min_bytes: args.min_bytes,
        max_wait_ms: args.max_wait_ms,
        limit,
        rate: args.limit.rate,
    };
    show::watched("fetch", limit, |progress| Ok(load.run(server, progress)?))
}

fn end_to_end(args: &EndToEndArgs, server: &str) -> Result<Report> {
    prepare(server, &args.topic)?;
    let mut limit = args.limit.limit();
    if limit.bytes.is_none() && limit.requests.is_none() && limit.duration.is_none() {
        limit.requests = Some(RECORDS_DEFAULT);
    }
    let load = EndToEnd {
        topic: args.topic.topic.clone(),
        acks: args.acks.number(),
        record_bytes: usize::try_from(args.record_size)?,
        limit,
        rate: args.limit.rate,
    };
    show::watched("e2e", limit, |progress| Ok(load.run(server, progress)?))
}

fn create_topics(args: &CreateTopicsArgs, server: &str) -> Result<Report> {
    let topics = NewTopics {
        names: args.topics.names(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: args.topic_config.clone(),
    };
    let per_request = args.topics.per_request;
    let limit = Limit { requests: Some(topics.names.len().div_ceil(per_request) as u64), ..Limit::default() };
    show::watched("create-topics", limit, |progress| Ok(topics.run(server, per_request, progress)?))
}

fn delete_topics(args: &TopicsArgs, server: &str) -> Result<Report> {
    let names = args.names();
    let limit = Limit { requests: Some(names.len().div_ceil(args.per_request) as u64), ..Limit::default() };
    show::watched("delete-topics", limit, |progress| Ok(NewTopics::remove(&names, server, args.per_request, progress)?))
}

/// stderr says when the probe looks, so that whoever starts the broker then measures from before its start.
fn metadata(args: &MetadataArgs, server: &str) -> Result<Report> {
    let probe = Probe { address: server.to_owned(), patience: Duration::from_secs_f64(args.timeout) };
    Ok(probe.run(|| eprintln!("looking at {server}"))?)
}

fn connections(args: &ConnectionsArgs, server: &str) -> Result<Report> {
    let load = IdleConnections { count: args.count, hold: Duration::from_secs_f64(args.seconds) };
    let opened = || eprintln!("{} connections are open", args.count);
    Ok(load.run(server, &Progress::default(), opened)?)
}

fn disk(args: &DiskArgs) -> Result<Report> {
    let limit = args.limit.or_seconds();
    let (directory, write_bytes) = (args.directory.clone(), usize::try_from(args.write_size)?);
    let load = DiskProbe { directory, write_bytes, depth: args.depth, limit };
    show::watched("disk", limit, |progress| Ok(load.run(progress)?))
}

/// Makes the topic if there is none of this name.
fn prepare(server: &str, topic: &TopicArgs) -> Result<()> {
    let mut cluster = Cluster::open(server)?;
    if cluster.has(&topic.topic)? {
        return Ok(());
    }
    let new = NewTopics {
        names: vec![topic.topic.clone()],
        partitions: topic.partitions.unwrap_or(1),
        replication_factor: -1,
        configs: topic.topic_config.clone(),
    };
    cluster.create(&new).with_context(|| format!("making the topic {}", topic.topic))?;
    cluster.wait_until_usable(&new.names)?;
    eprintln!("made the topic {} with {} partition(s)", topic.topic, new.partitions);
    Ok(())
}
