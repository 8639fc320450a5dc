//! The options of `millstream bench` and how their values are read.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use millstream_bench::{CompressionType, Limit, Start};

/// How long a load goes on that has no other limit.
const SECONDS_DEFAULT: f64 = 10.0;

#[derive(clap::Args, Debug)]
pub(super) struct Target {
    /// A broker of the cluster
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", global = true)]
    pub(super) bootstrap_server: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub(super) output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Text,
    Json,
}

#[derive(clap::Args, Debug)]
pub(super) struct TopicArgs {
    /// The topic; it is made if it does not exist
    #[arg(long, default_value = "millstream-bench")]
    pub(super) topic: String,
    /// The topic's first so many partitions [default: all; 1 for a new topic]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) partitions: Option<i32>,
    /// A config of a topic that is made; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) topic_config: Vec<(String, String)>,
}

#[derive(clap::Args, Debug)]
pub(super) struct LimitArgs {
    /// Stop after so many bytes of record batches (500M, 2G; Ki, Mi, Gi are powers of two)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) bytes: Option<u64>,
    /// Stop after so many requests
    #[arg(long, value_name = "N")]
    pub(super) requests: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub(super) seconds: Option<f64>,
    /// Requests per second, over all connections [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) rate: Option<f64>,
}

#[derive(clap::Args, Debug)]
pub(super) struct ProduceArgs {
    #[command(flatten)]
    pub(super) topic: TopicArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    /// Connections, a thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) connections: usize,
    /// Requests of a connection that wait for their answers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub(super) in_flight: usize,
    /// When a request is answered
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub(super) acks: Acks,
    /// Bytes of a record's value
    #[arg(long, value_name = "SIZE", default_value = "1Ki", value_parser = size)]
    pub(super) record_size: u64,
    /// Bytes of a batch before compression, at most; a batch has at least one record
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size)]
    pub(super) batch_size: u64,
    /// Different keys, as often as each other [default: no keys]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) keys: u64,
    /// Batches in one request, each for another partition
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) partitions_per_request: usize,
    /// Partitions take turns in a random order, the same in every run
    #[arg(long)]
    pub(super) shuffle: bool,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "CODEC", default_value = "none")]
    pub(super) compression: CompressionType,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    pub(super) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct FetchArgs {
    #[command(flatten)]
    pub(super) topic: TopicArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    /// Connections, a thread each; with more of them than partitions, several read the same one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) connections: usize,
    /// Requests of a connection that wait for their answers, each for another partition
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) in_flight: usize,
    /// earliest, latest, an offset, or -N for N records before the end
    #[arg(long, value_name = "WHERE", default_value = "earliest", allow_hyphen_values = true, value_parser = start)]
    pub(super) from: Start,
    /// Only so many records of each partition, from there on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) records: Option<i64>,
    /// What to do at the end that the topic had at the start, or of the records that were asked for
    #[arg(long, value_enum, default_value_t = End::Stop)]
    pub(super) at_end: End,
    /// Bytes of an answer, at most
    #[arg(long, value_name = "SIZE", default_value = "1Mi", value_parser = size_i32)]
    pub(super) max_bytes: i32,
    /// Bytes that the broker waits for
    #[arg(long, value_name = "SIZE", default_value = "1", value_parser = size_i32)]
    pub(super) min_bytes: i32,
    /// How long the broker waits for them
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) max_wait_ms: i32,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum End {
    Stop,
    /// From the start, again and again
    Again,
    /// Wait for more records
    Follow,
}

#[derive(clap::Args, Debug)]
pub(super) struct EndToEndArgs {
    #[command(flatten)]
    pub(super) topic: TopicArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    /// When a record is acknowledged
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub(super) acks: Acks,
    /// Bytes of a record's value
    #[arg(long, value_name = "SIZE", default_value = "100", value_parser = size)]
    pub(super) record_size: u64,
}

#[derive(clap::Args, Debug)]
pub(super) struct TopicsArgs {
    /// The topic's name, or with --count the beginning of all names: NAME-0, NAME-1 …
    #[arg(long, value_name = "NAME", default_value = "millstream-bench")]
    pub(super) topic: String,
    /// How many topics
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) count: usize,
    /// Topics in one request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) per_request: usize,
}

impl TopicsArgs {
    pub(super) fn names(&self) -> Vec<String> {
        match self.count {
            1 => vec![self.topic.clone()],
            count => (0..count).map(|number| format!("{}-{number}", self.topic)).collect(),
        }
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct CreateTopicsArgs {
    #[command(flatten)]
    pub(super) topics: TopicsArgs,
    /// Partitions of each topic
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) partitions: i32,
    /// -1 is the broker's default
    #[arg(long, value_name = "N", default_value_t = -1, allow_hyphen_values = true)]
    pub(super) replication_factor: i16,
    /// A config of each topic; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) topic_config: Vec<(String, String)>,
}

#[derive(clap::Args, Debug)]
pub(super) struct MetadataArgs {
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = positive)]
    pub(super) timeout: f64,
}

#[derive(clap::Args, Debug)]
pub(super) struct ConnectionsArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = at_least_one)]
    pub(super) count: usize,
    /// How long they are held
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS_DEFAULT, value_parser = positive)]
    pub(super) seconds: f64,
}

#[derive(clap::Args, Debug)]
pub(super) struct DiskArgs {
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    /// A folder on the disk; a file in it is written and removed
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) directory: PathBuf,
    /// Bytes of one write, a multiple of 4 KiB
    #[arg(long, value_name = "SIZE", default_value = "4Ki", value_parser = size)]
    pub(super) write_size: u64,
    /// Writes on their way at once, a thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(super) depth: usize,
}

impl LimitArgs {
    pub(super) fn limit(&self) -> Limit {
        let duration = self.seconds.map(Duration::from_secs_f64);
        Limit { bytes: self.bytes, requests: self.requests, duration }
    }

    /// A load that could go on for ever ends after a while.
    pub(super) fn or_seconds(&self) -> Limit {
        let mut limit = self.limit();
        if limit.bytes.is_none() && limit.requests.is_none() {
            limit.duration.get_or_insert(Duration::from_secs_f64(SECONDS_DEFAULT));
        }
        limit
    }
}

/// `1000`, `64K`, `1M`, `2G`, `16Ki`, `1MiB` …
pub(super) fn size(text: &str) -> Result<u64> {
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

pub(super) fn at_least_one(text: &str) -> Result<usize> {
    match text.parse()? {
        0 => bail!("it must be at least 1"),
        number => Ok(number),
    }
}

pub(super) fn positive(text: &str) -> Result<f64> {
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
