//! The table of kinds that the API serves: names, versions, scope, subresources. Discovery, path parsing,
//! validation and printing all read it; a kind that is not here does not exist.

/// A kind of object and the names it goes by.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served versions, the preferred one first. All show the same objects.
    pub versions: &'static [&'static str],
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`, the word in paths.
    pub plural: &'static str,
    /// `deployment`.
    pub singular: &'static str,
    /// `deploy`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds that `kubectl get` knows by one word: `all`, `strimzi`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` is a subresource of its own.
    pub has_status: bool,
    /// Whether `scale` is served.
    pub has_scale: bool,
    /// Whether objects can be created, changed and deleted.
    pub writable: bool,
}

const NAMESPACED: Kind = Kind {
    group: "",
    versions: &["v1"],
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    has_status: false,
    has_scale: false,
    writable: true,
};
const STRIMZI: Kind = Kind {
    group: "kafka.strimzi.io",
    versions: &["v1", "v1beta2"],
    categories: &["strimzi"],
    has_status: true,
    ..NAMESPACED
};

pub(crate) static NAMESPACE: Kind = Kind {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    namespaced: false,
    has_status: true,
    ..NAMESPACED
};
pub(crate) static POD: Kind = Kind {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    has_status: true,
    ..NAMESPACED
};
pub(crate) static SERVICE: Kind = Kind {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    has_status: true,
    ..NAMESPACED
};
pub(crate) static CONFIG_MAP: Kind =
    Kind { kind: "ConfigMap", plural: "configmaps", singular: "configmap", short_names: &["cm"], ..NAMESPACED };
pub(crate) static SECRET: Kind = Kind { kind: "Secret", plural: "secrets", singular: "secret", ..NAMESPACED };
pub(crate) static EVENT: Kind =
    Kind { kind: "Event", plural: "events", singular: "event", short_names: &["ev"], ..NAMESPACED };
pub(crate) static ENDPOINTS: Kind =
    Kind { kind: "Endpoints", plural: "endpoints", singular: "endpoints", short_names: &["ep"], ..NAMESPACED };
pub(crate) static PERSISTENT_VOLUME_CLAIM: Kind = Kind {
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    has_status: true,
    ..NAMESPACED
};
pub(crate) static DEPLOYMENT: Kind = Kind {
    group: "apps",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    has_status: true,
    has_scale: true,
    ..NAMESPACED
};
pub(crate) static REPLICA_SET: Kind = Kind {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    has_status: true,
    has_scale: true,
    ..NAMESPACED
};
pub(crate) static ROUTE: Kind = Kind {
    group: "route.openshift.io",
    kind: "Route",
    plural: "routes",
    singular: "route",
    categories: &["all"],
    has_status: true,
    ..NAMESPACED
};
pub(crate) static DEPLOYMENT_CONFIG: Kind = Kind {
    group: "apps.openshift.io",
    kind: "DeploymentConfig",
    plural: "deploymentconfigs",
    singular: "deploymentconfig",
    short_names: &["dc"],
    categories: &["all"],
    has_status: true,
    has_scale: true,
    ..NAMESPACED
};
pub(crate) static IMAGE_STREAM: Kind = Kind {
    group: "image.openshift.io",
    kind: "ImageStream",
    plural: "imagestreams",
    singular: "imagestream",
    short_names: &["is"],
    categories: &["all"],
    has_status: true,
    ..NAMESPACED
};
pub(crate) static CUSTOM_RESOURCE_DEFINITION: Kind = Kind {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    namespaced: false,
    writable: false,
    ..NAMESPACED
};
pub(crate) static KAFKA: Kind =
    Kind { kind: "Kafka", plural: "kafkas", singular: "kafka", short_names: &["k"], ..STRIMZI };
pub(crate) static KAFKA_TOPIC: Kind =
    Kind { kind: "KafkaTopic", plural: "kafkatopics", singular: "kafkatopic", short_names: &["kt"], ..STRIMZI };
pub(crate) static KAFKA_USER: Kind =
    Kind { kind: "KafkaUser", plural: "kafkausers", singular: "kafkauser", short_names: &["ku"], ..STRIMZI };
pub(crate) static KAFKA_NODE_POOL: Kind = Kind {
    kind: "KafkaNodePool",
    plural: "kafkanodepools",
    singular: "kafkanodepool",
    short_names: &["knp"],
    has_scale: true,
    ..STRIMZI
};

/// Every kind, in the order in which discovery and `get all` show them.
pub(crate) static KINDS: &[&Kind] = &[
    &CONFIG_MAP,
    &ENDPOINTS,
    &EVENT,
    &NAMESPACE,
    &PERSISTENT_VOLUME_CLAIM,
    &POD,
    &SECRET,
    &SERVICE,
    &DEPLOYMENT,
    &REPLICA_SET,
    &DEPLOYMENT_CONFIG,
    &IMAGE_STREAM,
    &ROUTE,
    &CUSTOM_RESOURCE_DEFINITION,
    &KAFKA,
    &KAFKA_TOPIC,
    &KAFKA_USER,
    &KAFKA_NODE_POOL,
];

impl Kind {
    /// `deployments.apps`, or `pods` in the core group: how messages name it.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Whether `metadata.generation` counts changes of its specification.
    #[must_use]
    pub fn has_generation(&self) -> bool {
        !self.group.is_empty() && self.has_status
    }

    /// Whether its definition is a CustomResourceDefinition of Strimzi.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.group == STRIMZI.group
    }

    pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<(&'static Self, &'static str)> {
        let kind = KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)?;
        let version = kind.versions.iter().find(|served| **served == version)?;
        Some((kind, version))
    }
}

/// Groups other than the core one, in the order of [`KINDS`], each with its versions, the preferred first.
pub(crate) fn groups() -> Vec<(&'static str, &'static [&'static str])> {
    let mut groups: Vec<(&str, &[&str])> = Vec::new();
    for kind in KINDS {
        if !kind.group.is_empty() && !groups.iter().any(|(group, _)| *group == kind.group) {
            groups.push((kind.group, kind.versions));
        }
    }
    groups
}
