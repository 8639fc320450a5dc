//! The warden: a shell of one line that outlives us by a moment. It reads the process groups of our containers from a pipe;
//! when the pipe ends, because we have ended in whatever way, it kills those that are left. The parent-death signal reaches
//! only our own children; the warden reaches theirs, and works where there is no such signal.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use parking_lot::Mutex;
use rustix::process::Pid;

/// Keeps a list of groups; lines are `+GROUP` and `-GROUP`.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=' '
while read -r line; do
  group=${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
  esac
done
for group in $groups; do kill -KILL -- "-$group" 2>/dev/null; done
"#;

/// Started with the first container.
#[derive(Debug, Default)]
pub(super) struct Warden(Mutex<Option<(Child, ChildStdin)>>);

impl Warden {
    /// The group is to be killed when we end.
    pub(super) fn guard(&self, group: Pid) {
        let mut running = self.0.lock();
        if running.is_none() {
            *running = start();
        }
        write(&mut running, '+', group);
    }

    /// The group has ended.
    pub(super) fn forget(&self, group: Pid) {
        write(&mut self.0.lock(), '-', group);
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.0.lock().take() {
            drop(input);
            let _ = child.wait();
        }
    }
}

fn write(running: &mut Option<(Child, ChildStdin)>, sign: char, group: Pid) {
    if let Some((_, input)) = running {
        // Without its reader the warden is of no use, and containers still have the parent-death signal.
        let _ = writeln!(input, "{sign}{}", group.as_raw_nonzero());
    }
}

fn start() -> Option<(Child, ChildStdin)> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            let input = child.stdin.take()?;
            Some((child, input))
        }
        Err(error) => {
            tracing::warn!(%error, "no warden: after kill -9 children of containers may be left");
            None
        }
    }
}
