//! What the system says of this process, under the names that every Prometheus client uses. Where the system has no
//! `/proc`, memory, threads and open files are missing.

use std::fmt;
use std::time::Duration;

use millstream_model::TimestampMs;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::shown::Shown;

/// Readings of the process, taken whenever somebody looks.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started: TimestampMs,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut shown = Shown(&mut encoder);
        shown.spent("process_cpu_seconds", "CPU time of all threads", cpu_time())?;
        let started = self.started.0 as f64 / 1000.0;
        shown.decimal("process_start_time_seconds", "When the broker was started, in Unix time", started)?;
        if let Some(most) = getrlimit(Resource::Nofile).current {
            shown.gauge("process_max_fds", "Files and sockets that may be open", most)?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // The directory itself is one of them.
            let open = open.count().saturating_sub(1) as u64;
            shown.gauge("process_open_fds", "Files and sockets that are open", open)?;
        }
        let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(()) };
        if let Some(kibibytes) = number_of(&status, "VmRSS:") {
            shown.gauge("process_resident_memory_bytes", "Memory of the process that is resident", kibibytes * 1024)?;
        }
        if let Some(threads) = number_of(&status, "Threads:") {
            shown.gauge("process_threads", "Threads of the process", threads)?;
        }
        Ok(())
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The number in the line of `/proc/self/status` that begins so.
fn number_of(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}
