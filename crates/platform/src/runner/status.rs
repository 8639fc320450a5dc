//! A pod's status out of those of its containers: states, conditions, phase, as the kubelet writes them.

use serde_json::{Value, json};

use crate::object::{list, text};

/// The state of a container, in Kubernetes' three forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContainerState {
    Waiting { reason: &'static str, message: String },
    Running { started_at: String },
    Terminated(Terminated),
}

impl ContainerState {
    pub(super) fn waiting(reason: &'static str, message: String) -> Self {
        Self::Waiting { reason, message }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Waiting { reason, message } if message.is_empty() => json!({ "waiting": { "reason": reason } }),
            Self::Waiting { reason, message } => json!({ "waiting": { "reason": reason, "message": message } }),
            Self::Running { started_at } => json!({ "running": { "startedAt": started_at } }),
            Self::Terminated(terminated) => json!({ "terminated": terminated.to_value() }),
        }
    }
}

/// A past run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terminated {
    exit_code: i32,
    signal: Option<i32>,
    started_at: String,
    finished_at: String,
}

impl Terminated {
    pub(super) fn new(exit_code: i32, signal: Option<i32>, started_at: String, finished_at: &str) -> Self {
        Self { exit_code, signal, started_at, finished_at: finished_at.to_owned() }
    }

    fn to_value(&self) -> Value {
        let reason = if self.exit_code == 0 { "Completed" } else { "Error" };
        let mut value = json!({
            "exitCode": self.exit_code, "reason": reason, "startedAt": self.started_at, "finishedAt": self.finished_at,
        });
        if let Some(signal) = self.signal {
            value["signal"] = signal.into();
        }
        value
    }
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) state: ContainerState,
    pub(super) last_state: Option<Terminated>,
    pub(super) restart_count: i64,
    pub(super) process_id: Option<u32>,
    pub(super) started: bool,
    pub(super) ready: bool,
}

impl ContainerStatus {
    /// A container that has not started, of the pod whose status so far is `before`: it goes on counting its restarts.
    pub(super) fn new(definition: &Value, before: &Value, waiting: &'static str) -> Self {
        let name = text(definition, "/name").to_owned();
        let known = list(before, "/containerStatuses").iter().chain(list(before, "/initContainerStatuses"));
        let known = known.into_iter().find(|status| text(status, "/name") == name);
        let restart_count = known.map_or(0, |known| {
            let has_run = known.pointer("/state/waiting").is_none() || !text(known, "/containerID").is_empty();
            crate::object::integer(known, "/restartCount").unwrap_or(0) + i64::from(has_run)
        });
        Self {
            name,
            image: text(definition, "/image").to_owned(),
            state: ContainerState::waiting(waiting, String::new()),
            last_state: None,
            restart_count,
            process_id: None,
            started: false,
            ready: false,
        }
    }

    fn to_value(&self) -> Value {
        let last = self.last_state.as_ref().map_or_else(|| json!({}), |last| json!({ "terminated": last.to_value() }));
        let is_running = matches!(self.state, ContainerState::Running { .. });
        let id = self.process_id.map_or_else(String::new, |id| format!("process://{id}"));
        json!({
            "name": self.name, "image": self.image, "imageID": "", "containerID": id, "state": self.state.to_value(),
            "lastState": last, "restartCount": self.restart_count, "ready": self.ready && is_running,
            "started": self.started && is_running,
        })
    }

    fn is_ready(&self) -> bool {
        self.ready && matches!(self.state, ContainerState::Running { .. })
    }
}

/// What a pod's status is made of.
#[derive(Clone, Debug)]
pub(super) struct PodStatus<'a> {
    pub(super) init: &'a [ContainerStatus],
    pub(super) containers: &'a [ContainerStatus],
    pub(super) ip: &'a str,
    pub(super) started_at: &'a str,
    pub(super) now: &'a str,
    pub(super) restart_policy: &'a str,
    /// No container will run again.
    pub(super) is_over: bool,
}

