//! Commands run beside a container for its exec probes. They end with the probe's timeout.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::warden::Warden;

/// Kills the command's process group when the probe is no longer waited for.
#[derive(Debug)]
struct Guard(Arc<Mutex<Option<Pid>>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(group) = *self.0.lock() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `command`; succeeds when it exits with 0. Dropping the future kills it.
pub(super) async fn check(
    command: &[String],
    environment: BTreeMap<OsString, OsString>,
    warden: Arc<Warden>,
) -> Result<(), String> {
    let guard = Guard(Arc::default());
    let (group, command) = (Arc::clone(&guard.0), command.to_vec());
    let ended = tokio::task::spawn_blocking(move || run(&command, &environment, &group, &warden)).await;
    drop(guard);
    ended.map_err(|error| error.to_string())?
}

fn run(
    command: &[String],
    environment: &BTreeMap<OsString, OsString>,
    group: &Mutex<Option<Pid>>,
    warden: &Arc<Warden>,
) -> Result<(), String> {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).env_clear().envs(environment).process_group(0);
    process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    super::before_exec::tie_to_us(&mut process, warden);
    let mut child = process.spawn().map_err(|error| format!("cannot run {}: {error}", command[0]))?;
    let pid = Pid::from_child(&child);
    *group.lock() = Some(pid);
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
    let mut group = group.lock();
    *group = None;
    let _ = kill_process_group(pid, Signal::KILL);
    warden.forget(pid);
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("command {command:?} ended with {status}")) }
}
