//! One container over all its starts: prepared, started, probed, restarted with back-off, stopped.
//! Its task is the only writer of its [`ContainerStatus`]; the pod's task reads it and writes the pod's status.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::events::{EventText, Severity, record};
use super::pod::{PodContext, Stop};
use super::probing::Unhealthy;
use super::process::{Exit, Process, ProcessSpec};
use super::status::{ContainerState, Terminated};
use super::{environment, image};
use crate::object::{self, list, text};

/// How a container's restarts are spaced; the kubelet's values by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) initial: Duration,
    pub(super) longest: Duration,
    /// A container that ran this long starts afresh.
    pub(super) reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            reset_after: Duration::from_secs(600),
        }
    }
}

/// The delays between the restarts of one container.
#[derive(Debug)]
struct Restarts {
    backoff: Backoff,
    next: Duration,
}

impl Restarts {
    fn new(backoff: Backoff) -> Self {
        Self { backoff, next: Duration::ZERO }
    }

    /// How long to wait before the container that ran for `ran` is started again. The first restart is immediate.
    fn delay_after(&mut self, ran: Duration) -> Duration {
        let delay = if ran >= self.backoff.reset_after { Duration::ZERO } else { self.next };
        self.next = (delay * 2).clamp(self.backoff.initial, self.backoff.longest);
        delay
    }
}

/// A container of a pod.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) context: Arc<PodContext>,
    pub(super) definition: Value,
    /// Index of its status in the context.
    pub(super) index: usize,
    pub(super) is_init: bool,
}

/// For this share of the time until the next try an image's failure is shown; for the rest, that it is waited.
const IMAGE_ERROR_SHARE: u32 = 4;

/// Why a container did not start. It is tried again.
enum StartFailure {
    /// No program stands for its image; the text says what to do.
    NoImage(String),
    /// The reason and the message of the waiting container.
    Other(&'static str, String),
}

/// Why a run of a process ended.
enum Ended {
    Exited(Exit),
    /// Killed because of a failing probe; how it exited.
    Killed(Exit),
    /// Stopped with the pod.
    Stopped(Exit),
}

impl Container {
    /// Runs until the container is done for good: stopped, or ended in a way that its restart policy does not restart.
    /// Returns whether it succeeded.
    pub(super) async fn run(self, mut stop: Stop) -> bool {
        let mut restarts = Restarts::new(self.context.settings.backoff);
        loop {
            let Some((process, started_at)) = self.start_until_stopped(&mut stop).await else { return false };
            let began = Instant::now();
            let ended = self.attend(process, &mut stop).await;
            let (Ended::Exited(exit) | Ended::Killed(exit) | Ended::Stopped(exit)) = ended;
            let terminated = Terminated::new(exit.code, exit.signal, started_at, &self.context.now_text());
            self.update(|status| status.state = ContainerState::Terminated(terminated.clone()));
            if !self.restarts_after(&ended) {
                return exit.code == 0;
            }
            if !self.back_off(restarts.delay_after(began.elapsed()), terminated, &mut stop).await {
                return false;
            }
        }
    }

    fn restarts_after(&self, ended: &Ended) -> bool {
        let policy = self.context.restart_policy.as_str();
        match ended {
            Ended::Stopped(_) => false,
            // That it ended well when it was told to end does not make it healthy.
            Ended::Killed(_) => policy != "Never",
            Ended::Exited(exit) => match policy {
                "Never" => false,
                "OnFailure" => exit.code != 0,
                _ => !self.is_init || exit.code != 0,
            },
        }
    }

    /// Waits before a restart; false when the pod is stopped meanwhile.
    async fn back_off(&self, delay: Duration, last: Terminated, stop: &mut Stop) -> bool {
        if !delay.is_zero() {
            let of = format!("container {} in pod {}", self.name(), self.context.full_name());
            self.update(|status| {
                status.last_state = Some(last.clone());
                status.state = ContainerState::waiting(
                    "CrashLoopBackOff",
                    format!(
                        "back-off {}s restarting failed {}",
                        delay.as_secs(),
                        of.replacen("container ", "container=", 1).replacen(" in pod ", " pod=", 1)
                    ),
                );
            });
            self.event(Severity::Warning, "BackOff", format!("Back-off restarting failed {of}")).await;
            tokio::select! {
                () = sleep(delay) => {}
                _ = stop.requested() => return false,
            }
        }
        self.update(|status| {
            status.last_state = Some(last);
            status.restart_count += 1;
        });
        true
    }

