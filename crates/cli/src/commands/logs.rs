//! `millstream logs`: what the containers of pods wrote, by pod, by what owns it, or by labels.
//!
//! One log is a stream of lines. Several are printed one after the other; followed, they are printed as their lines come.

use std::io;
use std::process::ExitCode;

use anyhow::{Result, bail};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use futures_util::{AsyncBufRead, AsyncBufReadExt as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::get::{encode, kind_called};
use crate::kubectl::resources::Resources;
use crate::kubectl::server::{RequestError, Server};
use crate::running::Target;

/// Lines of each pod when several are asked for by their labels (kubectl's number).
const SELECTED_LINES: i64 = 10;
/// Lines that are written at once when so many are there.
const LINES_AT_ONCE: usize = 256;

/// Prints logs: of POD, of KIND/NAME such as deployment/data-consumer, or of the pods with some labels.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// POD, or KIND/NAME.
    #[arg(value_name = "POD|KIND/NAME")]
    what: Option<String>,
    /// The container, where a pod has several.
    container_name: Option<String>,
    /// The container, where a pod has several.
    #[arg(short, long, conflicts_with = "container_name")]
    container: Option<String>,
    /// All containers of the pod.
    #[arg(long, conflicts_with_all = ["container", "container_name"])]
    all_containers: bool,
    /// The pods with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// The namespace to look in.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Go on as new lines come.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the latest lines; -1 is all. With labels the default is 10.
    #[arg(long, allow_negative_numbers = true)]
    tail: Option<i64>,
    /// The log of the container's run before this one.
    #[arg(short, long)]
    previous: bool,
    /// The time before each line.
    #[arg(long)]
    timestamps: bool,
    /// The pod and the container before each line.
    #[arg(long)]
    prefix: bool,
}

/// One container whose log is printed.
struct Source {
    pod: String,
    container: String,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let server = args.target.server().await?;
    let pods = pods(&server, &args).await?;
    let mut sources = Vec::new();
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let source = |container: String| Source { pod: name.to_owned(), container };
        sources.extend(containers(pod, &args)?.into_iter().map(source));
    }
    let mut logs = Vec::new();
    for source in &sources {
        logs.push(open(&server, source, &args).await?);
    }
    let lines = if args.follow { stream::select_all(logs).boxed() } else { stream::iter(logs).flatten().boxed() };
    print(lines).await?;
    Ok(ExitCode::SUCCESS)
}

/// The pods that are meant.
async fn pods(server: &Server, args: &Args) -> Result<Vec<Value>> {
    let Some(selector) = &args.selector else {
        let Some(what) = &args.what else {
            bail!(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for \
                 the logs command"
            )
        };
        let pod = match what.split_once('/') {
            Some((kind, name)) => pod_of(server, args, kind, name).await?,
            None => find(server, &format!("{}/{}", pods_path(&args.namespace), encode(what)), &args.namespace).await?,
        };
        return Ok(vec![pod]);
    };
    if args.what.is_some() {
        bail!("only a selector (-l) or a POD name is allowed");
    }
    let pods = selected(server, &args.namespace, selector).await?;
    if pods.is_empty() {
        eprintln!("No resources found in {} namespace.", args.namespace);
    }
    Ok(pods)
}

/// An object; that there is none is said in the words of `kubectl logs`, which are not those of `kubectl get`.
async fn find(server: &Server, path: &str, namespace: &str) -> Result<Value> {
    match server.get(path).await {
        Err(RequestError::Refused(status)) if status["reason"] == "NotFound" => {
            let message = status["message"].as_str().unwrap_or_default();
            bail!("error from server (NotFound): {message} in namespace \"{namespace}\"")
        }
        other => Ok(other?),
    }
}

async fn selected(server: &Server, namespace: &str, selector: &str) -> Result<Vec<Value>> {
    let mut list = server.get(&format!("{}?labelSelector={}", pods_path(namespace), encode(selector))).await?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

fn pods_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}/pods", encode(namespace))
}

