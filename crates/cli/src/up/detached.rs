//! An `up` in the background: `up --detach`, and `apply` where none runs. The child leaves its parent's terminal, writes to a
//! log file, and is ready when its API server answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kubectl::server::Server;
use crate::running::{Running, Target};

/// How often the child is asked whether it answers.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// An API server of this size answers within milliseconds; this is for a machine that is all but stopped.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What the child's standard output and error go to.
pub(crate) fn log_file(data_dir: &Path) -> PathBuf {
    data_dir.join("up.log")
}

/// Starts `up` in the background with these further arguments and waits until it answers.
///
/// # Errors
/// The child ended; its last words are in the error.
pub(crate) async fn start(target: &Target, arguments: &[String]) -> Result<(Running, Server)> {
    let data_dir = target.data_dir()?;
    fs::create_dir_all(&data_dir).with_context(|| data_dir.display().to_string())?;
    let log = log_file(&data_dir);
    let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
    let mut child = Command::new(std::env::current_exe().context("the path of this program")?)
        .arg("up")
        .arg("--background")
        .arg("--data-dir")
        .arg(&data_dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(output.try_clone().with_context(|| log.display().to_string())?)
        .stdout(output)
        .spawn()
        .context("cannot start in the background")?;
    let target = Target { data_dir: Some(data_dir) };
    let answer = tokio::time::timeout(START_LIMIT, wait(&target, &mut child, &log)).await;
    answer.with_context(|| format!("it does not answer; its log is {}", log.display()))?
}

async fn wait(target: &Target, child: &mut Child, log: &Path) -> Result<(Running, Server)> {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        look.tick().await;
        if let Some(found) = target.find().await? {
            return Ok(found);
        }
        if let Some(status) = child.try_wait()? {
            let text = fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
            bail!("{} ({status})", last.trim_start_matches("error: "));
        }
    }
}

/// Leaves the terminal of the process that started this one: its end and its Ctrl-C are not ours.
pub(crate) fn leave_terminal() {
    // It fails for the leader of a process group, which then is on its own already.
    let _ = rustix::process::setsid();
}
