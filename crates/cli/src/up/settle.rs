//! From manifests to "all is ready", in two waits: first for what has an address, then for the pods, whose probes may take
//! their time while their logs can be read already. `up` does it in the foreground and in the background alike.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::addresses::{self, Address};
use super::progress::Progress;
use super::ready::{self, State};
use crate::commands::apply::{Applied, Mode, apply_all};
use crate::kubectl::apply::{Options, Validation};
use crate::kubectl::server::Server;
use crate::manifest::Manifest;
use crate::running::Running;

/// How often what is waited for is looked at: often at first, then as it takes longer.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// After this long `up` goes on and says what it still waits for: the logs tell more.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Applies the manifests.
///
/// # Errors
/// A manifest was refused; each complaint is on stderr.
pub(crate) async fn apply(server: &Server, manifests: &[Manifest]) -> Result<Vec<Applied>> {
    let options = Options { namespace: "default".into(), validation: Validation::Strict };
    match apply_all(server, manifests, &options, Mode::Apply).await? {
        Some(applied) => Ok(applied),
        None => bail!("nothing was applied"),
    }
}

/// Waits until all of `applied` that is not ready by being there is ready, or `limit` has passed, which is said; warns of fields without effect.
///
/// # Errors
/// Something will never be ready as it is written.
pub(crate) async fn ready(
    server: &Server,
    applied: &[Applied],
    progress: fn(usize) -> Progress,
    limit: Option<Duration>,
) -> Result<()> {
    let applied: Vec<&Applied> = applied.iter().filter(|object| ready::may_wait(&object.kind)).collect();
    let mut progress = progress(applied.len());
    let started = Instant::now();
    let mut ready = HashSet::new();
    loop {
        let is_over = limit.is_some_and(|limit| started.elapsed() >= limit);
        let mut waiting = None;
        for object in &applied {
            if ready.contains(&object.path) {
                continue;
            }
            // What somebody deleted meanwhile is not waited for.
            let live = server.find(&object.path).await?;
            let state = match &live {
                Some(live) => state(server, object, live).await?,
                None => State::Ready,
            };
            if state == State::Ready || is_over {
                warn(&progress, object, live.as_ref());
            }
            match state {
                State::Failed(why) => bail!("{}: {why}", object.printed),
                State::Ready => {
                    progress.ready(&object.printed);
                    ready.insert(object.path.clone());
                }
                State::Waiting(why) if is_over => {
                    let why = if why.is_empty() { why } else { format!(": {why}") };
                    progress.say(&format!("still waiting for {}{why}", object.printed));
                }
                State::Waiting(why) => {
                    waiting.get_or_insert((&object.printed, why));
                }
            }
        }
        let Some((printed, why)) = waiting else { return Ok(()) };
        progress.waiting(ready.len(), printed, &why);
        sleep((started.elapsed() / 20).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX)).await;
    }
}

async fn state(server: &Server, applied: &Applied, object: &Value) -> Result<State> {
    let state = ready::state(object);
    if !ready::has_pods(&applied.kind) || state == State::Ready {
        return Ok(state);
    }
    let selector = &object["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().or_else(|| selector.as_object());
    let (Some(labels), Some(namespace)) = (labels, object["metadata"]["namespace"].as_str()) else { return Ok(state) };
    let pods = server.get(&format!("/api/v1/namespaces/{namespace}/pods")).await?;
    let mine = |pod: &&Value| labels.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
    let trouble = pods["items"].as_array().into_iter().flatten().filter(mine).find_map(ready::trouble);
    Ok(trouble.map_or(state, State::Waiting))
}

/// Legal fields that have no effect, from the status of what was applied.
fn warn(progress: &Progress, applied: &Applied, live: Option<&Value>) {
    if !applied.api_version.starts_with("kafka.strimzi.io/") {
        return;
    }
    for warning in live.into_iter().flat_map(ready::warnings) {
        progress.say(&format!("Warning: {}: {warning}", applied.printed));
    }
}

/// Where everything is reached, as text for stdout.
pub(crate) async fn reachable(server: &Server, running: &Running) -> Result<String> {
    let items = async |path: &str| -> Result<Vec<Value>> {
        let mut list = server.get(path).await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    };
    let mut all = addresses::of_kafkas(&items("/apis/kafka.strimzi.io/v1beta2/kafkas").await?);
    all.extend(addresses::of_services(&items("/api/v1/services").await?));
    if let Some(routes) = running.routes {
        all.extend(addresses::of_routes(&items("/apis/route.openshift.io/v1/routes").await?, routes.port()));
    }
    all.push(Address::new("kubectl", format!("export KUBECONFIG={}", running.kubeconfig.display())));
    Ok(addresses::render(&all))
}
