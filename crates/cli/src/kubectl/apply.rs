//! `apply`, as kubectl does it: the client compares what was applied last, what is applied now, and what the server has.
//!
//! All objects are first tried without effect (a server-side dry run); only when the server takes every one of them is
//! anything changed, so that a broken manifest leaves nothing half applied.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Value, json};

use super::merge::{self, LAST_APPLIED, Lists};
use super::resources::{Resource, Resources, with_group};
use super::server::{Answer, RequestError, Server};
use crate::manifest::Manifest;

/// How often a change is tried again when somebody else changed the object meanwhile (kubectl: 5).
const CONFLICT_RETRIES: usize = 5;

/// How strictly fields are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validation {
    /// An unknown or doubled field is an error.
    Strict,
    /// It is a warning.
    Warn,
    /// It is dropped without a word.
    Ignore,
}

impl Validation {
    fn parameter(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created,
    Configured,
    Unchanged,
}

impl Outcome {
    /// kubectl's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// How manifests are applied.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// For objects that name no namespace.
    pub(crate) namespace: String,
    pub(crate) validation: Validation,
}

/// A manifest whose kind the server knows.
pub(crate) struct Applicable<'m> {
    manifest: &'m Manifest,
    resource: &'m Resource,
    namespace: Option<String>,
    /// The manifest as it is sent: with its namespace, and the annotation that remembers it.
    wanted: Value,
}

/// Something that people should read, in the order of the manifests; printed on stderr by the caller.
pub(crate) type Warnings = Vec<String>;

impl<'m> Applicable<'m> {
    /// Finds each manifest's kind. A kind that the server does not know is warned about and left out, and so is an object
    /// that a later manifest has too: applied one after the other, it would change twice each time.
    pub(crate) fn all(
        manifests: &'m [Manifest],
        resources: &'m Resources,
        options: &Options,
    ) -> (Vec<Applicable<'m>>, Warnings) {
        let (mut known, mut warnings) = (Vec::new(), Vec::new());
        for manifest in manifests {
            match resources.of_kind(manifest.api_version(), manifest.kind()) {
                Some(resource) => known.push(Self::new(manifest, resource, options)),
                None => warnings.push(left_out(manifest, resources)),
            }
        }
        let mut last: HashMap<_, &Manifest> = HashMap::new();
        let mut known: Vec<Self> = known.into_iter().rev().collect();
        known.retain(|applicable: &Self| match last.entry(applicable.identity()) {
            Entry::Vacant(first) => {
                first.insert(applicable.manifest);
                true
            }
            Entry::Occupied(holds) => {
                warnings.push(replaced(applicable.manifest, holds.get()));
                false
            }
        });
        known.reverse();
        // A namespace has to be there before what lives in it.
        known.sort_by_key(|applicable| applicable.resource.kind != "Namespace");
        (known, warnings)
    }

    fn new(manifest: &'m Manifest, resource: &'m Resource, options: &Options) -> Self {
        let mut object = manifest.object.clone();
        let namespace = resource.namespaced.then(|| manifest.namespace().unwrap_or(&options.namespace).to_owned());
        if let Some(namespace) = &namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        Self { manifest, resource, namespace, wanted: merge::annotated(&object) }
    }

    /// What tells objects apart: a version is only a view of one.
    fn identity(&self) -> (&'m str, &'m str, Option<String>, &'m str) {
        (&self.resource.group, &self.resource.kind, self.namespace.clone(), self.manifest.name())
    }

    /// `deployment.apps/data-producer`.
    pub(crate) fn printed(&self) -> String {
        format!("{}/{}", self.resource.printed(), self.manifest.name())
    }

    /// The name of the object's kind in the progress of `up`, and how it is asked for.
    pub(crate) fn path(&self) -> String {
        self.resource.object(self.namespace.as_deref(), self.manifest.name())
    }

    /// The kind as the server serves it.
    pub(crate) fn resource(&self) -> &Resource {
        self.resource
    }

