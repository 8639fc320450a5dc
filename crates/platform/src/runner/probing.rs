//! Probing of a running container: its startup probe first, then readiness and liveness side by side.
//! Part of the container's task, which is the only writer of its status.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::container::{Container, environment_of_process};
use super::environment;
use super::events::Severity;
use super::probe::{Check, Probe, Streak, over_network};

/// A probe that failed for good: its container is to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unhealthy {
    /// `startup` or `liveness`.
    pub(super) probe: &'static str,
    /// How long the container may take to end, where the probe says so.
    pub(super) grace: Option<Duration>,
}

/// Which probe it is; the name stands in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Startup,
    Readiness,
    Liveness,
}

impl Container {
    /// Runs the probes; returns when the startup or liveness probe has failed for good.
    pub(super) async fn probe(&self) -> Unhealthy {
        let probe = |name: &str| Probe::read(&self.definition, name, IpAddr::V4(self.context.ip));
        let began = Instant::now();
        self.update(|status| {
            status.started = false;
            status.ready = false;
        });
        if let Some(startup) = probe("startupProbe")
            && !self.watch(Role::Startup, &startup, began).await
        {
            return Unhealthy { probe: "startup", grace: startup.grace };
        }
        self.update(|status| status.started = true);
        let readiness = async {
            match probe("readinessProbe") {
                None => self.update(|status| status.ready = true),
                Some(readiness) => drop(self.watch(Role::Readiness, &readiness, began).await),
            }
            std::future::pending::<Unhealthy>().await
        };
        let liveness = async {
            let Some(liveness) = probe("livenessProbe") else { return std::future::pending().await };
            self.watch(Role::Liveness, &liveness, began).await;
            Unhealthy { probe: "liveness", grace: liveness.grace }
        };
        tokio::select! {
            never = readiness => never,
            unhealthy = liveness => unhealthy,
        }
    }

    /// Runs one probe over and over. Readiness sets the container's `ready` and goes on for ever; a startup probe ends with
    /// its first success (true); it and a liveness probe end with failure (false).
    async fn watch(&self, role: Role, probe: &Probe, began: Instant) -> bool {
        let mut streak = Streak::default();
        sleep_until(began + probe.initial_delay).await;
        loop {
            let next = Instant::now() + probe.period;
            let result = match timeout(probe.timeout, self.check(&probe.check)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {}s", probe.timeout.as_secs())),
            };
            if let Err(why) = &result {
                self.event(Severity::Warning, "Unhealthy", format!("{role:?} probe failed: {why}")).await;
            }
            match (streak.count(result.is_ok(), probe), role) {
                (Some(true), Role::Startup) => return true,
                (Some(false), Role::Startup | Role::Liveness) => return false,
                (Some(ready), Role::Readiness) => self.update(|status| status.ready = ready),
                (Some(true), Role::Liveness) | (None, _) => {}
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
}
