//! The KafkaTopic reconciler (Strimzi's unidirectional topic operator): topics follow their resources, through the Kafka
//! protocol, so that any Kafka cluster serves.
//!
//! What has to be done is decided in [`plan`]; [`cluster`] does it. A finalizer keeps a resource until its topic is deleted.

mod cluster;
pub(crate) mod plan;

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use crate::strimzi::{CLUSTER_LABEL, Condition, Kafka, KafkaTopic, KafkaTopicStatus, TOPIC_FINALIZER, timed};
use crate::{Context, Error, RETRY, object};
pub(crate) use cluster::Clusters;
use plan::{Refusal, holder, is_managed, is_paused, plan, topic_name};

impl Context {
    /// The cluster's id, as a broker answers it; nothing when none answers.
    pub(crate) async fn cluster_id(&self, kafka: &Kafka) -> Option<String> {
        let bootstrap = crate::kafka::bootstrap_servers(kafka)?;
        let admin = self.clusters.admin(&bootstrap).await.ok()?;
        Some(admin.describe_cluster().await.ok()?.cluster_id)
    }
}

/// One look at a KafkaTopic.
pub(crate) async fn reconcile(topic: Arc<KafkaTopic>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = topic.namespace().unwrap_or_default();
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &namespace);
    // Without the label it is nobody's, as with Strimzi.
    let Some(cluster) = topic.labels().get(CLUSTER_LABEL) else { return Ok(Action::await_change()) };
    if is_paused(&topic) {
        let paused = status(&topic, Condition::state("ReconciliationPaused"), None, &context.now());
        object::write_status(&api, &*topic, paused).await?;
        return Ok(Action::await_change());
    }
    let kafkas: Api<Kafka> = Api::namespaced(context.client.clone(), &namespace);
    let kafka = kafkas.get_opt(cluster).await?;
    if topic.metadata.deletion_timestamp.is_some() {
        return let_go(&api, &topic, kafka.as_ref(), &context).await;
    }
    if !is_managed(&topic) {
        object::set_finalizer(&api, &*topic, TOPIC_FINALIZER, false).await?;
        let unmanaged = status(&topic, Condition::state("Unmanaged"), None, &context.now());
        object::write_status(&api, &*topic, unmanaged).await?;
        return Ok(Action::await_change());
    }
    object::set_finalizer(&api, &*topic, TOPIC_FINALIZER, true).await?;
    let done = match conflict(&api, &topic, cluster).await? {
        Some(refusal) => Err(refusal),
        None => bring(&topic, kafka.as_ref(), cluster, &context).await,
    };
    let (condition, id, next) = match done {
        Ok(id) => (Condition::ready(), Some(id), context.topic_resync),
        Err(refusal) if refusal.reason == "KafkaError" => (condition(refusal), None, RETRY),
        Err(refusal) => (condition(refusal), None, context.topic_resync),
    };
    object::write_status(&api, &*topic, status(&topic, condition, id, &context.now())).await?;
    Ok(Action::requeue(next))
}

/// The topic brought to what the resource says; its id.
async fn bring(topic: &KafkaTopic, kafka: Option<&Kafka>, cluster: &str, context: &Context) -> Result<String, Refusal> {
    let Some(kafka) = kafka else { return Err(Refusal::kafka_error(format!("there is no Kafka {cluster}"))) };
    let Some(bootstrap) = ready_bootstrap(kafka) else {
        return Err(Refusal::kafka_error(format!("the Kafka {cluster} is not ready")));
    };
    let refused = |error: millstream_client::Error| Refusal::kafka_error(error.to_string());
    let admin = context.clusters.admin(&bootstrap).await.map_err(refused)?;
    let name = topic_name(topic);
    let live = cluster::describe(&admin, &name).await.map_err(refused)?;
    let created = cluster::carry_out(&admin, &name, plan(topic, live.as_ref())?).await?;
    Ok(created.or(live.map(|live| live.id)).unwrap_or_default())
}

/// The other resource that holds this one's topic, if any.
async fn conflict(api: &Api<KafkaTopic>, topic: &KafkaTopic, cluster: &str) -> Result<Option<Refusal>, Error> {
    let selector = ListParams::default().labels(&format!("{CLUSTER_LABEL}={cluster}"));
    let topics = api.list(&selector).await?.items;
    let holder = holder(&topics, &topic_name(topic));
    Ok(holder.filter(|holder| holder.name_any() != topic.name_any()).map(|holder| Refusal {
        reason: "ResourceConflict",
        message: format!(
            "Managed by Ref{{namespace='{}', name='{}'}}",
            holder.namespace().unwrap_or_default(),
            holder.name_any()
        ),
    }))
}

