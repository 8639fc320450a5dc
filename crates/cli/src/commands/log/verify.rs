//! `millstream log verify`: whether the data directory of a stopped broker is whole.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args as ClapArgs;
use millstream_storage::Disk as _;
use millstream_storage::inspect::verify::{Verification, Verified, VerifiedPartition};

use super::counted;
use super::progress::ByteProgress;
use super::stopped::open;

/// Reads everything in a broker's data directory, and says of each partition whether it is whole.
///
/// The broker must be stopped; nothing is changed. Exit code 1 when something is damaged.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The broker's data directory [default: the broker's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let disk = open(args.data_dir)?;
    let verification = Verification::begin(&disk)?;
    let reading = ByteProgress::new(verification.bytes()?);
    let verified = verification.run(&mut |partition, bytes| reading.done_of(partition, bytes))?;
    drop(reading);
    let mut out = io::stdout().lock();
    match tell(&verified, &mut out) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if verified.is_good() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: {} is damaged; `millstream doctor` says what can be healed", disk.root().display());
    Ok(ExitCode::FAILURE)
}

fn tell(verified: &Verified, out: &mut impl io::Write) -> io::Result<()> {
    for finding in &verified.findings {
        writeln!(out, "{finding}")?;
    }
    for note in &verified.notes {
        writeln!(out, "note: {note}")?;
    }
    for partition in &verified.partitions {
        tell_partition(partition, out)?;
    }
    let damaged = verified.partitions.iter().filter(|partition| !partition.findings.is_empty()).count();
    writeln!(out, "{}, {damaged} damaged", counted(verified.partitions.len(), "partition"))?;
    out.flush()
}

fn tell_partition(partition: &VerifiedPartition, out: &mut impl io::Write) -> io::Result<()> {
    let VerifiedPartition { name, log_start, log_end, segments, batches, findings, notes } = partition;
    let verdict = if findings.is_empty() { "OK" } else { "DAMAGED" };
    let batches = format!("{batches} whole batch{}", if *batches == 1 { "" } else { "es" });
    let segments = counted(*segments, "segment");
    writeln!(out, "{name}: {verdict}, offsets {log_start} to {log_end}, {batches} in {segments}")?;
    for finding in findings {
        writeln!(out, "  {finding}")?;
    }
    for note in notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}
