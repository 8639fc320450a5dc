//! One container over all its starts: prepared, started, probed, restarted with back-off, stopped.
//! Its task is the only writer of its [`ContainerStatus`]; the pod's task reads it and writes the pod's status.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::events::{EventText, Severity, record};
use super::pod::{PodContext, Stop};
use super::probe::{Check, Probe, Streak, over_network};
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

/// A container of a pod.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) context: Arc<PodContext>,
    pub(super) definition: Value,
    /// Index of its status in the context.
    pub(super) index: usize,
    pub(super) is_init: bool,
}

/// Why a run of a process ended.
enum Ended {
    Exited(Exit),
    /// Killed because of a failing probe; how it exited.
    Unhealthy(Exit),
    /// Stopped with the pod.
    Stopped(Exit),
}

impl Container {
    /// Runs until the container is done for good: stopped, or ended in a way that its restart policy does not restart.
    /// Returns whether it succeeded.
    pub(super) async fn run(self, mut stop: Stop) -> bool {
        let backoff = self.context.settings.backoff;
        let mut delay = Duration::ZERO;
        loop {
            let Some((process, started_at)) = self.start_until_stopped(&mut stop).await else { return false };
            let began = Instant::now();
            let ended = self.attend(process, &mut stop).await;
            let (exit, is_stopped) = match ended {
                Ended::Exited(exit) | Ended::Unhealthy(exit) => (exit, false),
                Ended::Stopped(exit) => (exit, true),
            };
            let terminated = Terminated::new(exit.code, exit.signal, started_at, &self.context.now_text());
            self.update(|status| status.state = ContainerState::Terminated(terminated.clone()));
            let restarts = match self.context.restart_policy.as_str() {
                _ if is_stopped => false,
                "Never" => false,
                "OnFailure" => exit.code != 0,
                _ => !self.is_init || exit.code != 0,
            };
            if !restarts {
                return exit.code == 0;
            }
            delay = if began.elapsed() >= backoff.reset_after { Duration::ZERO } else { delay };
            if !self.back_off(delay, terminated, &mut stop).await {
                return false;
            }
            delay = if delay.is_zero() { backoff.initial } else { (delay * 2).min(backoff.longest) };
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
            let (reason, message) = match self.start().await {
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
            self.update(|status| status.state = ContainerState::waiting(reason, message.clone()));
            self.event(Severity::Warning, "Failed", format!("Error: {message}")).await;
            let changed = self.context.settings_changed();
            tokio::select! {
                () = sleep(retry) => {}
                () = changed => {}
                _ = stop.requested() => return None,
            }
            retry = (retry * 2).min(self.context.settings.backoff.longest);
        }
    }

    /// Starts the process once. The error is the reason and message of a waiting container.
    async fn start(&self) -> Result<Process, (&'static str, String)> {
        let context = &self.context;
        let image_name = text(&self.definition, "/image");
        let own_command = strings(&self.definition, "/command");
        let program = image::program(image_name, &context.settings.images, &context.settings.executable);
        if program.is_none() && own_command.is_empty() {
            let message =
                format!("no program is known for the image \"{image_name}\": say which with --image NAME=COMMAND");
            return Err(("ErrImagePull", message));
        }
        let ip = context.ip.to_string();
        let given = self.given_variables(program.as_ref().and_then(|program| program.bind_variable));
        let variables = environment::variables(&context.resources.store, &context.pod, &self.definition, &ip, given)
            .map_err(|error| ("CreateContainerConfigError", error.to_string()))?;
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
        let log = log
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| ("CreateContainerError", format!("the log cannot be written: {error}")))?;
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
            ("RunContainerError", format!("cannot run {program}: {error}"))
        })
    }

    /// What the platform itself tells a container; the manifest may override it.
    fn given_variables(&self, bind_variable: Option<&str>) -> BTreeMap<String, String> {
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
        let probes = self.probes();
        tokio::select! {
            exit = process.wait() => Ended::Exited(exit),
            grace = stop.requested() => Ended::Stopped(self.stop(process, grace).await),
            () = probes => {
                let message = format!("Container {} failed its probe, will be restarted", self.name());
                self.event(Severity::Normal, "Killing", message).await;
                Ended::Unhealthy(self.stop(process, self.context.grace).await)
            }
        }
    }

    /// SIGTERM, the grace period, SIGKILL.
    async fn stop(&self, mut process: Process, grace: Duration) -> Exit {
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

    /// Runs the probes; returns when the startup or liveness probe has failed for good.
    async fn probes(&self) {
        let probe = |name: &str| Probe::read(&self.definition, name, IpAddr::V4(self.context.ip));
        let started = Instant::now();
        self.update(|status| {
            status.started = false;
            status.ready = false;
        });
        if let Some(startup) = probe("startupProbe")
            && !self.watch("Startup", &startup, started, |_| {}, true).await
        {
            return;
        }
        self.update(|status| status.started = true);
        let readiness = async {
            match probe("readinessProbe") {
                None => self.update(|status| status.ready = true),
                Some(readiness) => {
                    let set = |ready| self.update(|status| status.ready = ready);
                    self.watch("Readiness", &readiness, started, set, false).await;
                }
            }
            std::future::pending::<()>().await;
        };
        let liveness = async {
            match probe("livenessProbe") {
                None => std::future::pending::<()>().await,
                Some(liveness) => drop(self.watch("Liveness", &liveness, started, |_| {}, false).await),
            }
        };
        tokio::select! {
            () = readiness => {}
            () = liveness => {}
        }
    }

    /// Runs one probe over and over, telling `set` each reached threshold. Readiness goes on for ever; a startup probe ends
    /// with its first success (true); it and a liveness probe end with failure (false).
    async fn watch(
        &self,
        what: &str,
        probe: &Probe,
        started: Instant,
        set: impl Fn(bool),
        ends_with_success: bool,
    ) -> bool {
        let mut streak = Streak::default();
        sleep_until(started + probe.initial_delay).await;
        loop {
            let next = Instant::now() + probe.period;
            let result = match timeout(probe.timeout, self.check(&probe.check)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {}s", probe.timeout.as_secs())),
            };
            if let Err(why) = &result {
                self.event(Severity::Warning, "Unhealthy", format!("{what} probe failed: {why}")).await;
            }
            match streak.count(result.is_ok(), probe) {
                Some(true) if ends_with_success => return true,
                Some(false) if what != "Readiness" => return false,
                Some(reached) => set(reached),
                None => {}
            }
            sleep_until(next).await;
        }
    }

    async fn check(&self, check: &Check) -> Result<(), String> {
        let Check::Exec(command) = check else { return over_network(check).await };
        let ip = self.context.ip.to_string();
        let given = self.given_variables(None);
        let store = &self.context.resources.store;
        let variables = environment::variables(store, &self.context.pod, &self.definition, &ip, given)
            .map_err(|error| error.to_string())?;
        let warden = Arc::clone(&self.context.settings.warden);
        super::exec::check(command, environment_of_process(&variables), warden).await
    }

    fn name(&self) -> &str {
        text(&self.definition, "/name")
    }

    fn update(&self, change: impl FnOnce(&mut super::status::ContainerStatus)) {
        change(&mut self.context.statuses.lock()[self.index]);
        self.context.changed.notify_one();
    }

    async fn event(&self, severity: Severity, reason: &'static str, message: String) {
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
fn environment_of_process(variables: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
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
