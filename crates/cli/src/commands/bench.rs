//! `millstream bench`: measures a broker, Apache Kafka's or ours, with the load generator of `millstream-bench`.
//!
//! stdout carries the result, for people or as JSON (`cargo xtask bench` reads it); progress goes to stderr. An error
//! answer of the broker ends the load and the command fails with its name.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use millstream_bench::{
    AtEnd, BatchShape, Cluster, CompressionType, EndToEnd, Fetch, IdleConnections, Limit, NewTopics, Probe, Produce,
    Progress, Report, Start,
};

mod show;

/// How long a load goes on that has no other limit.
const SECONDS_DEFAULT: f64 = 10.0;
const RECORDS_DEFAULT: u64 = 10_000;

/// Measures a broker: throughput, latency, and how long it takes to start.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    load: Load,
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
    /// Wait for a starting broker's first answer to Metadata.
    Metadata(MetadataArgs),
    /// Open connections and hold them idle.
    Connections(ConnectionsArgs),
}

#[derive(clap::Args, Debug)]
struct Target {
    /// A broker of the cluster
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", global = true)]
    bootstrap_server: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

#[derive(clap::Args, Debug)]
struct TopicArgs {
    /// The topic; it is made if it does not exist
    #[arg(long, default_value = "millstream-bench")]
    topic: String,
    /// The topic's first so many partitions [default: all; 1 for a new topic]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A config of a topic that is made; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    topic_config: Vec<(String, String)>,
}

#[derive(clap::Args, Debug)]
struct LimitArgs {
    /// Stop after so many bytes of record batches (500M, 2G; Ki, Mi, Gi are powers of two)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Option<u64>,
    /// Stop after so many requests
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    seconds: Option<f64>,
    /// Requests per second, over all connections [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
}

#[derive(clap::Args, Debug)]
struct ProduceArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    limit: LimitArgs,
    /// Connections, a thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    connections: usize,
    /// Requests of a connection that wait for their answers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    in_flight: usize,
    /// When a request is answered
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Bytes of a record's value
    #[arg(long, value_name = "SIZE", default_value = "1Ki", value_parser = size)]
    record_size: u64,
    /// Bytes of a batch before compression, at most; a batch has at least one record
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size)]
    batch_size: u64,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "CODEC", default_value = "none")]
    compression: CompressionType,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

#[derive(clap::Args, Debug)]
struct FetchArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    limit: LimitArgs,
    /// Connections, a thread each; with more of them than partitions, several read the same one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    connections: usize,
    /// Requests of a connection that wait for their answers, each for another partition
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    in_flight: usize,
    /// earliest, latest, an offset, or -N for N records before the end
    #[arg(long, value_name = "WHERE", default_value = "earliest", allow_hyphen_values = true, value_parser = start)]
    from: Start,
    /// What to do at the end that the topic had at the start
    #[arg(long, value_enum, default_value_t = End::Stop)]
    at_end: End,
    /// Bytes of an answer, at most
    #[arg(long, value_name = "SIZE", default_value = "1Mi", value_parser = size_i32)]
    max_bytes: i32,
    /// Bytes that the broker waits for
    #[arg(long, value_name = "SIZE", default_value = "1", value_parser = size_i32)]
    min_bytes: i32,
    /// How long the broker waits for them
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(i32).range(0..))]
    max_wait_ms: i32,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum End {
    Stop,
    /// From the start, again and again
    Again,
    /// Wait for more records
    Follow,
}

#[derive(clap::Args, Debug)]
struct EndToEndArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    limit: LimitArgs,
    /// When a record is acknowledged
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Bytes of a record's value
    #[arg(long, value_name = "SIZE", default_value = "100", value_parser = size)]
    record_size: u64,
}

#[derive(clap::Args, Debug)]
struct TopicsArgs {
    #[command(flatten)]
    target: Target,
    /// The topic's name, or with --count the beginning of all names: NAME-0, NAME-1 …
    #[arg(long, value_name = "NAME", default_value = "millstream-bench")]
    topic: String,
    /// How many topics
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    count: usize,
    /// Topics in one request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    per_request: usize,
}

