//! `millstream log export`: the log directory of a fresh single-node Apache Kafka 4.4 out of a stopped broker's data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args as ClapArgs;
use indicatif::HumanBytes;
use millstream_metadata::catalog::{self, Described};
use millstream_metadata::configs::Overrides;
use millstream_metadata::kafka::{ConfigOwner, METADATA_DIR, Node, SNAPSHOT_FILE, snapshot};
use millstream_metadata::store::{EmbeddedStore, MetadataStore as _};
use millstream_model::{Offset, PartitionIndex, TopicId};
use millstream_storage::segments::kafka::KAFKA_DIR;
use millstream_storage::segments::kafka::exchange::{CopiedLog, export_log};
use millstream_storage::{Clock as _, Disk, LogConfig, LogState, PartitionSpec, Storage, StorageOptions, SystemClock};
use uuid::Uuid;

use super::directory::NewDirectory;
use super::progress::ByteProgress;
use super::stopped::lock;
use super::{METADATA_FILE, counted, data_dir, log_bytes};

const DISK_THREADS: usize = 4;
/// Configs that only we have begin so.
const OUR_CONFIGS: &str = "millstream.";
/// The epoch in which the node was registered last, as far as Kafka is told.
const BROKER_EPOCH: i64 = 0;

/// Makes a log directory for Apache Kafka 4.4 from a broker's data.
///
/// The broker must be stopped; its records stay as they are (an unclean end is recovered, as at a start). The directory holds everything of one Kafka node, broker and
/// controller in one. On stdout come the lines that its server.properties needs.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The new log directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The broker's data directory [default: the broker's]
    #[arg(long, value_name = "SOURCE")]
    data_dir: Option<PathBuf>,
    /// Where Kafka's controller will listen
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9093")]
    controller: String,
}

/// A partition of the broker.
struct Exported {
    topic_id: TopicId,
    topic: String,
    index: PartitionIndex,
    state: LogState,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (host, port) = args.controller.rsplit_once(':').context("--controller is not of the form HOST:PORT")?;
    let port = port.parse().with_context(|| format!("--controller: {port} is no port"))?;
    let source = data_dir(args.data_dir)?;
    let metadata_file = source.join(METADATA_FILE);
    ensure!(metadata_file.exists(), "{} is no broker's data directory: it has no {METADATA_FILE}", source.display());
    let target = NewDirectory::begin(&args.dir, ".exporting")?;
    // Holds the directory's lock until all is copied.
    let disk: Arc<dyn Disk> = Arc::new(lock(&source, DISK_THREADS)?);
    let mut described = describe(&metadata_file).await?;
    let logs = states(&described, &disk).await?;
    let directory = Uuid::new_v4();
    let node = Node { id: described.node, directory, controller: (host.to_owned(), port), broker_epoch: BROKER_EPOCH };
    let left_out = leave_out_ours(&mut described);
    for log in &logs {
        let topic = described.cluster.topics.get_mut(&log.topic_id).expect("the logs are the topics'");
        let partition = topic.partitions.get_mut(&log.index).expect("the logs are the partitions'");
        let newest = log.state.epochs.latest().unwrap_or(partition.leader_epoch);
        partition.leader_epoch = partition.leader_epoch.max(newest);
    }
    let copied = copy(&logs, &source, target.draft())?;
    write_checkpoints(&logs, &copied, target.draft())?;
    write_identity(&described, &node, target.draft())?;
    let bytes = copied.iter().map(|log| log.bytes).sum();
    let place = target.keep()?;
    print!("{}", report(&described, &logs, bytes, &left_out, &place, &args.controller));
    Ok(ExitCode::SUCCESS)
}

async fn describe(file: &Path) -> Result<Described> {
    let store = EmbeddedStore::open(file)?;
    let listing = store.list("").await?;
    catalog::describe(&listing).with_context(|| format!("{} cannot be exported", file.display()))
}

/// What each partition's log amounts to. Opens the storage as a broker's start does, which brings what an unclean end left
/// in the lane to the segments, and closes it.
async fn states(described: &Described, disk: &Arc<dyn Disk>) -> Result<Vec<Exported>> {
    let mut specs = Vec::new();
    for (id, topic) in &described.cluster.topics {
        let name: Arc<str> = topic.name.as_str().into();
        for index in topic.partitions.keys() {
            let (topic, config) = (Arc::clone(&name), LogConfig::default());
            specs.push(PartitionSpec { topic_id: *id, topic, index: *index, config });
        }
    }
    let options = StorageOptions::new(described.cluster_id.clone(), described.node, Uuid::new_v4());
    let clock = Arc::new(SystemClock::new());
    let (storage, report) = Storage::open(options, Arc::clone(disk), clock, specs.clone()).await?;
    let mut logs = Vec::new();
    for spec in specs {
        let log = storage.partition(spec.topic_id, spec.index).expect("it was opened with it");
        let (topic, state) = (spec.topic.to_string(), log.state());
        logs.push(Exported { topic_id: spec.topic_id, topic, index: spec.index, state });
    }
    storage.close().await.context("the data directory cannot be closed")?;
    if let Some((topic, index, reason)) = report.offline.first() {
        bail!("{topic}-{index} is offline and would be missing: {reason}");
    }
    Ok(logs)
}