    /// Tries to start until it succeeds; `None` when the pod is stopped before that.
    async fn start_until_stopped(&self, stop: &mut Stop) -> Option<(Process, String)> {
        let mut retry = self.context.settings.backoff.initial;
        loop {
            // What changes while it is tried may be what was missing.
            let seen = self.context.resources.store.version();
            let failure = match self.start().await {
                Ok(process) => {
                    let started_at = self.context.now_text();
                    let id = process.id;
                    self.update(|status| {
                        status.process_id = Some(id);
                        status.state = ContainerState::Running { started_at: started_at.clone() };
                    });
                    self.event(Severity::Normal, "Started", format!("Started container {}", self.name())).await;
                    return Some((process, started_at));
                }
                Err(failure) => failure,
            };
            let goes_on = match failure {
                StartFailure::NoImage(why) => self.miss_image(&why, retry, stop).await,
                StartFailure::Other(reason, message) => {
                    self.event(Severity::Warning, "Failed", format!("Error: {message}")).await;
                    self.wait_as(reason, message, retry, seen, stop).await
                }
            };
            if !goes_on {
                return None;
            }
            retry = (retry * 2).min(self.context.settings.backoff.longest);
        }
    }

    /// The kubelet's words for an image that cannot be had: first that it failed, then that it will be tried again.
    async fn miss_image(&self, why: &str, retry: Duration, stop: &mut Stop) -> bool {
        let image = text(&self.definition, "/image");
        let failed = format!("Failed to pull image \"{image}\": {why}");
        self.event(Severity::Warning, "Failed", failed).await;
        self.event(Severity::Warning, "Failed", "Error: ErrImagePull".to_owned()).await;
        let shown = retry / IMAGE_ERROR_SHARE;
        let version = || self.context.resources.store.version();
        if !self.wait_as("ErrImagePull", why.to_owned(), shown, version(), stop).await {
            return false;
        }
        let backs_off = format!("Back-off pulling image \"{image}\"");
        self.event(Severity::Normal, "BackOff", backs_off.clone()).await;
        self.event(Severity::Warning, "Failed", "Error: ImagePullBackOff".to_owned()).await;
        let message = format!("{backs_off}: ErrImagePull: {why}");
        self.wait_as("ImagePullBackOff", message, retry - shown, version(), stop).await
    }

    /// Shows why it waits, for a time or until a setting of the namespace has changed since the version `seen`; false when the
    /// pod is stopped meanwhile.
    async fn wait_as(&self, reason: &'static str, message: String, wait: Duration, seen: u64, stop: &mut Stop) -> bool {
        self.update(|status| status.state = ContainerState::waiting(reason, message));
        tokio::select! {
            () = sleep(wait) => true,
            () = self.context.settings_changed(seen) => true,
            _ = stop.requested() => false,
        }
    }

    /// Starts the process once.
    async fn start(&self) -> Result<Process, StartFailure> {
        let context = &self.context;
        let image_name = text(&self.definition, "/image");
        let own_command = strings(&self.definition, "/command");
        let program = image::program(image_name, &context.settings.images, &context.settings.executable);
        if program.is_none() && own_command.is_empty() {
            let why =
                format!("no program is known for the image \"{image_name}\": say which with --image NAME=COMMAND");
            return Err(StartFailure::NoImage(why));
        }
        let ip = context.ip.to_string();
        let given = self.given_variables(program.as_ref().and_then(|program| program.bind_variable));
        let variables = environment::variables(&context.resources.store, &context.pod, &self.definition, &ip, given)
            .map_err(|error| StartFailure::Other("CreateContainerConfigError", error.to_string()))?;
        let expand =
            |parts: Vec<String>| parts.iter().map(|part| environment::expand(part, &variables)).collect::<Vec<_>>();
        let mut command = if own_command.is_empty() {
            program.map(|program| program.command).unwrap_or_default()
        } else {
            expand(own_command)
        };
        command.extend(expand(strings(&self.definition, "/args")));
        let attempt = context.statuses.lock()[self.index].restart_count;
        let path = context.logs.file(&context.namespace, &context.name, &context.uid, self.name(), attempt);
        let (logs, clock) = (context.logs.clone(), context.resources.store.clock().clone());
        let log = tokio::task::spawn_blocking(move || logs.create(&path, &clock)).await;
        let log = log.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| {
            StartFailure::Other("CreateContainerError", format!("the log cannot be written: {error}"))
        })?;
        let folder = text(&self.definition, "/workingDir");
        let spec = ProcessSpec {
            environment: environment_of_process(&variables),
            working_dir: (!folder.is_empty()).then(|| folder.into()),
            name: format!("{}/{}", context.name, self.name()),
            command,
        };
        self.event(Severity::Normal, "Created", format!("Created container: {}", self.name())).await;
        let program = spec.command[0].clone();
        let started = Process::start(spec, log.clone(), Arc::clone(&context.settings.warden)).await;
        started.map_err(|error| {
            log.line(&format!("cannot run {program}: {error}"));
            StartFailure::Other("RunContainerError", format!("cannot run {program}: {error}"))
        })
    }

