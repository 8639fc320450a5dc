//! What an earlier life of the platform said of its objects and nobody can vouch for any more: its processes have ended.
//! Called once, when the store is opened, before anybody can read a status.

use serde_json::{Value, json};

use crate::kinds::{KINDS, POD};
use crate::object::{list, text};
use crate::store::Transaction;

/// Makes every pod unready and every other status one that its reconciler has yet to look at, so that whoever waits for
/// readiness waits for this life's.
pub(super) fn forget_readiness(tx: &mut Transaction<'_>, now: &str) {
    for (key, pod) in tx.list(&POD, None) {
        let mut changed = pod.as_ref().clone();
        make_unready(&mut changed, now);
        if changed != *pod {
            tx.put(key, changed);
        }
    }
    for kind in KINDS.iter().filter(|kind| kind.has_generation()) {
        for (key, object) in tx.list(kind, None) {
            let mut changed = object.as_ref().clone();
            let status = changed.get_mut("status").and_then(Value::as_object_mut);
            if status.and_then(|status| status.shift_remove("observedGeneration")).is_some() {
                tx.put(key, changed);
            }
        }
    }
}

fn make_unready(pod: &mut Value, now: &str) {
    if ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
        return;
    }
    let each = |pod: &mut Value, pointer: &str, change: &dyn Fn(&mut Value)| {
        pod.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
    };
    for pointer in ["/status/containerStatuses", "/status/initContainerStatuses"] {
        if list(pod, pointer).iter().any(|status| status["ready"] == true) {
            each(pod, pointer, &|status| status["ready"] = false.into());
        }
    }
    each(pod, "/status/conditions", &|condition| {
        if ["Ready", "ContainersReady"].contains(&text(condition, "/type")) && text(condition, "/status") == "True" {
            condition["status"] = "False".into();
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = "millstream was started anew".into();
            condition["lastTransitionTime"] = json!(now);
        }
    });
}
