//! How a ReplicaSet becomes pods, and a Service's selector becomes Endpoints. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::object::from_json;

/// What brings a ReplicaSet to its number of pods.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PodStep {
    /// So many pods more.
    Create(usize),
    /// These pods less.
    Delete(Vec<String>),
    /// As many as there should be.
    Nothing,
}

/// Whether the pod runs or will run.
pub(crate) fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Whether the pod's condition Ready is true.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// What to do with the pods of a ReplicaSet. Superfluous pods go in Kubernetes' order: not ready ones, then the youngest.
pub(crate) fn pod_step(set: &ReplicaSet, pods: &[Pod]) -> PodStep {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let mut active: Vec<&Pod> = pods.iter().filter(|pod| is_active(pod)).collect();
    if active.len() < wanted {
        return PodStep::Create(wanted - active.len());
    }
    if active.len() == wanted {
        return PodStep::Nothing;
    }
    let age = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    active.sort_by_key(|pod| (is_ready(pod), Reverse(age(pod)), pod.name_any()));
    PodStep::Delete(active[..active.len() - wanted].iter().map(|pod| pod.name_any()).collect())
}

/// A new pod of a ReplicaSet; the server completes its name.
pub(crate) fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    from_json(json!({
        "metadata": {
            "generateName": format!("{}-", set.name_any()),
            "namespace": set.namespace(),
            "labels": metadata.labels,
            "annotations": metadata.annotations,
            "ownerReferences": set.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "spec": template.spec.unwrap_or_default(),
    }))
}

/// How long until the pod counts as available: zero when it does, nothing when it is not even ready.
fn available_in(pod: &Pod, min_ready: SignedDuration, now: Timestamp) -> Option<SignedDuration> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    let since = ready.last_transition_time.as_ref().map_or(now, |time| time.0);
    Some((min_ready - now.duration_since(since)).max(SignedDuration::ZERO))
}

/// The ReplicaSet's status at `now`, and when a ready pod will have been ready for long enough to be available.
pub(crate) fn set_status(set: &ReplicaSet, pods: &[Pod], now: Timestamp) -> (Value, Option<Duration>) {
    let seconds = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let min_ready = SignedDuration::from_secs(i64::from(seconds));
    let active: Vec<&Pod> = pods.iter().filter(|pod| is_active(pod)).collect();
    let waits: Vec<SignedDuration> = active.iter().filter_map(|pod| available_in(pod, min_ready, now)).collect();
    let available = waits.iter().filter(|wait| wait.is_zero()).count();
    let look_again = waits.iter().filter(|wait| !wait.is_zero()).min().copied().map(SignedDuration::unsigned_abs);
    let terminating = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !has_ended(pod)).count();
    let status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": active.len(),
        "readyReplicas": waits.len(),
        "availableReplicas": available,
        "terminatingReplicas": terminating,
        "observedGeneration": set.metadata.generation.unwrap_or(0),
    });
    (status, look_again)
}

/// Whether labels satisfy a Service's selector; a Service without one selects nothing.
pub(crate) fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = pod.labels();
    selector
        .is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// The Endpoints of a Service with a selector: the addresses of its pods, ready or not. `None` without a selector: then
