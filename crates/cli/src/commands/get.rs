//! `millstream get`: objects of a running `up`, printed as kubectl prints them.
//!
//! `get KIND`, `get KIND NAME…`, `get KIND/NAME…`, several kinds by commas, categories such as `all`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::kubectl::resources::{Resource, Resources};
use crate::kubectl::server::{RequestError, Server};
use crate::kubectl::table::{self, Layout};
use crate::kubectl::{merge, yaml};
use crate::running::Target;

/// Prints objects: pods, kafka, kafkatopic, deployments, services, routes, configmaps …
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// KIND, KIND NAME…, KIND/NAME…, or several kinds as KIND,KIND.
    #[arg(required = true, value_name = "KIND|KIND/NAME")]
    what: Vec<String>,
    /// The namespace to look in.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Look in all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Only objects with these labels, such as `app=data-consumer,tier!=test`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// A column with the labels.
    #[arg(long)]
    show_labels: bool,
    /// No line of headers.
    #[arg(long)]
    no_headers: bool,
    /// A missing object is no error.
    #[arg(long)]
    ignore_not_found: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table with more columns.
    Wide,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// KIND/NAME, a line each.
    Name,
}

/// One thing asked for: a kind, and a name or all.
struct Request<'r> {
    resource: &'r Resource,
    name: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let server = args.target.server().await?;
    let resources = Resources::discover(&server).await?;
    let requests = requests(&resources, &args.what)?;
    let mut printed = Printed::default();
    match args.output {
        None | Some(Output::Wide) => tables(&server, &args, &requests, &mut printed).await,
        Some(output) => objects(&server, &args, &requests, output, &mut printed).await,
    }
    print!("{}", printed.text);
    for complaint in &printed.complaints {
        eprintln!("{complaint}");
    }
    Ok(if printed.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Printed {
    text: String,
    complaints: Vec<String>,
}

/// Reads what was asked for as kubectl does.
fn requests<'r>(resources: &'r Resources, what: &[String]) -> Result<Vec<Request<'r>>> {
    if what.iter().any(|word| word.contains('/')) {
        return what
            .iter()
            .map(|word| match word.split_once('/') {
                Some((kind, name)) => {
                    Ok(Request { resource: kind_called(resources, kind)?, name: Some(name.to_owned()) })
                }
                None => bail!(
                    "there is no need to specify a resource type as a separate argument when passing arguments in \
                     resource/name form (e.g. 'millstream get resource/<resource_name>' instead of 'millstream get \
                     resource resource/<resource_name>'"
                ),
            })
            .collect();
    }
    let mut kinds = Vec::new();
    for word in what[0].split(',').filter(|word| !word.is_empty()) {
        let category = resources.in_category(word);
        if category.is_empty() {
            kinds.push(kind_called(resources, word)?);
        } else {
            kinds.extend(category);
        }
    }
    let names = &what[1..];
    let mut requests = Vec::new();
    for resource in kinds {
        if names.is_empty() {
            requests.push(Request { resource, name: None });
        }
        requests.extend(names.iter().map(|name| Request { resource, name: Some(name.clone()) }));
    }
    Ok(requests)
}

pub(super) fn kind_called<'r>(resources: &'r Resources, kind: &str) -> Result<&'r Resource> {
    match resources.called(kind) {
        Some(resource) => Ok(resource),
        None => bail!("the server doesn't have a resource type \"{kind}\""),
    }
}

impl Args {
    fn path(&self, request: &Request<'_>) -> String {
        let namespace = (!self.all_namespaces).then_some(self.namespace.as_str());
        match &request.name {
            Some(name) => request.resource.object(namespace, name),
            None => match &self.selector {
                Some(selector) => {
                    format!("{}?labelSelector={}", request.resource.collection(namespace), encode(selector))
                }
                None => request.resource.collection(namespace),
            },
        }
    }

