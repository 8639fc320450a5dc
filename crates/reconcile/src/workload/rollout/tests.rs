//! What a rollout does next, for ReplicaSets in every state of it.

use serde_json::Value;

use super::*;

fn deployment(replicas: i32, strategy: &str, image: &str) -> Deployment {
    from_json(json!({"metadata": {"name": "d", "namespace": "default", "uid": "u", "generation": 3},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "d"}}, "strategy": {"type": strategy},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}}))
}

fn set(name: &str, replicas: i32, all: i32, available: i32) -> ReplicaSet {
    from_json(json!({"metadata": {"name": name, "annotations": {REVISION: "1"}},
        "spec": {"replicas": replicas, "selector": {}},
        "status": {"replicas": all, "readyReplicas": available, "availableReplicas": available}}))
}

#[test]
fn the_first_template_gets_its_replica_set_at_once() {
    assert_eq!(steps(&deployment(2, "RollingUpdate", "a"), &[]), [Step::Create(2)]);
    assert_eq!(steps(&deployment(1, "Recreate", "a"), &[]), [Step::Create(1)]);
}

#[test]
fn a_replica_set_selects_only_the_pods_of_its_template() {
    let made = replica_set(&deployment(1, "Recreate", "a"), None, 1, 1);
    let hash = made.labels()[POD_TEMPLATE_HASH].clone();
    assert_eq!(made.name_any(), format!("d-{hash}"));
    let spec = made.spec.unwrap();
    assert_eq!(spec.selector.match_labels.unwrap()[POD_TEMPLATE_HASH], hash);
    assert_eq!(spec.template.unwrap().metadata.unwrap().labels.unwrap()[POD_TEMPLATE_HASH], hash);
    assert_ne!(current_name(&deployment(1, "Recreate", "b")), format!("d-{hash}"));
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let d = deployment(1, "Recreate", "new");
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 1)]), [Step::Scale("d-old".into(), 0)]);
    assert_eq!(steps(&d, &[set("d-old", 0, 1, 0)]), []);
    assert_eq!(steps(&d, &[set("d-old", 0, 0, 0)]), [Step::Create(1)]);
}

#[test]
fn a_rolling_update_keeps_what_is_needed_available() {
    let d = deployment(4, "RollingUpdate", "new");
    let new = current_name(&d);
    // 25 %: one more, one fewer.
    assert_eq!(steps(&d, &[set("d-old", 4, 4, 4)]), [Step::Create(1), Step::Scale("d-old".into(), 3)]);
    assert_eq!(steps(&d, &[set("d-old", 3, 3, 3), set(&new, 1, 1, 0)]), [Step::Scale(new.clone(), 2)]);
    assert_eq!(steps(&d, &[set("d-old", 3, 3, 3), set(&new, 2, 2, 1)]), [Step::Scale("d-old".into(), 2)]);
    assert_eq!(steps(&d, &[set("d-old", 0, 0, 0), set(&new, 4, 4, 4)]), []);
}

#[test]
fn recreate_waits_for_pods_that_are_told_to_end_and_still_run() {
    let d = deployment(1, "Recreate", "new");
    let mut ending = set("d-old", 0, 0, 0);
    ending.status.as_mut().unwrap().terminating_replicas = Some(1);
    assert_eq!(steps(&d, &[ending]), []);
    // Its status is older than its scale: it may be making a pod just now.
    let mut unseen = set("d-old", 0, 0, 0);
    unseen.metadata.generation = Some(2);
    unseen.status.as_mut().unwrap().observed_generation = Some(1);
    assert_eq!(steps(&d, &[unseen]), []);
}

#[test]
fn an_old_pod_that_never_was_available_stays_until_the_new_one_is() {
    let d = deployment(1, "RollingUpdate", "new");
    let new = current_name(&d);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 0)]), [Step::Create(1)]);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 0), set(&new, 1, 1, 0)]), []);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 0), set(&new, 1, 1, 1)]), [Step::Scale("d-old".into(), 0)]);
}

#[test]
fn a_template_that_cannot_run_costs_no_more_than_max_unavailable() {
    let mut d = deployment(3, "RollingUpdate", "broken");
    let new = current_name(&d);
    d.spec.as_mut().unwrap().strategy = from_json(json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}));
    assert_eq!(steps(&d, &[set("d-old", 3, 3, 3)]), [Step::Create(0), Step::Scale("d-old".into(), 2)]);
    assert_eq!(steps(&d, &[set("d-old", 2, 2, 2), set(&new, 0, 0, 0)]), [Step::Scale(new.clone(), 1)]);
    assert_eq!(steps(&d, &[set("d-old", 2, 2, 2), set(&new, 1, 1, 0)]), []);
}

#[test]
fn a_fixed_template_takes_the_place_of_the_broken_one_first() {
    let d = deployment(2, "RollingUpdate", "fixed");
    let new = current_name(&d);
    let good = || set("d-good", 2, 2, 2);
    let room = steps(&d, &[good(), set("d-broken", 1, 1, 0), set(&new, 0, 0, 0)]);
    assert_eq!(room, [Step::Scale("d-broken".into(), 0)]);
    assert_eq!(steps(&d, &[good(), set("d-broken", 0, 0, 0), set(&new, 0, 0, 0)]), [Step::Scale(new, 1)]);
}

#[test]
fn max_surge_and_max_unavailable_are_numbers_or_portions() {
    let limits_of = |replicas: i32, surge: Value, unavailable: Value| {
        let mut d = deployment(replicas, "RollingUpdate", "a");
        d.spec.as_mut().unwrap().strategy =
            from_json(json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}));
        limits(&d)
    };
    assert_eq!(limits_of(10, json!("25%"), json!("25%")), (3, 2), "surge rounds up, unavailable down");
    assert_eq!(limits_of(4, json!("200%"), json!("100%")), (8, 4));
    assert_eq!(limits_of(4, json!(2), json!(9)), (2, 4), "more than there are cannot be away");
    assert_eq!(limits_of(1, json!("0%"), json!("10%")), (0, 1), "one of the two must move");
}

#[test]
fn a_paused_deployment_is_scaled_and_takes_no_new_template() {
    let mut d = deployment(3, "RollingUpdate", "new");
    d.spec.as_mut().unwrap().paused = Some(true);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 1)]), [Step::Scale("d-old".into(), 3)]);
    assert_eq!(steps(&d, &[set("d-old", 3, 3, 3)]), []);
    assert_eq!(steps(&d, &[]), []);
}

#[test]
fn one_replica_is_replaced_only_when_the_new_one_is_available() {
    let d = deployment(1, "RollingUpdate", "new");
    let new = current_name(&d);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 1)]), [Step::Create(1)]);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 1), set(&new, 1, 1, 0)]), []);
    assert_eq!(steps(&d, &[set("d-old", 1, 1, 1), set(&new, 1, 1, 1)]), [Step::Scale("d-old".into(), 0)]);
}

#[test]
fn scaling_needs_no_new_replica_set() {
    let d = deployment(3, "Recreate", "a");
    let name = current_name(&d);
    assert_eq!(steps(&d, &[set(&name, 1, 1, 1)]), [Step::Scale(name, 3)]);
}

#[test]
fn history_beyond_the_limit_is_forgotten() {
    let mut d = deployment(1, "Recreate", "a");
    d.spec.as_mut().unwrap().revision_history_limit = Some(0);
    let name = current_name(&d);
    assert_eq!(steps(&d, &[set(&name, 1, 1, 1), set("d-old", 0, 0, 0)]), [Step::Forget("d-old".into())]);
}