/// Deletes the topic and lets the resource go. An unmanaged topic, one that another resource holds, and one whose cluster is
/// gone are left as they are.
async fn let_go(
    api: &Api<KafkaTopic>,
    topic: &KafkaTopic,
    kafka: Option<&Kafka>,
    context: &Context,
) -> Result<Action, Error> {
    if !topic.finalizers().iter().any(|finalizer| finalizer == TOPIC_FINALIZER) {
        return Ok(Action::await_change());
    }
    let kafka = kafka.filter(|kafka| kafka.metadata.deletion_timestamp.is_none());
    if let Some(kafka) = kafka.filter(|_| is_managed(topic)) {
        let shared = conflict(api, topic, &kafka.name_any()).await?.is_some();
        if !shared && let Err(refusal) = delete(topic, kafka, context).await {
            object::write_status(api, topic, status(topic, condition(refusal), None, &context.now())).await?;
            return Ok(Action::requeue(RETRY));
        }
    }
    object::set_finalizer(api, topic, TOPIC_FINALIZER, false).await?;
    Ok(Action::await_change())
}

async fn delete(topic: &KafkaTopic, kafka: &Kafka, context: &Context) -> Result<(), Refusal> {
    let Some(bootstrap) = ready_bootstrap(kafka) else {
        return Err(Refusal::kafka_error(format!("the Kafka {} is not ready", kafka.name_any())));
    };
    let refused = |error: millstream_client::Error| Refusal::kafka_error(error.to_string());
    let admin = context.clusters.admin(&bootstrap).await.map_err(refused)?;
    cluster::delete(&admin, &topic_name(topic)).await.map_err(refused)
}

/// Where a Kafka that is ready is reached: its first listener.
fn ready_bootstrap(kafka: &Kafka) -> Option<String> {
    let status = kafka.status.as_ref()?;
    status.conditions.iter().find(|condition| condition.kind == "Ready" && condition.status == "True")?;
    Some(status.listeners.first()?.bootstrap_servers.clone())
}

fn condition(refusal: Refusal) -> Condition {
    Condition::not_ready(refusal.reason, refusal.message)
}

/// The status: an id and a name that are known stay known, but for a topic that nobody manages.
fn status(topic: &KafkaTopic, condition: Condition, id: Option<String>, now: &str) -> Value {
    let before = topic.status.clone().unwrap_or_default();
    let unmanaged = condition.kind == "Unmanaged";
    let ready = condition.status == "True" && condition.kind == "Ready";
    json!(KafkaTopicStatus {
        conditions: timed(vec![condition], &before.conditions, now),
        observed_generation: topic.metadata.generation,
        topic_name: if ready { Some(topic_name(topic)) } else { before.topic_name.filter(|_| !unmanaged) },
        topic_id: id.or(before.topic_id).filter(|_| !unmanaged),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(status: Value) -> KafkaTopic {
        serde_json::from_value(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaTopic",
            "metadata": {"name": "manual", "generation": 3}, "spec": {}, "status": status}))
        .unwrap()
    }

    #[test]
    fn a_ready_topic_shows_its_name_and_id() {
        let status = status(&topic(json!({})), Condition::ready(), Some("id".into()), "now");
        assert_eq!((&status["topicName"], &status["topicId"]), (&json!("manual"), &json!("id")));
        assert_eq!(status["observedGeneration"], 3);
    }

    #[test]
    fn a_refusal_keeps_what_is_known_of_the_topic() {
        let before = topic(json!({"topicName": "manual", "topicId": "id"}));
        let refused = status(&before, condition(Refusal::not_supported("no")), None, "now");
        assert_eq!((&refused["topicName"], &refused["topicId"]), (&json!("manual"), &json!("id")));
        assert_eq!(
            (&refused["conditions"][0]["reason"], &refused["conditions"][0]["status"]),
            (&json!("NotSupported"), &json!("False"))
        );
    }

    #[test]
    fn an_unmanaged_topic_shows_nothing_of_kafka() {
        let before = topic(json!({"topicName": "manual", "topicId": "id"}));
        let unmanaged = status(&before, Condition::state("Unmanaged"), None, "now");
        assert!(unmanaged.get("topicId").is_none() && unmanaged.get("topicName").is_none());
    }

    #[test]
    fn only_a_ready_kafka_is_asked() {
        let kafka = |status: &str| -> Kafka {
            serde_json::from_value(
                json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka", "metadata": {"name": "a"},
                "spec": {}, "status": {"conditions": [{"type": "Ready", "status": status}],
                    "listeners": [{"name": "plain", "bootstrapServers": "127.0.0.1:9092"}]}}),
            )
            .unwrap()
        };
        assert_eq!(ready_bootstrap(&kafka("True")).as_deref(), Some("127.0.0.1:9092"));
        assert_eq!(ready_bootstrap(&kafka("False")), None);
    }
}
