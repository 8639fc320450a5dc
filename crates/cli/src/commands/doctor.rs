//! `millstream doctor`: why partitions of a stopped broker are offline or damaged, and what can be healed.

use std::io::{self, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use millstream_model::Offset;
use millstream_storage::inspect::plan::{Diagnosed, Diagnosis, diagnose};
use millstream_storage::inspect::verify::Verification;
use millstream_storage::{Disk, FileDisk};

use super::log::counted;
use super::log::progress::ByteProgress;
use super::log::stopped::{open, shown};

/// Reasons of one partition that are told one by one.
const REASONS_SHOWN: usize = 10;

/// Says why partitions are offline, what of them can be healed, and which offsets are lost.
///
/// The broker must be stopped. Without --repair nothing is changed. Exit code 1 while something is wrong.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The broker's data directory [default: the broker's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Heal what can be healed; what is cut or replaced is kept in the folder `aside`
    #[arg(long)]
    repair: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let disk = open(args.data_dir)?;
    let diagnosis = examined(&disk)?;
    tell(&diagnosis, &disk)?;
    if diagnosis.partitions.is_empty() && diagnosis.findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(refusal) = &diagnosis.refusal {
        bail!("nothing can be healed as it is: {refusal}");
    }
    let curable = diagnosis.partitions.iter().filter(|partition| partition.curable).count();
    if !args.repair {
        if curable > 0 || diagnosis.partitions.is_empty() {
            eprintln!("error: run `millstream doctor --repair` to heal it");
        }
        return Ok(ExitCode::FAILURE);
    }
    let repaired = diagnosis.repair(&disk)?;
    let mut out = io::stdout().lock();
    for name in &repaired.healed {
        writeln!(out, "{name}: healed")?;
    }
    writeln!(out, "what was replaced is in {}", shown(disk.root(), &repaired.aside))?;
    Ok(if curable == diagnosis.partitions.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examined(disk: &FileDisk) -> Result<Diagnosis> {
    let reading = ByteProgress::new(Verification::begin(disk)?.bytes()?);
    Ok(diagnose(disk, &mut |partition, bytes| reading.done_of(partition, bytes))?)
}

fn tell(diagnosis: &Diagnosis, disk: &FileDisk) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in &diagnosis.findings {
        writeln!(out, "{finding}")?;
    }
    for partition in &diagnosis.partitions {
        tell_partition(partition, &mut out)?;
    }
    for path in &diagnosis.aside {
        writeln!(out, "moved aside before, and counts for nothing: {}", shown(disk.root(), path))?;
    }
    let (sound, ill) = (diagnosis.sound, diagnosis.partitions.len());
    writeln!(out, "{} sound, {ill} with something wrong", counted(sound, "partition"))?;
    out.flush()
}

fn tell_partition(partition: &Diagnosed, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(out, "{}:", partition.name)?;
    for reason in partition.reasons.iter().take(REASONS_SHOWN) {
        writeln!(out, "  {reason}")?;
    }
    if let Some(more) = partition.reasons.len().checked_sub(REASONS_SHOWN).filter(|more| *more > 0) {
        writeln!(out, "  and {} more", counted(more, "reason"))?;
    }
    if !partition.curable {
        return writeln!(out, "  cannot be healed here: restore it from a backup");
    }
    let lost: Vec<String> = partition.lost.iter().map(offsets).collect();
    match (lost.is_empty(), partition.lost_end_unknown) {
        (true, false) => writeln!(out, "  lost: nothing")?,
        (false, false) => writeln!(out, "  lost: {}", lost.join(", "))?,
        (true, true) => writeln!(out, "  lost: what followed offset {}; nobody can tell how much", partition.log_end)?,
        (false, true) => {
            writeln!(out, "  lost: {}, and what followed; nobody can tell how much", lost.join(", "))?;
        }
    }
    writeln!(
        out,
        "  can be served from offset {} on; the next record gets offset {}",
        partition.log_start, partition.log_end
    )
}

/// `offset 5`, `offsets 5 to 7`, the last one included.
fn offsets(range: &Range<Offset>) -> String {
    let last = Offset(range.end.0 - 1);
    if range.start == last { format!("offset {last}") } else { format!("offsets {} to {last}", range.start) }
}
