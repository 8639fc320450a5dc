//! `millstream data-producer` and `millstream data-consumer`: the lab's microservices, alone, against any Kafka.
//!
//! Their settings come from the environment, as in the lab; their log lines go to stdout, because they are what one
//! runs them for.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use millstream_services::{Config, Mode, ServiceError, ServiceLog, data_consumer, data_producer};
use tokio_util::sync::CancellationToken;

use crate::up::stop;

/// What both services take; everything else comes from the environment (QUARKUS_HTTP_PORT, KAFKA_BOOTSTRAP_SERVERS, …).
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How measurements travel: through a topic, or over HTTP from the producer to the consumer.
    #[arg(long, value_enum, default_value_t = ModeName::Event)]
    mode: ModeName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    Event,
    Rest,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Event => Self::Event,
            ModeName::Rest => Self::Rest,
        }
    }
}

pub(crate) fn run_producer(args: &Args) -> Result<ExitCode> {
    run(args, data_producer::run)
}

pub(crate) fn run_consumer(args: &Args) -> Result<ExitCode> {
    run(args, data_consumer::run)
}

/// One thread is plenty for a record every two seconds.
fn run<F>(args: &Args, service: impl FnOnce(Config, Mode, ServiceLog, CancellationToken) -> F) -> Result<ExitCode>
where
    F: Future<Output = Result<(), ServiceError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let shutdown = stop::on_signal()?;
        service(Config::from_env(), args.mode.into(), ServiceLog::stdout(), shutdown).await?;
        Ok(ExitCode::SUCCESS)
    })
}
