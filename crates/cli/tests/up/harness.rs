//! The real binary on folders of its own: starts `up`, waits for what it prints, stops it by its process id.
//!
//! Every wait has a deadline and prints what there was instead when it passes.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// How long anything may take on a machine that builds beside it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Folders and environment of one test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a manifest; its path.
    pub(crate) fn manifest(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("XDG_DATA_HOME", self.path("data"));
        command.env("HOME", self.folder.path()).env("KUBECONFIG", self.path("data/millstream/kubeconfig"));
        command.env_remove("MILLSTREAM_DATA_DIR").env_remove("MILLSTREAM_LOG");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(Path::new(env!("CARGO_BIN_EXE_millstream")), args).output().unwrap()
    }

    /// Runs a command to its end, with this on its standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_millstream")), args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{args:?}: {}\n{out}\n{err}", output.status);
        out
    }

    /// Runs a command that must fail; its standard error.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?} succeeded: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// The machine's kubectl on this test's server; nothing where there is none, which is said.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Option<Output> {
        match self.command(Path::new("kubectl"), args).output() {
            Ok(output) => Some(output),
            Err(error) => {
                skip(&format!("kubectl is not here ({error}): not compared with it"));
                None
            }
        }
    }

    /// Starts `up` in the foreground.
    pub(crate) fn up(&self, args: &[&str]) -> Up {
        self.start(&[&["up"], args].concat())
    }

    /// Starts a command that goes on by itself.
    pub(crate) fn start(&self, args: &[&str]) -> Up {
        self.start_program(Path::new(env!("CARGO_BIN_EXE_millstream")), args)
    }

    /// Starts the binary behind what brings it somewhere else, such as `nsenter`.
    pub(crate) fn start_behind(&self, words: &[OsString], args: &[&str]) -> Up {
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let all = [&words[1..], &[env!("CARGO_BIN_EXE_millstream")], args].concat();
        self.start_program(Path::new(words[0]), &all)
    }

    fn start_program(&self, program: &Path, args: &[&str]) -> Up {
        let mut command = self.command(program, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        for output in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Up { child, lines, seen: Vec::new() }
    }

    /// Asks until the complaint has these words; panics with the last one when it never has.
    #[track_caller]
    pub(crate) fn wait_for_failure(&self, args: &[&str], words: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let output = self.run(args);
            let complaint = text(&output.stderr);
            if !output.status.success() && complaint.contains(words) {
                return;
            }
            assert!(Instant::now() < end, "{args:?} never failed with {words:?}; last:\n{complaint}");
        }
    }

    /// Asks until the answer is as wanted; panics with the last answer when it never is.
    #[track_caller]
    pub(crate) fn wait_for(&self, args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let output = self.run(args);
            let out = text(&output.stdout);
            if wanted(&out) {
                return out;
            }
            assert!(Instant::now() < end, "{args:?} never came to it; last:\n{out}{}", text(&output.stderr));
        }
    }
}

/// Ends a process as nothing can prevent.
pub(crate) fn kill(id: u32) {
    kill_process(pid(id), Signal::KILL).unwrap();
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Says why something is not tested on this machine. Where all must be tested that is a failure.
#[track_caller]
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "with CI set nothing is left out: {why}");
    eprintln!("SKIPPED: {why}");
}

/// A port of one test's own on 127.0.0.1 and ::1: bound, so that the system gives it to nobody else, and not listened on, so
/// that the one server which is told of it can.
pub(crate) struct Port {
    number: u16,
    _held: [OwnedFd; 2],
}

impl Port {
    pub(crate) fn reserve() -> Self {
        loop {
            let (number, first) = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
            // The other address may have it in use: then it is no port for us.
            if let Ok((_, second)) = bind(SocketAddr::from((Ipv6Addr::LOCALHOST, number))) {
                return Self { number, _held: [first, second] };
            }
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn bind(address: SocketAddr) -> rustix::io::Result<(u16, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt::set_socket_reuseaddr};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    // Servers set it too, and two that both do may be bound to one port while neither listens.
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((bound.port(), socket))
}

/// A running command; killed when dropped.
pub(crate) struct Up {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Up {
    /// Waits for a line that no earlier call took, on stdout or stderr: the two have no order among them.
    #[track_caller]
    pub(crate) fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        let mut at = 0;
        loop {
            if let Some(found) = (at..self.seen.len()).find(|at| wanted(&self.seen[*at])) {
                return std::mem::take(&mut self.seen[found]);
            }
            at = self.seen.len();
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("the line never came; there were:\n{}", self.seen.join("\n"))
                }
            }
        }
    }

    /// Every line that no call took.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).unwrap();
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        let end = Instant::now() + LIMIT;
        // Both pipes close when the process and all its children are gone.
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it did not end; there was:\n{}", self.seen.join("\n")),
            }
        }
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// Waits until a process is gone.
#[track_caller]
pub(crate) fn gone(id: u32) {
    let end = Instant::now() + LIMIT;
    while test_kill_process(pid(id)).is_ok() && !is_ended(id) {
        assert!(Instant::now() < end, "process {id} is still there");
        std::thread::yield_now();
    }
}

/// Whether a process has ended and only waits for init, who may take seconds, to collect it.
fn is_ended(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('Z'))
}

/// A process that a background start left; stopped when dropped.
pub(crate) struct Background(pub(crate) u32);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process(pid(self.0), Signal::TERM);
        gone(self.0);
    }
}
