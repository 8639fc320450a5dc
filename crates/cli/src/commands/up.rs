//! `millstream up`: one laptop as a cluster. Starts the platform and its reconcilers, applies manifests, waits until the
//! brokers are there, prints where everything is, then the services' logs from their beginning, until Ctrl-C or SIGTERM.
//!
//! State is kept below the data directory: a second start goes on where the first was. Other commands find it through
//! [`Running`]. With `--detach` the same happens in the background.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use millstream_platform::{Config, ImageRule, Platform, RoutesAddress};
use millstream_reconcile::{BrokerProcess, Settings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::commands::apply::Applied;
use crate::kubectl::server::Server;
use crate::manifest::{self, Manifest};
use crate::running::{Announced, Running, Target, hash_of, write_private};
use crate::up::progress::Progress;
use crate::up::{detached, follow, settle, stop};

/// Strimzi's topic operator looks every two minutes; here a look costs next to nothing.
const TOPIC_RESYNC: Duration = Duration::from_secs(30);
/// Where routes answer unless the user says otherwise.
const ROUTES_PORT: u16 = 8000;
/// The Kafka that `up` runs when it is given no manifest.
const DEFAULT_KAFKA: &str = "millstream";

/// Runs what manifests describe, on this machine.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// A file or a folder with manifests, or - for standard input; may be given several times. Without one: a broker on
    /// localhost:9092.
    #[arg(short, long = "filename", value_name = "PATH")]
    filename: Vec<String>,
    /// When a record is acknowledged: fsync (it is on the disk) or os (the system has it). Default: fsync.
    #[arg(long, value_enum)]
    durability: Option<Durability>,
    /// Where the web console listens, or off.
    #[arg(long, value_name = "ADDR:PORT|off")]
    console: Option<String>,
    /// Where routes answer; port 0 picks a free one [default: 127.0.0.1:8000, or a free port when that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    routes: Option<SocketAddr>,
    /// Go to the background when all is ready.
    #[arg(long)]
    detach: bool,
    /// The program that an image stands for, by the last part of the image's name.
    #[arg(long = "image", value_name = "NAME=COMMAND")]
    images: Vec<String>,
    /// Started by another command, to serve in the background.
    #[arg(long, hide = true)]
    background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Durability {
    Fsync,
    Os,
}

impl Durability {
    fn text(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    // Before anything is started: a broken manifest costs nothing.
    let manifests = manifest::read(&args.filename)?;
    if args.console.as_deref().is_some_and(|console| console != "off") {
        eprintln!("--console: the web console is not there yet");
    }
    let data_dir = args.target.data_dir()?;
    let here = Target { data_dir: Some(data_dir.clone()) };
    if let Some((running, _)) = here.find().await? {
        let (pid, dir) = (running.pid, data_dir.display());
        bail!("already running on {dir} (pid {pid}): change it with `millstream apply -f`, stop it with `kill {pid}`");
    }
    if args.detach {
        return background(&args, &here, &manifests).await;
    }
    foreground(&args, &data_dir, &manifests).await
}

/// Starts a child that goes on, and does the talking itself.
async fn background(args: &Args, target: &Target, manifests: &[Manifest]) -> Result<ExitCode> {
    let mut arguments = Vec::new();
    if let Some(routes) = args.routes {
        arguments.extend(["--routes".to_owned(), routes.to_string()]);
    }
    if let Some(durability) = args.durability {
        arguments.extend(["--durability".to_owned(), durability.text().to_owned()]);
    }
    arguments.extend(args.images.iter().flat_map(|image| ["--image".to_owned(), image.clone()]));
    let (running, server) = detached::start(target, &arguments).await?;
    let up = async {
        let applied = bring_up(&server, manifests, &running).await?;
        settle::ready(&server, &applied, Progress::alone, Some(settle::WAIT_LIMIT)).await
    };
    if let Err(error) = up.await {
        // What cannot come up does not stay half up.
        let process = i32::try_from(running.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(process) = process {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
        return Err(error);
    }
    println!(
        "running in the background: pid {0}, log {1}; stop it with `kill {0}`",
        running.pid,
        detached::log_file(&running.data_dir).display()
    );
    Ok(ExitCode::SUCCESS)
}

async fn foreground(args: &Args, data_dir: &Path, manifests: &[Manifest]) -> Result<ExitCode> {
    if args.background {
        detached::leave_terminal();
    }
    let stop = stop::on_signal()?;
    let platform = Platform::start(config(args, data_dir)?).await?;
    let (running, announced) = announce(&platform, data_dir)?;
    let client = kube::Client::new(platform.service(), "default");
    let server = Server::new(client.clone());

    let reconciling = CancellationToken::new();
    let settings = settings(args, data_dir)?;
    let reconcilers = tokio::spawn(millstream_reconcile::run(client.clone(), settings, reconciling.clone()));
    let served = serve(args, manifests, &running, client, &server, &stop).await;

    // First nobody asks for pods any more, then the pods end, then nobody finds us.
    reconciling.cancel();
    reconcilers.await.context("the reconcilers ended badly")?;
    platform.shutdown().await;
    drop(announced);
    served.map(|()| ExitCode::SUCCESS)
}

/// From manifests to logs, until the end is wanted.
async fn serve(
    args: &Args,
    manifests: &[Manifest],
    running: &Running,
    client: kube::Client,
    server: &Server,
    stop: &CancellationToken,
) -> Result<()> {
    if args.background {
        // Whoever started us applies, waits and prints.
        stop.cancelled().await;
        return Ok(());
    }
    let applied = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        up = bring_up(server, manifests, running) => up?,
    };
    let settled = async {
        settle::ready(server, &applied, Progress::among_others, None).await?;
        std::future::pending().await
    };
    tokio::select! {
        () = follow::logs(client, stop.clone()) => Ok(()),
        failed = settled => failed,
    }
}

/// Applies, waits for the brokers, prints where everything is. Pods may still be starting; what is left to wait for is
/// returned.
async fn bring_up(server: &Server, manifests: &[Manifest], running: &Running) -> Result<Vec<Applied>> {
    let default = default_manifests(server, manifests).await?;
    let applied = settle::apply(server, if manifests.is_empty() { &default } else { manifests }).await?;
    // Only a Kafka's addresses are known when it is ready; a Service has its own at once.
    let (kafkas, others): (Vec<_>, Vec<_>) = applied.into_iter().partition(|object| object.kind == "Kafka");
    settle::ready(server, &kafkas, Progress::alone, Some(settle::WAIT_LIMIT)).await?;
    print!("{}", settle::reachable(server, running).await?);
    Ok(others)
}

/// Without manifests there is a broker all the same, unless what ran before brings one. A manifest's own Kafka takes the place
/// of that broker, whose data stays.
async fn default_manifests(server: &Server, manifests: &[Manifest]) -> Result<Vec<Manifest>> {
    let kafkas = server.get("/apis/kafka.strimzi.io/v1beta2/kafkas").await?;
    let names: Vec<&str> = kafkas["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|kafka| kafka["metadata"]["name"].as_str())
        .collect();
    if manifests.is_empty() {
        let others = names.iter().any(|name| *name != DEFAULT_KAFKA);
        return Ok(if others { Vec::new() } else { vec![default_kafka()?] });
    }
    let replaced = manifests.iter().any(|manifest| manifest.kind() == "Kafka" && manifest.name() != DEFAULT_KAFKA);
    if replaced && names.contains(&DEFAULT_KAFKA) {
        server.delete(&format!("/apis/kafka.strimzi.io/v1beta2/namespaces/default/kafkas/{DEFAULT_KAFKA}")).await?;
        println!("kafka.kafka.strimzi.io/{DEFAULT_KAFKA} deleted (its data stays)");
    }
    Ok(Vec::new())
}

fn default_kafka() -> Result<Manifest> {
    let kafka = json!({
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "Kafka",
        "metadata": {"name": DEFAULT_KAFKA},
        "spec": {"kafka": {
            "replicas": 1,
            "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": false}],
            "storage": {"type": "persistent-claim"},
        }},
    });
    let manifest = manifest::parse("the built-in manifest", &kafka.to_string())?.pop();
    manifest.context("the built-in manifest is one object")
}

fn config(args: &Args, data_dir: &Path) -> Result<Config> {
    let mut config = Config::new(data_dir.join("platform"));
    // The same folder has the same addresses each time, unless another has them.
    config.network = hash_of(data_dir);
    // That something else has the usual port is no reason not to start.
    let usual = RoutesAddress::Preferred(SocketAddr::from((Ipv4Addr::LOCALHOST, ROUTES_PORT)));
    config.routes = args.routes.map_or(usual, RoutesAddress::Required);
    config.images = args.images.iter().map(|image| image.parse::<ImageRule>()).collect::<Result<_, _>>()?;
    Ok(config)
}

fn settings(args: &Args, data_dir: &Path) -> Result<Settings> {
    let program = std::env::current_exe().context("the path of this program")?;
    let process = BrokerProcess {
        command: vec![program.display().to_string(), "broker".into()],
        state: data_dir.join("clusters"),
        durability: args.durability.map(|durability| durability.text().to_owned()),
    };
    Ok(Settings { process, now: jiff::Timestamp::now, topic_resync: TOPIC_RESYNC })
}

/// Tells kubectl and the other commands where we are.
fn announce(platform: &Platform, data_dir: &Path) -> Result<(Running, Announced)> {
    let kubeconfig: PathBuf = data_dir.join("kubeconfig");
    write_private(&kubeconfig, platform.kubeconfig().as_bytes()).with_context(|| kubeconfig.display().to_string())?;
    let running = Running {
        pid: std::process::id(),
        server: format!("http://{}", platform.address()),
        token: platform.token().to_owned(),
        routes: platform.routes_address(),
        data_dir: data_dir.to_owned(),
        kubeconfig,
    };
    let announced = running.announce()?;
    Ok((running, announced))
}