    /// The complaint of a refusal: for each field that the server names, file, line, field and what was expected.
    pub(crate) fn complaint(&self, error: &RequestError) -> String {
        let causes = error.causes();
        if causes.is_empty() {
            return format!("{}: {error}", self.manifest.place(""));
        }
        let (kind, name) = (self.manifest.kind(), self.manifest.name());
        let line = |cause: &super::server::Cause| {
            let place = self.manifest.place(&cause.field);
            format!("{place}: {kind} \"{name}\": {}: {}", cause.field, cause.message)
        };
        causes.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Brings the object to what the manifest says; with `dry_run` only finds out whether the server would take it.
    pub(crate) async fn apply(
        &self,
        server: &Server,
        options: &Options,
        dry_run: bool,
    ) -> Result<(Outcome, Warnings), RequestError> {
        let query = format!(
            "?fieldManager=kubectl-client-side-apply&fieldValidation={}{}",
            options.validation.parameter(),
            if dry_run { "&dryRun=All" } else { "" }
        );
        let mut tries = 0;
        loop {
            match self.apply_once(server, &query).await {
                Err(error) if error.reason() == "Conflict" && tries < CONFLICT_RETRIES => tries += 1,
                // It was made between the look and the request.
                Err(error) if error.reason() == "AlreadyExists" && tries < CONFLICT_RETRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn apply_once(&self, server: &Server, query: &str) -> Result<(Outcome, Warnings), RequestError> {
        let path = self.path();
        let Some(live) = server.find(&path).await? else {
            let collection = self.resource.collection(self.namespace.as_deref());
            let answer = server.create(&format!("{collection}{query}"), &self.wanted).await?;
            return Ok((Outcome::Created, answer.warnings));
        };
        let mut warnings = Vec::new();
        let original = merge::last_applied(&live).unwrap_or_else(|| {
            warnings.push(missing_annotation());
            Value::Null
        });
        let merged = merge::three_way(&original, &self.wanted, &live, Lists::of_group(&self.resource.group));
        if merged == live {
            return Ok((Outcome::Unchanged, warnings));
        }
        let answer = server.replace(&format!("{path}{query}"), &merged).await?;
        let outcome = if same_version(&live, &answer) { Outcome::Unchanged } else { Outcome::Configured };
        warnings.extend(answer.warnings);
        Ok((outcome, warnings))
    }
}

/// The server wrote nothing: what was asked for is what its defaults already made of it.
fn same_version(live: &Value, answer: &Answer) -> bool {
    live["metadata"]["resourceVersion"] == answer.object["metadata"]["resourceVersion"]
}

fn left_out(manifest: &Manifest, resources: &Resources) -> String {
    let (kind, name, version) = (manifest.kind(), manifest.name(), manifest.api_version());
    let other = resources.version_of(version, kind);
    let hint = other.map(|served| format!(" (it is served in {})", served.api_version())).unwrap_or_default();
    let place = manifest.place("kind");
    format!("{place}: {kind} \"{name}\" is left out: no matches for kind \"{kind}\" in version \"{version}\"{hint}")
}

fn replaced(manifest: &Manifest, holds: &Manifest) -> String {
    let (kind, name) = (manifest.kind(), manifest.name());
    format!("{}: {kind} \"{name}\" is also in {}, which holds", manifest.place(""), holds.place(""))
}

fn missing_annotation() -> String {
    format!(
        "the object is missing the {LAST_APPLIED} annotation which is required by apply. \
         The missing annotation will be patched automatically."
    )
}

/// What `--dry-run=client` prints for an object when no server is there to compare with.
pub(crate) fn printed_without_server(manifest: &Manifest) -> String {
    let group = manifest.api_version().split_once('/').map_or("", |(group, _)| group);
    format!("{}/{}", with_group(&manifest.kind().to_lowercase(), group), manifest.name())
}

/// Tries every object without effect. The complaints of those that the server refuses, in order.
pub(crate) async fn check(
    server: &Server,
    applicable: &[Applicable<'_>],
    options: &Options,
) -> Result<(), Vec<String>> {
    let mut complaints = Vec::new();
    let new_namespaces: Vec<&str> = applicable
        .iter()
        .filter(|applicable| applicable.resource.kind == "Namespace")
        .map(|applicable| applicable.manifest.name())
        .collect();
    for applicable in applicable {
        let Err(error) = applicable.apply(server, options, true).await else { continue };
        let namespace = applicable.namespace.as_deref().unwrap_or_default();
        // Its namespace comes with this very apply.
        if error.reason() == "NotFound" && new_namespaces.contains(&namespace) {
            continue;
        }
        complaints.push(applicable.complaint(&error));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::resources::tests::resources;
    use crate::manifest::parse;

    fn options() -> Options {
        Options { namespace: "default".into(), validation: Validation::Strict }
    }

    #[test]
    fn an_unknown_kind_is_warned_about_and_the_rest_goes_on() {
        let manifests = parse(
            "m.yaml",
            "apiVersion: x/v1\nkind: Foo\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n",
        )
        .unwrap();
        let resources = resources();
        let (known, warnings) = Applicable::all(&manifests, &resources, &options());
        assert_eq!(known.iter().map(Applicable::printed).collect::<Vec<_>>(), ["pod/p"]);
        assert_eq!(warnings, ["m.yaml:2: Foo \"a\" is left out: no matches for kind \"Foo\" in version \"x/v1\""]);
    }

    #[test]
    fn a_kind_in_a_version_that_is_not_served_is_told_the_one_that_is() {
        let manifests = parse("m.yaml", "apiVersion: apps/v9\nkind: Deployment\nmetadata: {name: d}\n").unwrap();
        let resources = resources();
        let (known, warnings) = Applicable::all(&manifests, &resources, &options());
        assert!(known.is_empty());
        assert!(
            warnings[0].ends_with("kind \"Deployment\" in version \"apps/v9\" (it is served in apps/v1)"),
            "{warnings:?}"
        );
    }

    #[test]
    fn of_two_manifests_of_one_object_the_later_holds_and_the_other_is_named() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n";
        let manifests = parse("m.yaml", &format!("{pod}---\n{}---\n{pod}", pod.replace("name: p", "name: q"))).unwrap();
        let resources = resources();
        let (known, warnings) = Applicable::all(&manifests, &resources, &options());
        assert_eq!(known.iter().map(|one| one.manifest.place("")).collect::<Vec<_>>(), ["m.yaml:5", "m.yaml:9"]);
        assert_eq!(warnings, ["m.yaml:1: Pod \"p\" is also in m.yaml:9, which holds"]);
    }

    #[test]
    fn what_is_sent_has_its_namespace_and_remembers_the_manifest() {
        let manifests = parse("m.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n").unwrap();
        let resources = resources();
        let (known, _) = Applicable::all(&manifests, &resources, &options());
        assert_eq!(known[0].wanted["metadata"]["namespace"], "default");
        let remembered = known[0].wanted["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        assert!(remembered.contains(r#""namespace":"default""#), "{remembered}");
        assert_eq!(known[0].path(), "/api/v1/namespaces/default/pods/p");
    }

    #[test]
    fn namespaces_come_first() {
        let manifests = parse(
            "m.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: team}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n",
        )
        .unwrap();
        let resources = resources();
        let (known, _) = Applicable::all(&manifests, &resources, &options());
        assert_eq!(known.iter().map(Applicable::printed).collect::<Vec<_>>(), ["namespace/team", "pod/p"]);
    }

    #[test]
    fn a_refused_field_is_told_with_file_and_line() {
        let manifests = parse("m.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  x: 1\n").unwrap();
        let resources = resources();
        let (known, _) = Applicable::all(&manifests, &resources, &options());
        let error = RequestError::Refused(json!({"reason": "Invalid",
            "details": {"causes": [{"field": "spec.x", "message": "Invalid value: 1: expected a string"}]}}));
        assert_eq!(known[0].complaint(&error), "m.yaml:6: Pod \"p\": spec.x: Invalid value: 1: expected a string");
    }
}
