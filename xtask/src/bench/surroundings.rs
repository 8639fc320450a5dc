//! What holds for everything that a comparison starts: brokers, load generators and probes alike.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::{
    fs::statvfs,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set},
};

/// How threads of a better priority are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Nobody may ask for a better one.
    Alike,
    /// Millstream's I/O threads may, and Kafka's do not ask: this process could not give the right away.
    Asked,
}

/// Gives the right to a better priority away, for every process that is started from now on by this thread, and raises
/// the number of files that they may open.
pub(super) fn prepare() -> Result<Priority> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })
        .context("raising the limit of open files")?;
    let may_renice = capabilities(None).is_ok_and(|sets| sets.permitted.contains(CapabilitySet::SYS_NICE));
    // What is not in the bounding set is not regained by a program that is started.
    if may_renice && remove_capability_from_bounding_set(CapabilitySet::SYS_NICE).is_err() {
        eprintln!("WARNING: CAP_SYS_NICE cannot be given away: Millstream's I/O threads run at a better priority");
        return Ok(Priority::Asked);
    }
    Ok(Priority::Alike)
}

/// Refuses a row that would fill the disk.
pub(super) fn ensure_free(folder: &Path, gigabytes: u64) -> Result<()> {
    let system = statvfs(folder).with_context(|| format!("looking at the disk of {}", folder.display()))?;
    let free = system.f_bavail * system.f_frsize / 1_000_000_000;
    ensure!(free >= gigabytes, "it takes {gigabytes} GB of free disk, and there are {free}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_would_fill_the_disk_is_refused_with_what_it_takes() {
        ensure_free(Path::new("."), 0).unwrap();
        let refused = ensure_free(Path::new("."), u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("GB of free disk"), "{refused}");
    }
}
