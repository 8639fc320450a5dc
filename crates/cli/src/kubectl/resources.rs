//! The kinds that a server knows, found by discovery, and the many names people have for them.

use serde_json::Value;

use super::server::{RequestError, Server};

/// One kind of object, as the server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Version, such as `v1`.
    pub(crate) version: String,
    /// `KafkaTopic`.
    pub(crate) kind: String,
    /// `kafkatopics`.
    pub(crate) plural: String,
    singular: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub(crate) namespaced: bool,
    listable: bool,
}

impl Resource {
    /// `apiVersion` of its objects.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// How kubectl names the kind before an object's name: `deployment.apps`, `service`.
    pub(crate) fn printed(&self) -> String {
        with_group(&self.kind.to_lowercase(), &self.group)
    }

    /// The path of the collection, in a namespace or in all of them.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let (version, plural) = (&self.version, &self.plural);
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{}/{plural}", escape(namespace)),
            None => format!("{root}/{version}/{plural}"),
        }
    }

    /// The path of one object.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), escape(name))
    }

    fn is_called(&self, name: &str) -> bool {
        let names = [self.plural.as_str(), self.singular.as_str()];
        names.contains(&name) || self.kind.to_lowercase() == name || self.short_names.iter().any(|short| short == name)
    }
}

/// `deployment` of group `apps` is `deployment.apps`; the core group is not written.
pub(crate) fn with_group(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// A name as part of a path. Names that Kubernetes accepts need no escaping; what a user types may be anything.
fn escape(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Everything a server serves, the preferred version of each group first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resources(Vec<Resource>);

impl Resources {
    /// Asks the server: one request for the groups, one for each version.
    pub(crate) async fn discover(server: &Server) -> Result<Self, RequestError> {
        let mut versions = vec![("/api/v1".to_owned(), String::new(), "v1".to_owned())];
        let groups = server.get("/apis").await?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            let name = text(&group["name"]);
            let preferred = text(&group["preferredVersion"]["version"]);
            let mut of_group: Vec<String> =
                group["versions"].as_array().into_iter().flatten().map(|v| text(&v["version"])).collect();
            of_group.sort_by_key(|version| *version != preferred);
            versions.extend(of_group.into_iter().map(|v| (format!("/apis/{name}/{v}"), name.clone(), v)));
        }
        let mut resources = Vec::new();
        for (path, group, version) in versions {
            let list = server.get(&path).await?;
            let all = list["resources"].as_array().into_iter().flatten();
            resources.extend(all.filter_map(|resource| read(resource, &group, &version)));
        }
        Ok(Self(resources))
    }

    /// The kind that a manifest names.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.0.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// The kind in the version of its group that is served, where a manifest names another.
    pub(crate) fn version_of(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        self.0.iter().find(|resource| resource.kind == kind && resource.group == group)
    }

    /// The kind that a user names: `po`, `pods`, `pod`, `deployment.apps`, `kafkatopics.v1beta2.kafka.strimzi.io`.
    pub(crate) fn called(&self, name: &str) -> Option<&Resource> {
        let name = name.to_lowercase();
        self.0.iter().find(|resource| resource.is_called(&name)).or_else(|| {
            let (name, rest) = name.split_once('.')?;
            let in_group = |r: &&Resource| r.is_called(name) && r.group == rest;
            let in_version = |r: &&Resource| r.is_called(name) && format!("{}.{}", r.version, r.group) == rest;
            self.0.iter().find(in_group).or_else(|| self.0.iter().find(in_version))
        })
    }

    /// The kinds of a category such as `all`, each once.
    pub(crate) fn in_category(&self, category: &str) -> Vec<&Resource> {
        let mut found: Vec<&Resource> = Vec::new();
        for resource in self.0.iter().filter(|r| r.listable && r.categories.iter().any(|c| c == category)) {
            if !found.iter().any(|r| r.plural == resource.plural && r.group == resource.group) {
                found.push(resource);
            }
        }
        found
    }
}

fn read(resource: &Value, group: &str, version: &str) -> Option<Resource> {
    let plural = text(&resource["name"]);
    // `pods/log` and its like are no kinds of their own.
    if plural.is_empty() || plural.contains('/') {
        return None;
    }
    let list = |field: &str| resource[field].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(&resource["kind"]),
        singular: text(&resource["singularName"]),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: resource["namespaced"].as_bool().unwrap_or(false),
        listable: list("verbs").iter().any(|verb| verb == "list"),
        plural,
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn resources() -> Resources {
        let of = |group: &str, version: &str, resource: Value| read(&resource, group, version).unwrap();
        Resources(vec![
            of(
                "",
                "v1",
                json!({"name": "pods", "kind": "Pod", "namespaced": true, "shortNames": ["po"], "categories": ["all"], "verbs": ["list"]}),
            ),
            of(
                "",
                "v1",
                json!({"name": "namespaces", "kind": "Namespace", "namespaced": false, "shortNames": ["ns"], "verbs": ["list"]}),
            ),
            of(
                "apps",
                "v1",
                json!({"name": "deployments", "singularName": "deployment", "kind": "Deployment", "namespaced": true,
                "categories": ["all"], "verbs": ["list"]}),
            ),
            of(
                "kafka.strimzi.io",
                "v1",
                json!({"name": "kafkas", "singularName": "kafka", "kind": "Kafka", "namespaced": true,
                "shortNames": ["k"], "categories": ["strimzi"], "verbs": ["list"]}),
            ),
            of(
                "kafka.strimzi.io",
                "v1beta2",
                json!({"name": "kafkas", "singularName": "kafka", "kind": "Kafka", "namespaced": true,
                "shortNames": ["k"], "categories": ["strimzi"], "verbs": ["list"]}),
            ),
        ])
    }

    #[test]
    fn a_kind_has_many_names() {
        let resources = resources();
        for name in ["po", "pod", "pods", "Pod"] {
            assert_eq!(resources.called(name).unwrap().kind, "Pod", "{name}");
        }
        assert_eq!(resources.called("deployment.apps").unwrap().kind, "Deployment");
        assert_eq!(resources.called("kafkas.v1beta2.kafka.strimzi.io").unwrap().version, "v1beta2");
        assert_eq!(resources.called("Kafka").unwrap().version, "v1");
        assert!(resources.called("foo").is_none());
    }

    #[test]
    fn a_category_names_each_kind_once() {
        let resources = resources();
        let kinds = |category| resources.in_category(category).iter().map(|r| r.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds("all"), ["Pod", "Deployment"]);
        assert_eq!(kinds("strimzi"), ["Kafka"]);
    }

    #[test]
    fn paths_and_printed_names_are_kubernetes_own() {
        let resources = resources();
        let kafka = resources.of_kind("kafka.strimzi.io/v1beta2", "Kafka").unwrap();
        assert_eq!(kafka.object(Some("n"), "a"), "/apis/kafka.strimzi.io/v1beta2/namespaces/n/kafkas/a");
        assert_eq!(kafka.printed(), "kafka.kafka.strimzi.io");
        let namespace = resources.called("ns").unwrap();
        assert_eq!(namespace.object(Some("n"), "a"), "/api/v1/namespaces/a");
        assert_eq!(resources.called("po").unwrap().collection(None), "/api/v1/pods");
    }

    #[test]
    fn a_typed_name_cannot_leave_its_place_in_the_path() {
        let resources = resources();
        assert_eq!(
            resources.called("po").unwrap().object(Some("n"), "a/../b?c"),
            "/api/v1/namespaces/n/pods/a%2F..%2Fb%3Fc"
        );
    }
}
