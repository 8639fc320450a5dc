//! OpenShift's DeploymentConfig, rolled as the Deployment that it describes: its own reconciler decides nothing. Its pods are
//! those of ReplicaSets, where OpenShift has ReplicationControllers. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// The kind, as a client names it.
pub(crate) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("apps.openshift.io", "v1", "DeploymentConfig");
    ApiResource::from_gvk_with_plural(&kind, "deploymentconfigs")
}

/// The Deployment that rolls as this DeploymentConfig does. Fields that only OpenShift knows are warned of when it is
/// applied; nothing when the rest has another shape than the server lets in.
pub(crate) fn as_deployment(config: &DynamicObject) -> Option<Deployment> {
    let spec = &config.data["spec"];
    let template = &spec["template"];
    let selector = if spec["selector"].is_object() { &spec["selector"] } else { &template["metadata"]["labels"] };
    let strategy = &spec["strategy"];
    let strategy = match strategy["type"].as_str() {
        Some("Recreate") => json!({"type": "Recreate"}),
        _ => {
            let limits = &strategy["rollingParams"];
            json!({"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": limits["maxSurge"], "maxUnavailable": limits["maxUnavailable"]}})
        }
    };
    let deployment = json!({
        "metadata": config.metadata,
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": selector},
            "template": template,
            "strategy": strategy,
            "minReadySeconds": spec["minReadySeconds"],
            "revisionHistoryLimit": spec["revisionHistoryLimit"],
            "paused": spec["paused"],
        },
        "status": config.data["status"],
    });
    serde_json::from_value(deployment).ok()
}

/// The status of a DeploymentConfig out of that of its Deployment. OpenShift writes every count, also those of zero.
pub(crate) fn status(of_deployment: &Value, revision: u64) -> Value {
    let mut status = of_deployment.clone();
    for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"] {
        status[field] = json!(of_deployment[field].as_i64().unwrap_or(0));
    }
    status["latestVersion"] = json!(revision);
    status
}

#[cfg(test)]
mod tests {
    use super::super::rollout::{Step, current_name, steps};
    use super::*;
    use crate::object::from_json;

    fn config(strategy: Value) -> DynamicObject {
        from_json(json!({"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig",
            "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 2},
            "spec": {"replicas": 2, "selector": {"app": "web"}, "strategy": strategy, "triggers": [{"type": "ConfigChange"}],
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}))
    }

    #[test]
    fn it_rolls_as_the_deployment_that_it_describes() {
        let deployment = as_deployment(&config(json!({"type": "Recreate"}))).unwrap();
        assert_eq!(steps(&deployment, &[]), [Step::Create(2)]);
        assert!(current_name(&deployment).starts_with("web-"));
        let spec = deployment.spec.unwrap();
        assert_eq!(spec.selector.match_labels.unwrap()["app"], "web");
        assert_eq!(spec.strategy.unwrap().type_.as_deref(), Some("Recreate"));
        let limits = json!({"type": "Rolling", "rollingParams": {"maxSurge": 1, "maxUnavailable": "50%"}});
        let rolling = as_deployment(&config(limits)).unwrap().spec.unwrap().strategy.unwrap();
        assert_eq!(json!(rolling.rolling_update), json!({"maxSurge": 1, "maxUnavailable": "50%"}));
    }

    #[test]
    fn its_status_has_the_version_and_every_count() {
        let status = status(&json!({"replicas": 1, "conditions": []}), 3);
        assert_eq!((&status["latestVersion"], &status["replicas"]), (&json!(3), &json!(1)));
        assert_eq!(status["availableReplicas"], 0);
    }
}