    /// What the platform itself tells a container; the manifest may override it.
    pub(super) fn given_variables(&self, bind_variable: Option<&str>) -> BTreeMap<String, String> {
        let context = &self.context;
        let mut given = BTreeMap::from([
            ("POD_IP".to_owned(), context.ip.to_string()),
            ("HOSTNAME".to_owned(), context.name.clone()),
            ("MILLSTREAM_HOSTS".to_owned(), context.settings.hosts_file(&context.namespace).display().to_string()),
        ]);
        given.extend(bind_variable.map(|name| (name.to_owned(), context.ip.to_string())));
        given
    }

    /// Waits for the process to end while probing it.
    async fn attend(&self, mut process: Process, stop: &mut Stop) -> Ended {
        tokio::select! {
            exit = process.wait() => Ended::Exited(exit),
            grace = stop.requested() => {
                if stop.removes() {
                    let message = format!("Stopping container {}", self.name());
                    self.event(Severity::Normal, "Killing", message).await;
                }
                Ended::Stopped(self.stop(&mut process, grace).await)
            }
            Unhealthy { probe, grace } = self.probe() => {
                let message = format!("Container {} failed {probe} probe, will be restarted", self.name());
                self.event(Severity::Normal, "Killing", message).await;
                let asked = tokio::select! {
                    exit = self.stop(&mut process, grace.unwrap_or(self.context.grace)) => return Ended::Killed(exit),
                    asked = stop.requested() => asked,
                };
                // The pod is to end meanwhile, and may have less time.
                Ended::Stopped(self.stop(&mut process, asked).await)
            }
        }
    }

    /// SIGTERM, the grace period, SIGKILL.
    async fn stop(&self, process: &mut Process, grace: Duration) -> Exit {
        self.update(|status| status.ready = false);
        if !grace.is_zero() {
            process.terminate();
            if let Ok(exit) = timeout(grace, process.wait()).await {
                return exit;
            }
        }
        process.kill();
        process.wait().await
    }

    fn name(&self) -> &str {
        text(&self.definition, "/name")
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut super::status::ContainerStatus)) {
        change(&mut self.context.statuses.lock()[self.index]);
        self.context.changed.notify_one();
    }

    pub(super) async fn event(&self, severity: Severity, reason: &'static str, message: String) {
        let group = if self.is_init { "initContainers" } else { "containers" };
        let field_path = format!("spec.{group}{{{}}}", self.name());
        let event = EventText { severity, reason, message, component: "kubelet", field_path };
        record(&self.context.resources, &self.context.pod, event).await;
    }
}

fn strings(definition: &Value, pointer: &str) -> Vec<String> {
    list(definition, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The manifest's variables on top of the few of our own that programs need to run at all.
pub(super) fn environment_of_process(variables: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)));
    let own = variables.iter().map(|(name, value)| (name.into(), value.into()));
    inherited.chain(own).collect()
}

/// How long the pod `pod` may take to end.
pub(super) fn grace(pod: &Value) -> Duration {
    let seconds = object::integer(pod, "/metadata/deletionGracePeriodSeconds")
        .or_else(|| object::integer(pod, "/spec/terminationGracePeriodSeconds"));
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_spaced_as_the_kubelet_spaces_them() {
        let mut restarts = Restarts::new(Backoff::default());
        let mut after = |seconds| restarts.delay_after(Duration::from_secs(seconds)).as_secs();
        let crashes: Vec<u64> = (0..8).map(|_| after(1)).collect();
        assert_eq!(crashes, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(after(599), 300, "it has not run long enough to be forgiven");
        assert_eq!((after(600), after(1)), (0, 10));
    }
}