/// One pod of what is named: by its selector, the one that is ready first.
async fn pod_of(server: &Server, args: &Args, kind: &str, name: &str) -> Result<Value> {
    let resources = Resources::discover(server).await?;
    let resource = kind_called(&resources, kind)?;
    let object = find(server, &resource.object(Some(&args.namespace), name), &args.namespace).await?;
    if resource.kind == "Pod" {
        return Ok(object);
    }
    let Some(selector) = selector(&object) else {
        let kind = format!("*{}.{}", resource.version, resource.kind);
        bail!("cannot get the logs from {kind}: selector for {kind} not implemented")
    };
    let mut pods = selected(server, &args.namespace, &selector).await?;
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

/// The containers to read: the one named, all, or the first, with a word when there are others.
fn containers(pod: &Value, args: &Args) -> Result<Vec<String>> {
    let of = |group: &str| {
        let all = pod["spec"][group].as_array().into_iter().flatten();
        all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let (init, main) = (of("initContainers"), of("containers"));
    if let Some(named) = args.container.as_ref().or(args.container_name.as_ref()) {
        if !init.contains(named) && !main.contains(named) {
            bail!("container {named} is not valid for pod {}", pod["metadata"]["name"].as_str().unwrap_or_default());
        }
        return Ok(vec![named.clone()]);
    }
    if args.all_containers {
        return Ok([init, main].concat());
    }
    let all = [main, init].concat();
    if all.len() > 1 {
        eprintln!("Defaulted container \"{}\" out of: {}", all[0], all.join(", "));
    }
    Ok(all.into_iter().take(1).collect())
}

/// The lines of one container's log, each with its end, as the server sends them.
async fn open(server: &Server, source: &Source, args: &Args) -> Result<BoxStream<'static, io::Result<Vec<u8>>>> {
    let Source { pod, container } = source;
    let mut query = format!("follow={}&container={}", args.follow, encode(container));
    let tail = args.tail.unwrap_or(if args.selector.is_some() { SELECTED_LINES } else { -1 });
    if tail >= 0 {
        query += &format!("&tailLines={tail}");
    }
    for (set, parameter) in [(args.previous, "&previous=true"), (args.timestamps, "&timestamps=true")] {
        query += if set { parameter } else { "" };
    }
    let path = format!("{}/{pod}/log?{query}", pods_path(&args.namespace));
    let request = http::Request::get(path).body(Vec::new())?;
    let text = match server.client().request_stream(request).await {
        Ok(text) => text,
        Err(kube::Error::Api(status)) => return Err(RequestError::Refused(serde_json::to_value(status)?).into()),
        Err(error) => return Err(error.into()),
    };
    let prefix = if args.prefix { format!("[pod/{pod}/{container}] ") } else { String::new() };
    Ok(lines(Box::pin(text), prefix))
}

fn lines<R>(text: R, prefix: String) -> BoxStream<'static, io::Result<Vec<u8>>>
where
    R: AsyncBufRead + Unpin + Send + 'static,
{
    let next = |(mut text, prefix): (R, String)| async move {
        let mut line = prefix.clone().into_bytes();
        match text.read_until(b'\n', &mut line).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((line, (text, prefix)))),
            Err(error) => Err(error),
        }
    };
    stream::try_unfold((text, prefix), next).boxed()
}

async fn print(lines: BoxStream<'static, io::Result<Vec<u8>>>) -> Result<()> {
    let mut stdout = tokio::io::stdout();
    let mut ready = lines.ready_chunks(LINES_AT_ONCE);
    while let Some(lines) = ready.next().await {
        let text = lines.into_iter().collect::<io::Result<Vec<_>>>()?.concat();
        let written = async {
            stdout.write_all(&text).await?;
            stdout.flush().await
        };
        match written.await {
            // Whoever read has enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    Ok(())
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

    #[tokio::test]
    async fn lines_keep_their_bytes_and_get_their_prefix() {
        let of = async |text: &'static [u8], prefix: &str| {
            let lines: Vec<_> = lines(futures_util::io::Cursor::new(text), prefix.to_owned()).collect().await;
            lines.into_iter().map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(b"a\n\nlast", "").await, ["a\n", "\n", "last"]);
        assert_eq!(of(b"a\nb\n", "[x] ").await, ["[x] a\n", "[x] b\n"]);
    }
}
