//! The commands of `millstream`, one file each. To add one: a file here with `Args` (clap) and
//! `run(args) -> anyhow::Result<ExitCode>`, a variant of `Command`, an arm in `run`.
//!
//! A command builds the runtime it needs itself: the broker wants one thread per core, a tool wants one.

pub(crate) mod apply;
mod bench;
mod broker;
mod delete;
mod doctor;
mod get;
mod install_tools;
mod log;
mod logs;
mod service;
mod up;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::kubectl::server::RequestError;
use crate::tools;

/// An event-streaming platform that speaks Apache Kafka.
#[derive(Parser, Debug)]
#[command(name = "millstream", version, max_term_width = 120)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    logs: crate::logs::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The lab's data-producer: a measurement to a topic every two seconds, and one at /data.
    DataProducer(service::Args),
    /// The lab's data-consumer: logs the measurements of a topic, and fetches one for /data.
    DataConsumer(service::Args),
    /// Create, alter, delete, list and describe topics (kafka-topics).
    #[command(disable_help_flag = true)]
    Topics(ToolArgs),
    /// Send each line of standard input as a record (kafka-console-producer).
    #[command(disable_help_flag = true)]
    ConsoleProducer(ToolArgs),
    /// Print records as they come (kafka-console-consumer).
    #[command(disable_help_flag = true)]
    ConsoleConsumer(ToolArgs),
    /// List, describe and delete consumer groups, and set their offsets (kafka-consumer-groups).
    #[command(disable_help_flag = true)]
    ConsumerGroups(ToolArgs),
    /// Show and change configs of topics, brokers and groups (kafka-configs).
    #[command(disable_help_flag = true)]
    Configs(ToolArgs),
    /// Print offsets of partitions (kafka-get-offsets).
    #[command(disable_help_flag = true)]
    GetOffsets(ToolArgs),
    /// Show which versions of which APIs the brokers serve (kafka-broker-api-versions).
    #[command(disable_help_flag = true)]
    BrokerApiVersions(ToolArgs),
    /// Make links under the names of Kafka's scripts, each of which is that tool.
    InstallTools(install_tools::Args),
    Apply(apply::Args),
    Delete(delete::Args),
    Get(get::Args),
    Logs(logs::Args),
    Up(up::Args),
    Broker(broker::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    Log(log::Args),
}

/// The rest of the line, which a tool reads itself: docs/decisions/0004.
#[derive(clap::Args, Debug)]
struct ToolArgs {
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// The log level of what answers and ends: it only complains.
pub(crate) const QUIET: &str = "warn";

pub(crate) fn run(line: CommandLine) -> Result<ExitCode> {
    crate::logs::init(&line.logs, line.command.default_log_level());
    match line.command {
        Command::DataProducer(args) => service::run_producer(&args),
        Command::DataConsumer(args) => service::run_consumer(&args),
        Command::Topics(args) => Ok(tools::run(&tools::TOPICS, args.words)),
        Command::ConsoleProducer(args) => Ok(tools::run(&tools::CONSOLE_PRODUCER, args.words)),
        Command::ConsoleConsumer(args) => Ok(tools::run(&tools::CONSOLE_CONSUMER, args.words)),
        Command::ConsumerGroups(args) => Ok(tools::run(&tools::CONSUMER_GROUPS, args.words)),
        Command::Configs(args) => Ok(tools::run(&tools::CONFIGS, args.words)),
        Command::GetOffsets(args) => Ok(tools::run(&tools::GET_OFFSETS, args.words)),
        Command::BrokerApiVersions(args) => Ok(tools::run(&tools::BROKER_API_VERSIONS, args.words)),
        Command::InstallTools(args) => install_tools::run(&args),
        Command::Apply(args) => wait_for(apply::run(args)),
        Command::Delete(args) => wait_for(delete::run(args)),
        Command::Get(args) => wait_for(get::run(args)),
        Command::Logs(args) => wait_for(logs::run(args)),
        Command::Up(args) => wait_for(up::run(args)),
        Command::Broker(args) => broker::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Log(args) => log::run(args),
    }
}

/// Runs a command of the platform: one thread is enough. What the server refused is said in kubectl's own words.
fn wait_for(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let result = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command);
    result.or_else(|error| {
        eprintln!("{}", error.downcast::<RequestError>()?);
        Ok(ExitCode::FAILURE)
    })
}

impl Command {
    /// What keeps running tells what it does (`info`); what answers and ends only complains.
    fn default_log_level(&self) -> &'static str {
        match self {
            // The services log for themselves, on stdout; of their Kafka client only complaints are of interest.
            Self::DataProducer(_) | Self::DataConsumer(_) => QUIET,
            Self::Topics(_)
            | Self::ConsoleProducer(_)
            | Self::ConsoleConsumer(_)
            | Self::ConsumerGroups(_)
            | Self::Configs(_)
            | Self::GetOffsets(_)
            | Self::BrokerApiVersions(_)
            | Self::InstallTools(_)
            | Self::Apply(_)
            | Self::Delete(_)
            | Self::Get(_)
            | Self::Logs(_)
            | Self::Up(_)
            | Self::Bench(_)
            | Self::Doctor(_)
            | Self::Log(_) => QUIET,
            Self::Broker(_) => "info",
        }
    }
}
