//! `millstream broker`: serves Kafka's protocol until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use millstream_broker::{BrokerOptions, Origin, StaticConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// Where HTTP is served unless `--http` says otherwise.
const HTTP_ADDRESS: &str = "127.0.0.1:0";

/// Serves Kafka's protocol.
///
/// A config is taken from `--set` before a flag, from a flag before the file.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// Kafka's own server.properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:9092 and [::1]:9092]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// What clients are told to connect to [default: the address that they have reached]
    #[arg(long, value_name = "ADDR:PORT")]
    advertised: Option<String>,
    /// Where the data lies [default: `$XDG_DATA_HOME/millstream/broker`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A config by Kafka's name; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// When a write is answered: once it is on the disk, or once the system has it, as Kafka does
    #[arg(long, value_name = "MODE")]
    durability: Option<Durability>,
    /// How many nodes this process is; node n listens n ports above the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    nodes: u32,
    /// Where /metrics, /healthz and /readyz are served; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT|off", default_value = HTTP_ADDRESS)]
    http: String,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Durability {
    Fsync,
    Os,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: BrokerOptions) -> Result<ExitCode> {
    for (name, origin) in options.config.unknown() {
        warn!("{origin}: {name} is no config of Kafka's; it has no effect");
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let broker = millstream_broker::start(options).await?;
    if let Some(address) = broker.http_address() {
        info!("metrics at http://{address}/metrics");
    }
    tell_addresses(broker.addresses());
    let failed = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        reason = broker.failed() => Some(reason),
    };
    if let Some(reason) = failed {
        error!("the storage has failed: {reason}; start again to recover");
        return Ok(ExitCode::FAILURE);
    }
    broker.stop().await.context("the logs were not closed; the next start recovers")?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each address, in one write. Whoever reads the first and closes the pipe has what it wanted: the broker
/// serves on.
fn tell_addresses(addresses: &[SocketAddr]) {
    let lines: String = addresses.iter().map(|address| format!("listening on {address}\n")).collect();
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
        warn!(%error, "where the broker listens could not be written to stdout");
    }
}

fn options(args: Args) -> Result<BrokerOptions> {
    let mut config = StaticConfig::default();
    if let Some(path) = &args.config {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("--config: cannot read {}", path.display()))?;
        config.read(path, &text)?;
    }
    if let Some(address) = &args.listen {
        config.set("listeners", format!("PLAINTEXT://{address}"), Origin::Option("--listen"));
    }
    if let Some(address) = &args.advertised {
        config.set("advertised.listeners", format!("PLAINTEXT://{address}"), Origin::Option("--advertised"));
    }
    if let Some(durability) = args.durability {
        let mode = match durability {
            Durability::Fsync => "fsync",
            Durability::Os => "os",
        };
        config.set("millstream.durability", mode, Origin::Option("--durability"));
    }
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            bail!("--set: `{pair}` is not of the form KEY=VALUE");
        };
        config.set(name.trim(), value, Origin::Option("--set"));
    }
    let http = match args.http.as_str() {
        "off" => None,
        text => Some(text.parse::<SocketAddr>().with_context(|| format!("--http: `{text}` is not ADDR:PORT or off"))?),
    };
    let data_dir_default = default_data_dir()?;
    Ok(BrokerOptions { config, data_dir: args.data_dir, data_dir_default, nodes: args.nodes, http })
}

/// `$XDG_DATA_HOME/millstream/broker`, by default below the home directory.
pub(crate) fn default_data_dir() -> Result<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = named("XDG_DATA_HOME").or_else(|| named("HOME").map(|home| home.join(".local/share")));
    let base = base.context("neither XDG_DATA_HOME nor HOME is set: say where the data lies with --data-dir")?;
    Ok(base.join("millstream").join("broker"))
}
