//! `millstream log import`: a data directory of ours out of the log directories of one Kafka node that was stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use indicatif::HumanBytes;
use millstream_metadata::catalog;
use millstream_metadata::store::{EmbeddedStore, MetadataStore as _};
use millstream_model::LeaderEpoch;
use millstream_storage::segments::kafka::KAFKA_DIR;
use millstream_storage::segments::kafka::exchange::{CopiedLog, begin_at_epoch, import_log};
use millstream_storage::{Disk, FileDisk, LogConfig, PartitionSpec, Storage, StorageOptions, SystemClock};
use uuid::Uuid;

use super::directory::NewDirectory;
use super::kafka_dirs::KafkaDirs;
use super::plan::{Plan, PlannedLog};
use super::progress::ByteProgress;
use super::{METADATA_FILE, counted, data_dir, log_bytes};

/// Producer ids are given out in blocks of so many, as Kafka's are.
const PRODUCER_ID_BLOCK: i64 = 1000;
const DISK_THREADS: usize = 4;

/// Makes a data directory from a Kafka node's log directories.
///
/// The node (Apache Kafka 3.3 to 4.4, broker and controller in one, or the only broker) must be stopped. Its directories are
/// read, never written. Of a node of ZooKeeper's era the logs are imported, which is all that its directories hold.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The node's log directories, all that its log.dirs names
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// The new data directory [default: the broker's]
    #[arg(long, value_name = "TARGET")]
    data_dir: Option<PathBuf>,
    /// Import what was not stopped cleanly: cut off what was never written whole, as Kafka does at its next start
    #[arg(long)]
    unclean: bool,
}

/// A partition that was copied.
struct Imported {
    planned: PlannedLog,
    copied: CopiedLog,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut plan = Plan::new(KafkaDirs::open(&args.dirs, args.unclean)?)?;
    let target = NewDirectory::begin(&data_dir(args.data_dir)?, ".importing")?;
    let imported = copy(std::mem::take(&mut plan.logs), target.draft())?;
    let free = unused_producer_id(&imported)?;
    plan.cluster.next_producer_id = plan.cluster.next_producer_id.max(free);
    write_catalog(&plan, target.draft()).await?;
    settle(&plan, &imported, target.draft()).await?;
    let place = target.keep()?;
    println!("{}", summary(&plan, &imported, &place));
    Ok(ExitCode::SUCCESS)
}

fn copy(logs: Vec<PlannedLog>, target: &Path) -> Result<Vec<Imported>> {
    let progress = ByteProgress::new(logs.iter().filter_map(|log| log.from.as_deref()).map(log_bytes).sum());
    let mut imported = Vec::new();
    for planned in logs {
        let name = format!("{}-{}", planned.topic, planned.index);
        progress.at(&name);
        let to = target.join(KAFKA_DIR).join(name);
        let copied = match &planned.from {
            Some(from) => {
                let mut told = |bytes| progress.done(bytes);
                import_log(from, &to, planned.topic_id, planned.sure_below, &mut told)?
            }
            None => CopiedLog::default(),
        };
        imported.push(Imported { planned, copied });
    }
    Ok(imported)
}

/// First of a block of producer ids above all that have written.
fn unused_producer_id(imported: &[Imported]) -> Result<i64> {
    let newest = imported.iter().map(|one| one.copied.newest_producer.0).max().unwrap_or(-1);
    let blocks = newest.checked_add(1).map(|used| used / PRODUCER_ID_BLOCK + i64::from(used % PRODUCER_ID_BLOCK > 0));
    blocks.and_then(|blocks| blocks.checked_mul(PRODUCER_ID_BLOCK)).context("a producer has the last id that there is")
}

async fn write_catalog(plan: &Plan, target: &Path) -> Result<()> {
    let store = EmbeddedStore::open(&target.join(METADATA_FILE))?;
    store.write(catalog::adopt(&plan.cluster_id, plan.node, &plan.cluster)).await?;
    Ok(())
}

/// Opens the storage once, which scans the logs for what it keeps beside them, and closes it: the broker's first start is
/// one after a clean stop.
async fn settle(plan: &Plan, imported: &[Imported], target: &Path) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(target, DISK_THREADS)?);
    begin_at_epoch(disk.as_ref(), next_epoch(plan, imported)).await?;
    let specs = imported.iter().map(|one| spec(&one.planned)).collect();
    let options = StorageOptions::new(plan.cluster_id.clone(), plan.node, Uuid::new_v4());
    let (storage, report) = Storage::open(options, disk, Arc::new(SystemClock::new()), specs).await?;
    if let Some((topic, index, reason)) = report.offline.first() {
        anyhow::bail!("{topic}-{index} was copied and cannot be opened: {reason}");
    }
    for one in imported {
        let name = || format!("{}-{}", one.planned.topic, one.planned.index);
        let log = storage.partition(one.planned.topic_id, one.planned.index).with_context(name)?;
        let end = log.offsets().log_end;
        anyhow::ensure!(end == one.copied.next, "{} was copied up to {} and ends at {end}", name(), one.copied.next);
        if let Some(start) = one.planned.log_start.filter(|start| *start > log.offsets().log_start) {
            let (_, ticket) = log.delete_records(Some(start.min(end))).with_context(name)?;
            ticket.durable().await.with_context(name)?;
        }
    }
    storage.close().await.context("the new data directory cannot be closed")
}

fn spec(log: &PlannedLog) -> PartitionSpec {
    let (topic, config) = (log.topic.as_str().into(), LogConfig::default());
    PartitionSpec { topic_id: log.topic_id, topic, index: log.index, config }
}

/// Above every epoch that Kafka led in: what is appended from now on was written by a later leader.
fn next_epoch(plan: &Plan, imported: &[Imported]) -> LeaderEpoch {
    let written = imported.iter().map(|one| one.copied.newest_epoch.0);
    let partitions = plan.cluster.topics.values().flat_map(|topic| topic.partitions.values());
    let led = partitions.map(|partition| partition.leader_epoch.0);
    LeaderEpoch(written.chain(led).max().unwrap_or(-1).saturating_add(1))
}

fn summary(plan: &Plan, imported: &[Imported], place: &Path) -> String {
    let bytes: u64 = imported.iter().map(|one| one.copied.bytes).sum();
    let cluster = &plan.cluster;
    let mut lines = vec![
        format!("imported cluster {} as node {} into {}", plan.cluster_id, plan.node, place.display()),
        format!(
            "{} with {}, {}",
            counted(cluster.topics.len(), "topic"),
            counted(imported.len(), "partition"),
            HumanBytes(bytes)
        ),
    ];
    let kept =
        [(cluster.acls.len(), "ACL"), (cluster.scram.len(), "SCRAM credential"), (cluster.quotas.len(), "quota")];
    let kept: Vec<String> =
        kept.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun)).collect();
    if !kept.is_empty() {
        lines.push(format!("{}: kept, and not in force in this version", kept.join(", ")));
    }
    for one in imported.iter().filter(|one| one.copied.cut_bytes > 0) {
        let (topic, index, cut) = (&one.planned.topic, one.planned.index, one.copied.cut_bytes);
        lines.push(format!("cut off: {cut} bytes of {topic}-{index} behind offset {}", one.copied.next));
    }
    lines.extend(plan.left_out.iter().map(|what| format!("left out: {what}")));
    let without = "without --config the defaults hold, such as a retention of a week";
    lines.push(format!(
        "start it with `millstream broker --data-dir {} --config server.properties`, with the file of Kafka's: {without}",
        place.display()
    ));
    lines.join("\n")
}