impl TopicsArgs {
    fn names(&self) -> Vec<String> {
        match self.count {
            1 => vec![self.topic.clone()],
            count => (0..count).map(|number| format!("{}-{number}", self.topic)).collect(),
        }
    }
}

#[derive(clap::Args, Debug)]
struct CreateTopicsArgs {
    #[command(flatten)]
    topics: TopicsArgs,
    /// Partitions of each topic
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// -1 is the broker's default
    #[arg(long, value_name = "N", default_value_t = -1, allow_hyphen_values = true)]
    replication_factor: i16,
    /// A config of each topic; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    topic_config: Vec<(String, String)>,
}

#[derive(clap::Args, Debug)]
struct MetadataArgs {
    #[command(flatten)]
    target: Target,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = positive)]
    timeout: f64,
}

#[derive(clap::Args, Debug)]
struct ConnectionsArgs {
    #[command(flatten)]
    target: Target,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = at_least_one)]
    count: usize,
    /// How long they are held
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS_DEFAULT, value_parser = positive)]
    seconds: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (report, output) = match &args.load {
        Load::Produce(args) => (produce(args)?, args.target.output),
        Load::Fetch(args) => (fetch(args)?, args.target.output),
        Load::E2e(args) => (end_to_end(args)?, args.target.output),
        Load::CreateTopics(args) => (create_topics(args)?, args.topics.target.output),
        Load::DeleteTopics(args) => (delete_topics(args)?, args.target.output),
        Load::Metadata(args) => (metadata(args)?, args.target.output),
        Load::Connections(args) => (connections(args)?, args.target.output),
    };
    match output {
        Output::Text => print!("{}", show::text(&report)),
        Output::Json => println!("{}", serde_json::to_string(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn produce(args: &ProduceArgs) -> Result<Report> {
    prepare(&args.target, &args.topic)?;
    let limit = args.limit.or_seconds();
    let load = Produce {
        topic: args.topic.topic.clone(),
        partitions: args.topic.partitions,
        connections: args.connections,
        in_flight: args.in_flight,
        acks: args.acks.number(),
        shape: BatchShape {
            record_bytes: usize::try_from(args.record_size)?,
            batch_bytes: usize::try_from(args.batch_size)?,
            compression: args.compression,
        },
        limit,
        rate: args.limit.rate,
    };
    show::watched(limit, |progress| Ok(load.run(&args.target.bootstrap_server, progress)?))
}

fn fetch(args: &FetchArgs) -> Result<Report> {
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
        at_end,
        max_bytes: args.max_bytes,
        min_bytes: args.min_bytes,
        max_wait_ms: args.max_wait_ms,
        limit,
        rate: args.limit.rate,
    };
    show::watched(limit, |progress| Ok(load.run(&args.target.bootstrap_server, progress)?))
}

fn end_to_end(args: &EndToEndArgs) -> Result<Report> {
    prepare(&args.target, &args.topic)?;
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
    show::watched(limit, |progress| Ok(load.run(&args.target.bootstrap_server, progress)?))
}

fn create_topics(args: &CreateTopicsArgs) -> Result<Report> {
    let topics = NewTopics {
        names: args.topics.names(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: args.topic_config.clone(),
    };
    let (server, per_request) = (&args.topics.target.bootstrap_server, args.topics.per_request);
    let limit = Limit { requests: Some(topics.names.len().div_ceil(per_request) as u64), ..Limit::default() };
    show::watched(limit, |progress| Ok(topics.run(server, per_request, progress)?))
}

fn delete_topics(args: &TopicsArgs) -> Result<Report> {
    let (names, server) = (args.names(), &args.target.bootstrap_server);
    let limit = Limit { requests: Some(names.len().div_ceil(args.per_request) as u64), ..Limit::default() };
    show::watched(limit, |progress| Ok(NewTopics::remove(&names, server, args.per_request, progress)?))
}

/// stderr says when the probe looks, so that whoever starts the broker then measures from before its start.
fn metadata(args: &MetadataArgs) -> Result<Report> {
    let address = args.target.bootstrap_server.clone();
    let probe = Probe { address, patience: Duration::from_secs_f64(args.timeout) };
    Ok(probe.run(|| eprintln!("looking at {}", args.target.bootstrap_server))?)
}

fn connections(args: &ConnectionsArgs) -> Result<Report> {
    let load = IdleConnections { count: args.count, hold: Duration::from_secs_f64(args.seconds) };
    let opened = || eprintln!("{} connections are open", args.count);
    Ok(load.run(&args.target.bootstrap_server, &Progress::default(), opened)?)
}

/// Makes the topic if there is none of this name.
fn prepare(target: &Target, topic: &TopicArgs) -> Result<()> {
    let mut cluster = Cluster::open(&target.bootstrap_server)?;
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

impl LimitArgs {
    fn limit(&self) -> Limit {
        let duration = self.seconds.map(Duration::from_secs_f64);
        Limit { bytes: self.bytes, requests: self.requests, duration }
    }

    /// A load that could go on for ever ends after a while.
    fn or_seconds(&self) -> Limit {
        let mut limit = self.limit();
        if limit.bytes.is_none() && limit.requests.is_none() {
            limit.duration.get_or_insert(Duration::from_secs_f64(SECONDS_DEFAULT));
        }
        limit
    }
}

/// `1000`, `64K`, `1M`, `2G`, `16Ki`, `1MiB` …
fn size(text: &str) -> Result<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().with_context(|| format!("`{text}` begins with no number"))?;
    let factor = match unit.trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => bail!("`{unit}` is no unit: K, M, G, Ki, Mi and Gi are"),
    };
    let bytes = number.checked_mul(factor).with_context(|| format!("{text} is too much"))?;
    if bytes == 0 { bail!("it must be more than nothing") } else { Ok(bytes) }
}

fn size_i32(text: &str) -> Result<i32> {
    i32::try_from(size(text)?).context("it must be below 2 GiB")
}

fn start(text: &str) -> Result<Start> {
    Ok(match text {
        "earliest" => Start::Earliest,
        "latest" => Start::Latest,
        number => match number.parse().context("neither earliest nor latest nor a number")? {
            records @ ..0 => Start::BeforeEnd(-records),
            offset => Start::Offset(offset),
        },
    })
}

fn at_least_one(text: &str) -> Result<usize> {
    match text.parse()? {
        0 => bail!("it must be at least 1"),
        number => Ok(number),
    }
}

fn positive(text: &str) -> Result<f64> {
    let number: f64 = text.parse()?;
    if number.is_finite() && number > 0.0 && number < 1e9 { Ok(number) } else { bail!("it must be more than 0") }
}

fn key_value(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("it is not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn sizes_are_read_in_both_systems() {
        for (text, bytes) in [("1", 1), ("64K", 64_000), ("16Ki", 16_384), ("2GB", 2_000_000_000), ("1MiB", 1 << 20)] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "K", "1X", "99999999999G", "-1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_start_is_a_name_an_offset_or_a_distance_from_the_end() {
        let cases = [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("7", Start::Offset(7)),
            ("-5", Start::BeforeEnd(5)),
        ];
        for (text, expected) in cases {
            assert_eq!(start(text).unwrap(), expected);
        }
        assert!(start("soon").is_err());
    }

    #[test]
    fn a_load_without_a_limit_ends_by_itself() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            limit: LimitArgs,
        }
        let limit = |words: &[&str]| Line::parse_from([&["x"], words].concat()).limit.or_seconds();
        assert_eq!(limit(&[]).duration, Some(Duration::from_secs(10)));
        assert_eq!(limit(&["--bytes", "1K"]).duration, None);
        assert_eq!(limit(&["--seconds", "2"]).duration, Some(Duration::from_secs(2)));
    }
}