/// Takes out what Kafka would not know; says what.
fn leave_out_ours(described: &mut Described) -> Vec<String> {
    let mut left_out = Vec::new();
    for (owner, set) in &mut described.cluster.configs {
        let ours: Vec<String> = set.keys().filter(|name| name.starts_with(OUR_CONFIGS)).cloned().collect();
        for name in ours {
            set.remove(&name);
            left_out.push(match owner {
                ConfigOwner::Topic(topic) => format!("{name} of topic {topic}"),
                ConfigOwner::Broker(_) => format!("{name} of brokers"),
                ConfigOwner::Group(group) | ConfigOwner::ClientMetrics(group) => format!("{name} of {group}"),
            });
        }
    }
    described.cluster.configs.retain(|_, set: &mut Overrides| !set.is_empty());
    left_out
}

fn copy(logs: &[Exported], source: &Path, target: &Path) -> Result<Vec<CopiedLog>> {
    let source = source.join(KAFKA_DIR);
    let name = |log: &Exported| format!("{}-{}", log.topic, log.index);
    let progress = ByteProgress::new(logs.iter().map(|log| log_bytes(&source.join(name(log)))).sum());
    let interval = LogConfig::default().index_interval_bytes;
    let mut copied = Vec::new();
    for log in logs {
        let name = name(log);
        progress.at(&name);
        let (from, to) = (source.join(&name), target.join(&name));
        let mut told = |bytes| progress.done(bytes);
        copied.push(export_log(&from, &to, log.topic_id, &log.state, interval, &mut told)?);
    }
    Ok(copied)
}

/// Kafka's three offset checkpoints: where logs begin, unless at a segment's first offset, and up to where they are synced
/// and replicated: to their ends.
fn write_checkpoints(logs: &[Exported], copied: &[CopiedLog], target: &Path) -> Result<()> {
    let line = |log: &Exported, offset: Offset| format!("{} {} {offset}\n", log.topic, log.index);
    let moved = |(log, copied): (&Exported, &CopiedLog)| {
        (log.state.log_start > copied.first).then(|| line(log, log.state.log_start))
    };
    let starts: Vec<String> = logs.iter().zip(copied).filter_map(moved).collect();
    let ends: Vec<String> = logs.iter().map(|log| line(log, log.state.log_end)).collect();
    for (name, lines) in [
        ("log-start-offset-checkpoint", &starts),
        ("recovery-point-offset-checkpoint", &ends),
        ("replication-offset-checkpoint", &ends),
    ] {
        write_file(&target.join(name), format!("0\n{}\n{}", lines.len(), lines.concat()).as_bytes())?;
    }
    Ok(())
}

/// Whose directory it is, the cluster's metadata, and that it was closed cleanly.
fn write_identity(described: &Described, node: &Node, target: &Path) -> Result<()> {
    let metadata = target.join(METADATA_DIR);
    std::fs::create_dir(&metadata).with_context(|| format!("{} cannot be made", metadata.display()))?;
    let snapshot = snapshot(&described.cluster, node, SystemClock::new().now())?;
    write_file(&metadata.join(SNAPSHOT_FILE), &snapshot)?;
    let (cluster, directory) = (&described.cluster_id, TopicId(node.directory));
    let meta = format!("cluster.id={cluster}\ndirectory.id={directory}\nnode.id={}\nversion=1\n", node.id);
    write_file(&target.join("meta.properties"), meta.as_bytes())?;
    let clean = format!("{{\"version\":0,\"brokerEpoch\":{}}}", node.broker_epoch);
    write_file(&target.join(".kafka_cleanshutdown"), clean.as_bytes())
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// The lines of server.properties, and before them, as remarks, what was exported.
fn report(
    described: &Described,
    logs: &[Exported],
    bytes: u64,
    left_out: &[String],
    place: &Path,
    controller: &str,
) -> String {
    let (topics, partitions) = (described.cluster.topics.len(), logs.len());
    let (topics, partitions) = (counted(topics, "topic"), counted(partitions, "partition"));
    let mut text = format!("# {topics} with {partitions}, {}\n", HumanBytes(bytes));
    for what in left_out {
        let _ = writeln!(text, "# left out: {what}");
    }
    if !described.cluster.acls.is_empty() {
        // Without a principal of its own that is a super user the node would refuse itself.
        text.push_str(
            "# ACLs are there; they come into force with listeners that authenticate, super.users that name the node's own\n\
             # principal, and authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n",
        );
    }
    let host = controller.rsplit_once(':').map_or(controller, |(host, _)| host);
    let _ = write!(
        text,
        "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.bootstrap.servers={controller}\n\
         listeners=PLAINTEXT://{host}:9092,CONTROLLER://{controller}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n",
        described.node,
        place.display()
    );
    text
}
