//! `millstream logs`: what the containers of a pod wrote, by pod or by what owns it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use futures_util::AsyncReadExt as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::get::{encode, kind_called};
use crate::kubectl::resources::Resources;
use crate::kubectl::server::{RequestError, Server};
use crate::running::Target;

/// Prints the log of a pod: POD, or KIND/NAME such as deployment/data-consumer.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// POD, or KIND/NAME.
    #[arg(value_name = "POD|KIND/NAME")]
    what: String,
    /// The container, where a pod has several.
    container_name: Option<String>,
    /// The container, where a pod has several.
    #[arg(short, long, conflicts_with = "container_name")]
    container: Option<String>,
    /// The namespace to look in.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Go on as new lines come.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the latest lines; -1 is all.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// The log of the container's run before this one.
    #[arg(short, long)]
    previous: bool,
    /// The time before each line.
    #[arg(long)]
    timestamps: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let server = args.target.server().await?;
    let pod = match args.what.split_once('/') {
        Some((kind, name)) => pod_of(&server, &args, kind, name).await?,
        None => server.get(&format!("{}/{}", pods_path(&args.namespace), encode(&args.what))).await?,
    };
    let container = container(&pod, args.container.as_ref().or(args.container_name.as_ref()));
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let mut query = format!("follow={}", args.follow);
    if args.tail >= 0 {
        query += &format!("&tailLines={}", args.tail);
    }
    for (set, parameter) in [(args.previous, "&previous=true"), (args.timestamps, "&timestamps=true")] {
        query += if set { parameter } else { "" };
    }
    if let Some(container) = container {
        query += &format!("&container={}", encode(&container));
    }
    copy(&server, &format!("{}/{name}/log?{query}", pods_path(&args.namespace))).await?;
    Ok(ExitCode::SUCCESS)
}

fn pods_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}/pods", encode(namespace))
}

/// One pod of what is named: by its selector, the one that is ready first.
async fn pod_of(server: &Server, args: &Args, kind: &str, name: &str) -> Result<Value> {
    let resources = Resources::discover(server).await?;
    let resource = kind_called(&resources, kind)?;
    let object = server.get(&resource.object(Some(&args.namespace), name)).await?;
    if resource.kind == "Pod" {
        return Ok(object);
    }
    let Some(selector) = selector(&object) else {
        bail!("cannot get the logs from {}: logs are of pods", resource.printed())
    };
    let list = server.get(&format!("{}?labelSelector={}", pods_path(&args.namespace), encode(&selector))).await?;
    let mut pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.sort_by_key(|pod| (!is_ready(pod), pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned)));
    let Some(pod) = pods.first() else {
        bail!("timed out waiting for the condition: {}/{name} has no pod", resource.printed())
    };
    if pods.len() > 1 {
        eprintln!("Found {} pods, using pod/{}", pods.len(), pod["metadata"]["name"].as_str().unwrap_or_default());
    }
    Ok(pod.clone())
}

/// A workload's selector as text; a Kafka's pods carry its name.
fn selector(object: &Value) -> Option<String> {
    if object["kind"] == "Kafka" {
        let name = object["metadata"]["name"].as_str()?;
        return Some(format!("strimzi.io/cluster={name},strimzi.io/name={name}-kafka"));
    }
    let selector = &object["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().or_else(|| selector.as_object())?;
    let pairs = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(","))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The container to read: the one named, or the first, with a word when there are others.
fn container(pod: &Value, named: Option<&String>) -> Option<String> {
    if let Some(named) = named {
        return Some(named.clone());
    }
    let containers = pod["spec"]["containers"].as_array()?;
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let first = names.first()?;
    if names.len() > 1 {
        eprintln!("Defaulted container \"{first}\" out of: {}", names.join(", "));
    }
    Some((*first).to_owned())
}

async fn copy(server: &Server, path: &str) -> Result<()> {
    let request = http::Request::get(path).body(Vec::new())?;
    let stream = match server.client().request_stream(request).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(status)) => return Err(RequestError::Refused(serde_json::to_value(status)?).into()),
        Err(error) => return Err(error.into()),
    };
    let mut stream = std::pin::pin!(stream);
    let mut stdout = tokio::io::stdout();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let written = async {
            stdout.write_all(&buffer[..read]).await?;
            stdout.flush().await
        };
        match written.await {
            // Whoever read has enough (`| head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_found_by_what_selects_them() {
        let deployment = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "1", "b": "2"}}}});
        assert_eq!(selector(&deployment).as_deref(), Some("a=1,b=2"));
        assert_eq!(selector(&json!({"kind": "Service", "spec": {"selector": {"a": "1"}}})).as_deref(), Some("a=1"));
        let kafka = json!({"kind": "Kafka", "metadata": {"name": "amm"}});
        assert_eq!(selector(&kafka).as_deref(), Some("strimzi.io/cluster=amm,strimzi.io/name=amm-kafka"));
        assert_eq!(selector(&json!({"kind": "ConfigMap"})), None);
    }
}