    fn nothing_found(&self, requests: &[Request<'_>]) -> String {
        let namespaced = requests.iter().any(|request| request.resource.namespaced);
        if namespaced && !self.all_namespaces {
            format!("No resources found in {} namespace.", self.namespace)
        } else {
            "No resources found".to_owned()
        }
    }

    /// A missing object is a complaint unless the user said otherwise.
    fn complain(&self, error: &RequestError, printed: &mut Printed) {
        if !(self.ignore_not_found && error.reason() == "NotFound") {
            printed.complaints.push(error.to_string());
        }
    }
}

/// A query's value in a URL.
pub(super) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

async fn tables(server: &Server, args: &Args, requests: &[Request<'_>], printed: &mut Printed) {
    let several_kinds = requests.iter().any(|request| request.resource != requests[0].resource);
    let mut blocks: Vec<(&Resource, Value)> = Vec::new();
    for request in requests {
        match server.table(&args.path(request)).await {
            Ok(table) => match blocks.last_mut() {
                // Objects of one kind asked for by name make one table.
                Some((resource, block)) if *resource == request.resource => {
                    let rows = table["rows"].as_array().cloned().unwrap_or_default();
                    if let Some(all) = block["rows"].as_array_mut() {
                        all.extend(rows);
                    }
                }
                _ => blocks.push((request.resource, table)),
            },
            Err(error) => args.complain(&error, printed),
        }
    }
    for (resource, table) in &blocks {
        let layout = Layout {
            wide: args.output == Some(Output::Wide),
            with_namespace: args.all_namespaces && resource.namespaced,
            show_labels: args.show_labels,
            kind: several_kinds.then(|| resource.printed()),
            no_headers: args.no_headers,
        };
        let text = table::render(table, &layout);
        if !text.is_empty() && !printed.text.is_empty() {
            printed.text.push('\n');
        }
        printed.text.push_str(&text);
    }
    if printed.text.is_empty() && printed.complaints.is_empty() && !args.ignore_not_found {
        eprintln!("{}", args.nothing_found(requests));
    }
}

async fn objects(server: &Server, args: &Args, requests: &[Request<'_>], output: Output, printed: &mut Printed) {
    let mut found: Vec<(&Resource, Value)> = Vec::new();
    for request in requests {
        match server.get(&args.path(request)).await {
            Ok(object) if request.name.is_some() => found.push((request.resource, object)),
            Ok(mut list) => {
                let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
                found.extend(items.into_iter().map(|item| (request.resource, with_type(item, request.resource))));
            }
            Err(error) => args.complain(&error, printed),
        }
    }
    if output == Output::Name {
        for (resource, object) in &found {
            printed.text +=
                &format!("{}/{}\n", resource.printed(), object["metadata"]["name"].as_str().unwrap_or_default());
        }
        return;
    }
    let single = requests.len() == 1 && requests[0].name.is_some();
    if found.is_empty() && (single || !printed.complaints.is_empty()) {
        return;
    }
    let value = if single { found.swap_remove(0).1 } else { list(found) };
    printed.text = match output {
        Output::Yaml => yaml::render(&value),
        _ => format!("{}\n", indented_json(&merge::sorted(&value))),
    };
}

/// Items of a list carry no type of their own.
fn with_type(mut item: Value, resource: &Resource) -> Value {
    item["apiVersion"] = json!(resource.api_version());
    item["kind"] = json!(resource.kind);
    item
}

fn list(found: Vec<(&Resource, Value)>) -> Value {
    let items: Vec<Value> = found.into_iter().map(|(_, object)| object).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})
}

/// JSON with kubectl's indentation of four.
fn indented_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a JSON value can be written to memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::resources::tests::resources;

    #[track_caller]
    fn check(what: &[&str], expected: &[(&str, Option<&str>)]) {
        let what: Vec<String> = what.iter().map(|word| (*word).to_owned()).collect();
        let resources = resources();
        let found = requests(&resources, &what).unwrap();
        let found: Vec<_> = found.iter().map(|r| (r.resource.kind.as_str(), r.name.as_deref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_asked_for_reads_as_with_kubectl() {
        check(&["po"], &[("Pod", None)]);
        check(&["po", "a", "b"], &[("Pod", Some("a")), ("Pod", Some("b"))]);
        check(
            &["po/a", "deploy.apps/b"].map(|w| if w == "deploy.apps/b" { "deployment/b" } else { w }),
            &[("Pod", Some("a")), ("Deployment", Some("b"))],
        );
        check(&["po,kafka"], &[("Pod", None), ("Kafka", None)]);
        check(&["all"], &[("Pod", None), ("Deployment", None)]);
    }

    #[test]
    fn an_unknown_kind_gets_kubectls_answer() {
        let error = requests(&resources(), &["foo".to_owned()]).err().unwrap();
        assert_eq!(error.to_string(), "the server doesn't have a resource type \"foo\"");
    }

    #[test]
    fn json_is_indented_by_four() {
        assert_eq!(indented_json(&json!({"a": [1]})), "{\n    \"a\": [\n        1\n    ]\n}");
    }
}