impl PodStatus<'_> {
    /// The status that follows `before`; a condition's time changes only with its status.
    pub(super) fn to_value(&self, before: &Value) -> Value {
        let is_initialized = self
            .init
            .iter()
            .all(|status| matches!(&status.state, ContainerState::Terminated(terminated) if terminated.exit_code == 0));
        let is_ready =
            is_initialized && !self.containers.is_empty() && self.containers.iter().all(ContainerStatus::is_ready);
        let unready: Vec<&str> = self.containers.iter().filter(|s| !s.is_ready()).map(|s| s.name.as_str()).collect();
        let why = format!("containers with unready status: [{}]", unready.join(" "));
        let phase = self.phase();
        let is_over = phase == "Succeeded" || phase == "Failed";
        let unready_reason = if phase == "Succeeded" { "PodCompleted" } else { "ContainersNotReady" };
        let conditions = [
            ("PodReadyToStartContainers", !is_over, "", ""),
            ("Initialized", is_initialized, "ContainersNotInitialized", ""),
            ("Ready", is_ready, unready_reason, why.as_str()),
            ("ContainersReady", is_ready, unready_reason, why.as_str()),
            ("PodScheduled", true, "", ""),
        ];
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|&(name, holds, reason, why)| self.condition(before, name, holds, reason, why))
            .collect();
        let values = |statuses: &[ContainerStatus]| statuses.iter().map(ContainerStatus::to_value).collect::<Vec<_>>();
        let mut status = json!({
            "phase": phase, "conditions": conditions, "hostIP": "127.0.0.1", "hostIPs": [{ "ip": "127.0.0.1" }],
            "podIP": self.ip, "podIPs": [{ "ip": self.ip }], "startTime": self.started_at,
            "containerStatuses": values(self.containers), "qosClass": before["qosClass"],
        });
        if !self.init.is_empty() {
            status["initContainerStatuses"] = values(self.init).into();
        }
        status
    }

    fn condition(&self, before: &Value, name: &str, holds: bool, reason: &str, why: &str) -> Value {
        let status = if holds { "True" } else { "False" };
        let known = list(before, "/conditions").iter().find(|known| text(known, "/type") == name);
        let since =
            known.filter(|known| text(known, "/status") == status).map(|known| text(known, "/lastTransitionTime"));
        let mut condition = json!({
            "type": name, "status": status, "lastProbeTime": null, "lastTransitionTime": since.unwrap_or(self.now),
        });
        if !holds && !reason.is_empty() {
            condition["reason"] = reason.into();
            condition["message"] = why.into();
        }
        condition
    }

    fn phase(&self) -> &'static str {
        let exit = |status: &ContainerStatus| match &status.state {
            ContainerState::Terminated(terminated) => Some(terminated.exit_code),
            _ => None,
        };
        let has_failed_init = self.is_over && self.init.iter().any(|status| exit(status).is_some_and(|code| code != 0));
        if has_failed_init {
            return "Failed";
        }
        let exits: Option<Vec<i32>> = self.containers.iter().map(exit).collect();
        match exits {
            Some(exits) if self.is_over || self.restart_policy == "Never" => {
                if exits.iter().all(|code| *code == 0) {
                    "Succeeded"
                } else {
                    "Failed"
                }
            }
            Some(_) => "Running",
            None if self.containers.iter().any(|s| s.restart_count > 0 || s.process_id.is_some()) => "Running",
            None => "Pending",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: ContainerState, ready: bool) -> ContainerStatus {
        let is_running = matches!(state, ContainerState::Running { .. });
        ContainerStatus {
            name: "web".to_owned(),
            image: "web".to_owned(),
            state,
            last_state: None,
            restart_count: 0,
            process_id: is_running.then_some(7),
            started: ready,
            ready,
        }
    }

    fn status(containers: &[ContainerStatus], is_over: bool, before: &Value, now: &str) -> Value {
        let status = PodStatus {
            init: &[],
            containers,
            ip: "127.1.2.3",
            started_at: "t0",
            now,
            restart_policy: "Always",
            is_over,
        };
        status.to_value(before)
    }

    fn running() -> ContainerState {
        ContainerState::Running { started_at: "t1".to_owned() }
    }

    fn ended(code: i32) -> ContainerState {
        ContainerState::Terminated(Terminated::new(code, None, "t1".to_owned(), "t2"))
    }

    #[test]
    fn the_phase_follows_the_containers() {
        let phase = |state, is_over| status(&[container(state, false)], is_over, &json!({}), "t3")["phase"].clone();
        assert_eq!(phase(ContainerState::waiting("ContainerCreating", String::new()), false), "Pending");
        assert_eq!(phase(running(), false), "Running");
        assert_eq!(phase(ended(1), false), "Running");
        assert_eq!(phase(ended(0), true), "Succeeded");
        assert_eq!(phase(ended(1), true), "Failed");
    }

    #[test]
    fn a_conditions_time_changes_only_with_its_status() {
        let condition = |status: &Value| {
            let ready =
                list(status, "/conditions").iter().find(|known| text(known, "/type") == "Ready").cloned().unwrap();
            (text(&ready, "/status").to_owned(), text(&ready, "/lastTransitionTime").to_owned())
        };
        let first = status(&[container(running(), false)], false, &json!({}), "t3");
        let second = status(&[container(running(), false)], false, &first, "t4");
        let third = status(&[container(running(), true)], false, &second, "t5");
        assert_eq!(condition(&first), ("False".to_owned(), "t3".to_owned()));
        assert_eq!(condition(&second), ("False".to_owned(), "t3".to_owned()));
        assert_eq!(condition(&third), ("True".to_owned(), "t5".to_owned()));
    }

    #[test]
    fn a_container_of_an_earlier_life_counts_one_more_restart() {
        let before = json!({ "containerStatuses": [
            { "name": "web", "restartCount": 2, "containerID": "process://1", "state": { "running": {} } }] });
        let definition = json!({ "name": "web", "image": "web" });
        assert_eq!(ContainerStatus::new(&definition, &before, "ContainerCreating").restart_count, 3);
        assert_eq!(ContainerStatus::new(&definition, &json!({}), "ContainerCreating").restart_count, 0);
    }
}
