//! `cargo xtask test`: README's test command. Rust's own tests first, then other people's Kafka clients.
//!
//! The clients are programs in tests/clients; each prints a line per claim. They run against a `millstream broker` that
//! this chore starts on a free port, or against Apache Kafka itself (`--against kafka`), which proves the programs.
//! A client whose toolchain is missing is named loudly; with CI=true that is a failure. The last line sums up everything.

use std::{fs, path::PathBuf, process::Stdio};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use self::{suite::Suite, tally::Tally};
use crate::{
    brought,
    cluster::{self, Cluster, Kafka},
    workspace,
};

mod suite;
mod tally;

/// Where tests of ours look for Apache Kafka, which they hold our files against.
const KAFKA_JARS: [(&str, &str); 2] =
    [("MILLSTREAM_KAFKA_BROKER_LIBS", "kafka/broker.pom.xml"), ("MILLSTREAM_KAFKA_LIBS", "kafka/tools.pom.xml")];

/// What to run; everything by default.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this part: `rust`, `clients` or the name of one client; may be repeated.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// The cluster that the clients are run against.
    #[arg(long, value_enum, default_value_t = Against::Millstream)]
    against: Against,
    /// A cluster that runs already, instead of one started here.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Against {
    /// This checkout's broker.
    Millstream,
    /// Apache Kafka, brought through Maven.
    Kafka,
}

impl Args {
    fn wants(&self, part: &str, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part || only == group)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let suites: Vec<&Suite> = suite::SUITES.iter().filter(|suite| args.wants(suite.name, "clients")).collect();
    let rust = args.wants("rust", "rust");
    ensure!(rust || !suites.is_empty(), "nothing to run: there are rust, clients and {}", suite::names());
    let mut tally = Tally::default();
    if rust {
        tally += rust_tests()?;
    }
    if !suites.is_empty() {
        tally += clients(args, &suites)?;
    }
    println!("\n{tally}");
    ensure!(tally.failed == 0, "{} failed", tally.failed);
    Ok(())
}

/// `cargo test` of the whole workspace; its output passes through.
fn rust_tests() -> Result<Tally> {
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    for (variable, pom) in KAFKA_JARS {
        match brought::jars(pom) {
            Ok(jars) => {
                command.env(variable, jars);
            }
            // The tests that want them say so, and fail where they must run.
            Err(why) => println!("!! {variable} names nothing: {why:#}"),
        }
    }
    let mut tally = Tally::default();
    let ended = tally::follow(&mut command, |line| tally += Tally::of_cargo_test(line))?;
    if !ended.success() && tally.failed == 0 {
        // It did not compile, or a test process died: that is one failure, whatever was counted.
        println!("cargo test ended with {ended}");
        tally.failed = 1;
    }
    Ok(tally)
}

fn clients(args: &Args, suites: &[&Suite]) -> Result<Tally> {
    let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut tally = Tally::default();
    let mut ready = Vec::new();
    for suite in suites {
        match suite.prepare() {
            Ok(environment) => ready.push((suite, environment)),
            Err(why) => {
                println!("\n!! {} NOT RUN: {why:#}", suite.name);
                tally.miss(must_run);
            }
        }
    }
    if ready.is_empty() {
        return Ok(tally);
    }
    for (suite, environment) in ready {
        if let Some(why) = not_against(args, suite) {
            println!("\n!! {} NOT RUN: {why}", suite.name);
            tally.miss(false);
            continue;
        }
        let Some(nodes) = suite.nodes else {
            build()?;
            println!("\n== {}", suite.name);
            tally += suite.run(None, &environment)?;
            continue;
        };
        // A cluster of its own for each suite, so that none depends on what another left behind.
        let (cluster, data) = match &args.bootstrap {
            Some(address) => (Cluster::running(address), None),
            None if args.against == Against::Kafka => start_kafka()?,
            None => start_millstream(nodes)?,
        };
        println!("\n== {} against {}", suite.name, cluster.bootstrap);
        tally += suite.run(Some(&cluster), &environment)?;
        tally += stop(cluster, data)?;
    }
    Ok(tally)
}

/// Why a suite cannot be run against what is asked for.
fn not_against(args: &Args, suite: &Suite) -> Option<String> {
    match suite.nodes {
        None if args.bootstrap.is_some() || args.against == Against::Kafka => {
            Some("it is about `millstream up`, not about a Kafka cluster".to_owned())
        }
        Some(nodes) if nodes > 1 && args.bootstrap.is_none() && args.against == Against::Kafka => {
            Some(format!("Apache Kafka is started here as one node, not as {nodes}"))
        }
        _ => None,
    }
}

fn build() -> Result<()> {
    let built = workspace::cargo().args(["build", "-q", "-p", "millstream-cli"]).status()?;
    ensure!(built.success(), "the broker does not build");
    Ok(())
}

/// Starts `millstream broker` as so many nodes on free ports with an empty data folder.
fn start_millstream(nodes: u32) -> Result<(Cluster, Option<PathBuf>)> {
    build()?;
    let data = cluster::empty_folder("clients/millstream-data")?;
    // As Kafka's own server.properties says it, so that both describe their topics in the same words.
    let nodes = nodes.to_string();
    let options = ["--nodes", &nodes, "--set", "node.id=1", "--set", "log.segment.bytes=1073741824"];
    let mut cluster = Cluster::spawn_millstream(&workspace::binary(), &data, 0, &options)?;
    cluster.wait_until_listening()?;
    Ok((cluster, Some(data)))
}

/// Starts Apache Kafka, one node, on free ports with an empty data folder.
fn start_kafka() -> Result<(Cluster, Option<PathBuf>)> {
    let data = cluster::empty_folder("clients/kafka-data")?;
    let kafka = Kafka::prepare(&data, (cluster::free_port()?, cluster::free_port()?), "")?;
    let mut cluster = kafka.spawn(&["-Xmx512M", "-XX:+UseSerialGC"])?;
    cluster.wait_until_connected(&kafka.log)?;
    Ok((cluster, Some(data)))
}

/// Stops what was started here; a broker that does not end by itself, and cleanly, is a failed claim.
fn stop(cluster: Cluster, data: Option<PathBuf>) -> Result<Tally> {
    let Some(status) = cluster.stop()? else { return Ok(Tally::default()) };
    let claim = if cluster::is_clean(status) {
        data.map_or(Ok(()), fs::remove_dir_all)?;
        "ok - the broker stops cleanly".to_owned()
    } else {
        format!("not ok - the broker stops cleanly ({status})")
    };
    println!("{claim}");
    Ok(Tally::of_claim(&claim))
}
