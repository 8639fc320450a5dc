//! Strimzi's kinds that are accepted and not served yet: KafkaUser and KafkaNodePool get a Warning condition that says so,
//! and are never Ready, so that nobody waits for a password or a broker in good faith.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::strimzi::{Condition, timed};
use crate::{Context, Error, RETRY};

/// Kind, plural and what its owner is told.
const ACCEPTED: [(&str, &str, &str); 2] = [
    (
        "KafkaUser",
        "kafkausers",
        "KafkaUser is accepted, but not served yet: no user is created and no Secret is written",
    ),
    (
        "KafkaNodePool",
        "kafkanodepools",
        "KafkaNodePool is accepted, but not served yet: spec.kafka.replicas of the Kafka decides",
    ),
];

/// Watches the accepted kinds until `stop`.
pub(crate) async fn run(context: &Arc<Context>, stop: &CancellationToken) {
    let [users, pools] =
        ACCEPTED.map(|(kind, plural, message)| watch(kind, plural, message, Arc::clone(context), stop.clone()));
    tokio::join!(users, pools);
}

async fn watch(
    kind: &'static str,
    plural: &'static str,
    message: &'static str,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("kafka.strimzi.io", "v1beta2", kind), plural);
    let all: Api<DynamicObject> = Api::all_with(context.client.clone(), &resource);
    let reconcile = {
        let resource = resource.clone();
        move |object: Arc<DynamicObject>, context: Arc<Context>| {
            let resource = resource.clone();
            async move { look(&object, &resource, message, &context).await }
        }
    };
    Controller::new_with(all, watcher::Config::default(), resource)
        .graceful_shutdown_on(stop.cancelled_owned().boxed().shared())
        .run(reconcile, |_, _: &Error, _| Action::requeue(RETRY), context)
        .for_each(async |_| {})
        .await;
}

async fn look(
    object: &DynamicObject,
    resource: &ApiResource,
    message: &str,
    context: &Context,
) -> Result<Action, Error> {
    let status = status(object, message, &context.now());
    if object.data["status"] != status {
        let api = api(context.client.clone(), object, resource);
        let patch = kube::api::Patch::Merge(json!({"status": status}));
        api.patch_status(&object.name_any(), &kube::api::PatchParams::default(), &patch).await?;
    }
    Ok(Action::await_change())
}

fn api(client: Client, object: &DynamicObject, resource: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client, &object.namespace().unwrap_or_default(), resource)
}

fn status(object: &DynamicObject, message: &str, now: &str) -> Value {
    let before: Vec<Condition> =
        serde_json::from_value(object.data["status"]["conditions"].clone()).unwrap_or_default();
    let conditions = vec![Condition::not_ready("NotServedYet", message), Condition::warning("NotServedYet", message)];
    json!({"conditions": timed(conditions, &before, now), "observedGeneration": object.metadata.generation})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_kind_is_never_ready_and_says_why() {
        let object: DynamicObject = serde_json::from_value(
            json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaUser", "metadata": {"name": "u", "generation": 2}}),
        )
        .unwrap();
        let status = status(&object, "not served", "now");
        assert_eq!((&status["conditions"][0]["status"], &status["observedGeneration"]), (&json!("False"), &json!(2)));
        assert_eq!(
            (&status["conditions"][1]["type"], &status["conditions"][1]["message"]),
            (&json!("Warning"), &json!("not served"))
        );
    }
}
