//! What the system says of a process and of the machine: CPU, memory, bytes written. Linux only (`/proc`).

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Instant};

use anyhow::{Context, Result};

/// Linux counts CPU time in ticks of ten milliseconds, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;
const SECTOR_BYTES: u64 = 512;

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    at: Instant,
    broker_cpu: f64,
    /// Of all cores together.
    not_busy: f64,
    broker_written: u64,
    disk: Option<Disk>,
}

/// What a block device has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    written: u64,
    flushes: u64,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// By the broker's process, user and system, in seconds.
    pub(super) broker_cpu: f64,
    /// By the whole machine, kernel threads included.
    pub(super) machine_cpu: f64,
    /// What the broker's process has handed to the disk, or to the page cache to be written.
    pub(super) broker_written: u64,
    /// What the disk below the data folder has written, whoever asked for it.
    pub(super) disk_written: Option<u64>,
    /// How often that disk has emptied its cache, which is what a sync waits for.
    pub(super) disk_flushes: Option<u64>,
}

impl Counters {
    pub(super) fn read(pid: u32, data: &Path) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            broker_cpu: broker_cpu(pid)?,
            not_busy: not_busy(&text("/proc/stat")?)?,
            broker_written: field(&text(&format!("/proc/{pid}/io"))?, "write_bytes:")?,
            disk: disk(data),
        })
    }

    /// The machine's CPU is what its cores did not idle: Linux measures idling exactly, and the rest by samples that miss
    /// what runs in step with its clock.
    pub(super) fn since(&self, before: &Self) -> Result<Spent> {
        let cores = std::thread::available_parallelism()?.get() as f64;
        let elapsed = (self.at - before.at).as_secs_f64();
        let disk = self.disk.zip(before.disk);
        Ok(Spent {
            broker_cpu: self.broker_cpu - before.broker_cpu,
            machine_cpu: elapsed * cores - (self.not_busy - before.not_busy),
            broker_written: self.broker_written - before.broker_written,
            disk_written: disk.map(|(after, before)| after.written - before.written),
            disk_flushes: disk.map(|(after, before)| after.flushes - before.flushes),
        })
    }
}

/// CPU seconds of a process so far.
pub(super) fn broker_cpu(pid: u32) -> Result<f64> {
    process_cpu(&text(&format!("/proc/{pid}/stat"))?)
}

/// Resident bytes of a process: now, and the most it ever had.
pub(super) fn resident(pid: u32) -> Result<(u64, u64)> {
    let status = text(&format!("/proc/{pid}/status"))?;
    Ok((field(&status, "VmRSS:")? * 1024, field(&status, "VmHWM:")? * 1024))
}

/// Bytes of memory that `/proc/meminfo` gives under a name.
pub(super) fn memory(name: &str) -> Result<u64> {
    Ok(field(&text("/proc/meminfo")?, name)? * 1024)
}

/// How often the threads of a process have been given a core so far. Threads that have ended count no more.
pub(super) fn switches(pid: u32) -> Result<u64> {
    let mut switches = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("has the broker ended?")? {
        // A thread may end while this is read.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        switches += field(&status, "voluntary_ctxt_switches:")? + field(&status, "nonvoluntary_ctxt_switches:")?;
    }
    Ok(switches)
}

/// Bytes of the segments in a partition's folder. Indexes are left out: Kafka makes them as long as they may become.
pub(super) fn log_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            // A file may go while this is read.
            bytes += fs::metadata(&path).map_or(0, |file| file.len());
        }
    }
    Ok(bytes)
}

fn text(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}: has the broker ended?"))
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Result<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.with_context(|| format!("there is no {name}"))
}

/// utime and stime stand 12 and 13 fields behind the name, which may hold spaces and brackets itself.
fn process_cpu(stat: &str) -> Result<f64> {
    let behind = stat.rsplit_once(')').map(|(_, behind)| behind).context("no name in a process's stat")?;
    let ticks: u64 = behind.split_whitespace().skip(11).take(2).filter_map(|tick| tick.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Idling, waiting for disks, and what other virtual machines took.
fn not_busy(stat: &str) -> Result<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).context("no cpu in /proc/stat")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|tick| tick.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal …
    let idle: u64 = [3, 4, 7].iter().filter_map(|&index| ticks.get(index)).sum();
    Ok(idle as f64 / TICKS_PER_SECOND)
}

/// `None` on a file system without a block device of its own.
fn disk(folder: &Path) -> Option<Disk> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    disk_of(&fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?)
}

/// Sectors written are the seventh figure of a block device's statistics, flushes the sixteenth.
fn disk_of(stat: &str) -> Option<Disk> {
    let figure = |index: usize| stat.split_whitespace().nth(index)?.parse::<u64>().ok();
    Some(Disk { written: figure(6)? * SECTOR_BYTES, flushes: figure(15)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_brackets_in_its_name_has_its_cpu_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 428 317 0 16 150 50 36 16 20 0 9 0 24 1 2";
        assert_eq!(process_cpu(stat).unwrap(), 2.0);
    }

    #[test]
    fn idle_iowait_and_steal_are_what_the_machine_did_not_do() {
        assert_eq!(not_busy("cpu  100 20 30 9000 800 4 6 700 50 0\ncpu0 1 1 1 1\n").unwrap(), 105.0);
    }

    #[test]
    fn a_busy_thread_is_seen_in_the_process_and_in_the_machine() {
        let read = || Counters::read(std::process::id(), Path::new(".")).unwrap();
        let before = read();
        let until = before.at + std::time::Duration::from_millis(300);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let spent = read().since(&before).unwrap();
        // Others may run meanwhile: this process may get less than a core, and the machine is busier than it.
        assert!(spent.broker_cpu > 0.01, "{spent:?}");
        assert!(spent.machine_cpu > 0.2, "{spent:?}");
    }

    #[test]
    fn a_disk_says_what_it_wrote_and_how_often_it_flushed() {
        let stat = "  30 1 25 50 200 7 1991 515 0 135 107 63 1 146 15 779 38\n";
        assert_eq!(disk_of(stat), Some(Disk { written: 1991 * 512, flushes: 779 }));
        assert_eq!(disk_of("1 2 3 4 5 6 7 8 9 10 11"), None, "a system before Linux 5.5");
    }

    #[test]
    fn a_thread_that_sleeps_and_wakes_is_seen() {
        let before = switches(std::process::id()).unwrap();
        for _ in 0..20 {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        assert!(switches(std::process::id()).unwrap() >= before + 20);
    }

    #[test]
    fn this_process_can_be_measured() {
        let (now, most) = resident(std::process::id()).unwrap();
        assert!(now > 0 && most >= now);
        assert!(memory("MemTotal:").unwrap() > now);
    }
}
