//! One child process: started in a process group of its own, its output copied to a log, waited for, signalled.
//!
//! A thread per process forks it and waits for it, because the parent-death signal follows the forking thread. Signals go
//! out under a lock that the reaping takes too, so a number that has been given to another process is never signalled.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::{oneshot, watch};

use super::warden::Warden;
use crate::logs::{LogWriter, Output};

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct ProcessSpec {
    /// The program and its arguments; never empty.
    pub(super) command: Vec<String>,
    /// The whole environment: nothing is inherited beside it.
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) working_dir: Option<PathBuf>,
    /// Says which process it is, in names of threads.
    pub(super) name: String,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// As a shell counts: 128 and the signal for one that was killed.
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

/// A started process. Dropping it does not stop it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: u32,
    group: Arc<Mutex<Option<Pid>>>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    /// Starts the process; its output goes to `log`.
    pub(super) async fn start(spec: ProcessSpec, log: LogWriter, warden: Arc<Warden>) -> io::Result<Self> {
        let (started, start) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let group = Arc::new(Mutex::new(None));
        let thread = std::thread::Builder::new().name(format!("run {}", spec.name)).stack_size(128 << 10);
        let of_thread = Arc::clone(&group);
        thread.spawn(move || match spawn(&spec, &warden) {
            Err(error) => drop(started.send(Err(error))),
            Ok(child) => {
                let pid = Pid::from_child(&child);
                *of_thread.lock() = Some(pid);
                let _ = started.send(Ok(child.id()));
                let exit = attend(child, pid, &of_thread, &log);
                warden.forget(pid);
                drop(log);
                ended.send_replace(Some(exit));
            }
        })?;
        let id = start.await.map_err(io::Error::other)??;
        Ok(Self { id, group, exit })
    }

    /// Waits for the end. Cancel-safe.
    pub(super) async fn wait(&mut self) -> Exit {
        let ended = self.exit.wait_for(Option::is_some).await;
        // The thread drops the sender only after it has sent, unless it panicked.
        ended.ok().and_then(|exit| *exit).unwrap_or(Exit { code: 255, signal: None })
    }

    /// Asks the process and its children to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the process and its children.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = *self.group.lock() {
            // Fails only when it has just ended, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn spawn(spec: &ProcessSpec, warden: &Arc<Warden>) -> io::Result<Child> {
    let (program, arguments) = spec.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&spec.environment).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = &spec.working_dir {
        command.current_dir(folder);
    }
    super::before_exec::tie_to_us(&mut command, warden);
    command.spawn()
}

/// Copies output until the process ends, then takes what it left running with it.
fn attend(mut child: Child, pid: Pid, group: &Mutex<Option<Pid>>, log: &LogWriter) -> Exit {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = std::thread::scope(|scope| {
        if let Some(stdout) = stdout {
            scope.spawn(move || log.copy(stdout, Output::Stdout));
        }
        if let Some(stderr) = stderr {
            scope.spawn(move || log.copy(stderr, Output::Stderr));
        }
        // Wait without reaping: until the lock is held, the number must not be free for another process.
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
        }
        let mut group = group.lock();
        // Children of the process keep its pipes open; as in a container, they end with it.
        let _ = kill_process_group(pid, Signal::KILL);
        *group = None;
        child.wait()
    });
    match status {
        Ok(status) => {
            let signal = status.signal();
            Exit { code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)), signal }
        }
        Err(_) => Exit { code: 255, signal: None },
    }
}