/// somebody else writes them.
pub(crate) fn endpoints(service: &Service, pods: &[Pod]) -> Option<Endpoints> {
    let spec = service.spec.as_ref()?;
    spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let mut chosen: Vec<&Pod> = pods.iter().filter(|pod| is_active(pod) && selects(service, pod)).collect();
    chosen.sort_by_key(|pod| pod.name_any());
    let ports = spec.ports.as_deref().unwrap_or_default();
    let subsets: Vec<Value> = chosen.iter().filter_map(|pod| subset(pod, ports)).collect();
    Some(from_json(json!({
        "metadata": {
            "name": service.name_any(),
            "namespace": service.namespace(),
            "labels": service.labels(),
            "ownerReferences": service.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "subsets": subsets,
    })))
}

fn subset(pod: &Pod, ports: &[ServicePort]) -> Option<Value> {
    let ip = pod.status.as_ref()?.pod_ip.clone()?;
    let ports: Vec<Value> = ports
        .iter()
        .filter_map(|port| {
            let number = target_port(pod, port)?;
            Some(json!({"name": port.name, "port": number, "protocol": port.protocol.as_deref().unwrap_or("TCP")}))
        })
        .collect();
    if ports.is_empty() {
        return None;
    }
    let field = if is_ready(pod) { "addresses" } else { "notReadyAddresses" };
    let target = json!({"kind": "Pod", "name": pod.name_any(), "namespace": pod.namespace(), "uid": pod.uid()});
    Some(json!({field: [{"ip": ip, "targetRef": target}], "ports": ports}))
}

/// A named target port is looked up in the pod's containers.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match port.target_port.as_ref() {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let containers = &pod.spec.as_ref()?.containers;
            let mut all = containers.iter().flat_map(|c| c.ports.as_deref().unwrap_or_default());
            all.find(|p| p.name.as_ref() == Some(name)).map(|p| p.container_port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i32) -> ReplicaSet {
        from_json(json!({"metadata": {"name": "d-1", "namespace": "n", "uid": "u", "generation": 2},
            "spec": {"replicas": replicas, "selector": {},
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c"}]}}}}))
    }

    fn pod(name: &str, ready: bool, created: &str) -> Pod {
        from_json(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name, "creationTimestamp": created, "labels": {"app": "d"}},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": "127.0.0.9",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}}))
    }

    #[test]
    fn missing_pods_are_made_with_the_sets_labels_and_owner() {
        assert_eq!(pod_step(&set(2), &[pod("a", true, "2026-01-01T00:00:00Z")]), PodStep::Create(1));
        let made = new_pod(&set(1));
        assert_eq!(made.metadata.generate_name.as_deref(), Some("d-1-"));
        assert_eq!(made.labels()["app"], "d");
        assert_eq!(made.owner_references()[0].uid, "u");
    }

    #[test]
    fn pods_that_are_not_ready_go_first_then_the_youngest() {
        let pods = [
            pod("old", true, "2026-01-01T00:00:00Z"),
            pod("young", true, "2026-01-02T00:00:00Z"),
            pod("broken", false, "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(pod_step(&set(1), &pods), PodStep::Delete(vec!["broken".into(), "young".into()]));
        assert_eq!(pod_step(&set(3), &pods), PodStep::Nothing);
    }

    #[test]
    fn a_pod_that_failed_or_goes_is_replaced() {
        let mut failed = pod("a", false, "2026-01-01T00:00:00Z");
        failed.status.as_mut().unwrap().phase = Some("Failed".into());
        let mut going = pod("b", true, "2026-01-01T00:00:00Z");
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        assert_eq!(pod_step(&set(1), &[failed, going]), PodStep::Create(1));
    }

    fn service(spec: Value) -> Service {
        from_json(json!({"metadata": {"name": "s", "namespace": "n", "uid": "s"}, "spec": spec}))
    }

    #[test]
    fn endpoints_are_the_addresses_of_the_selected_pods_by_port_name() {
        let service =
            service(json!({"selector": {"app": "d"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}));
        let pods = [pod("a", true, "2026-01-01T00:00:00Z"), pod("b", false, "2026-01-01T00:00:00Z")];
        let subsets = endpoints(&service, &pods).unwrap().subsets.unwrap();
        assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "127.0.0.9");
        assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 8080);
        assert!(subsets[1].addresses.is_none() && subsets[1].not_ready_addresses.is_some());
    }

    #[test]
    fn a_service_without_a_selector_is_left_to_others() {
        assert!(endpoints(&service(json!({"ports": [{"port": 80}]})), &[]).is_none());
    }

    #[test]
    fn the_status_counts_ready_pods_and_those_that_are_ending() {
        let mut ending = pod("c", true, "2026-01-01T00:00:00Z");
        ending.metadata.deletion_timestamp = ending.metadata.creation_timestamp.clone();
        let pods = [pod("a", true, "2026-01-01T00:00:00Z"), pod("b", false, "2026-01-01T00:00:00Z"), ending];
        let (status, _) = set_status(&set(2), &pods, Timestamp::UNIX_EPOCH);
        assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(2), &json!(1)));
        assert_eq!(status["terminatingReplicas"], 1);
    }

    #[test]
    fn a_pod_is_available_when_it_was_ready_for_min_ready_seconds() {
        let mut slow = set(1);
        slow.spec.as_mut().unwrap().min_ready_seconds = Some(30);
        let mut ready = pod("a", true, "2026-01-01T00:00:00Z");
        let since = ready.metadata.creation_timestamp.clone();
        ready.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].last_transition_time = since;
        let at = |time: &str| set_status(&slow, std::slice::from_ref(&ready), time.parse().unwrap());
        let (early, look_again) = at("2026-01-01T00:00:20Z");
        assert_eq!((&early["readyReplicas"], &early["availableReplicas"]), (&json!(1), &json!(0)));
        assert_eq!(look_again, Some(Duration::from_secs(10)));
        let (late, look_again) = at("2026-01-01T00:00:30Z");
        assert_eq!((&late["availableReplicas"], look_again), (&json!(1), None));
    }
}
