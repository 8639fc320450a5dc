//! What the tests of the API from outside share: a platform in a folder of its own, and kubectl beside it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use millstream_platform::{Config, Platform};

/// A running platform; everything of it goes with the value.
pub(crate) struct Running {
    pub(crate) platform: Platform,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) async fn start() -> Running {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let platform = Platform::start(Config::new(folder.path().join("data"))).await.expect("the platform starts");
    std::fs::write(folder.path().join("kubeconfig"), platform.kubeconfig()).expect("the kubeconfig is written");
    Running { platform, folder }
}

/// Where kubectl is; `None`, said loudly, when the machine has none.
pub(crate) fn kubectl() -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "kubectl is missing, and CI needs it");
        eprintln!("SKIPPED: no kubectl on the PATH");
    }
    found
}

/// Runs kubectl against the platform and returns what it said: standard output, then error.
pub(crate) async fn run(running: &Running, kubectl: &PathBuf, arguments: &str, input: &str) -> (bool, String) {
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(running.folder.path().join("kubeconfig"));
    command.args(["--cache-dir"]).arg(running.folder.path().join("cache"));
    command.args(arguments.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let output: Output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("kubectl starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input.as_bytes()).expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    })
    .await
    .expect("kubectl was run");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}
