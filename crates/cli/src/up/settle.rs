//! From manifests to "all is ready": applies, waits, and prints the warnings and addresses. `up` does it in the foreground and
//! in the background alike.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::Instant;

use super::addresses::{self, Address};
use super::progress::Progress;
use super::ready::{self, State};
use crate::commands::apply::{Applied, Mode, apply_all};
use crate::kubectl::apply::{Options, Validation};
use crate::kubectl::server::Server;
use crate::manifest::Manifest;
use crate::running::Running;

/// How often what is waited for is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// After this long `up` goes on and says what it still waits for: the logs tell more.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Applies the manifests and waits until what they describe is ready.
///
/// # Errors
/// A manifest was refused (each complaint is on stderr), or something will never be ready as it is written.
pub(crate) async fn settle(server: &Server, manifests: &[Manifest]) -> Result<()> {
    let options = Options { namespace: "default".into(), validation: Validation::Strict };
    let Some(applied) = apply_all(server, manifests, &options, Mode::Apply).await? else {
        bail!("nothing was applied")
    };
    let progress = Progress::new(applied.len());
    let waited = wait(server, &applied, &progress).await;
    progress.done();
    for (printed, why) in waited? {
        eprintln!("still waiting for {printed}{}", if why.is_empty() { String::new() } else { format!(": {why}") });
    }
    warn(server, &applied).await
}

/// Waits for everything; what is not ready in time, and why.
async fn wait(server: &Server, applied: &[Applied], progress: &Progress) -> Result<Vec<(String, String)>> {
    let deadline = Instant::now() + WAIT_LIMIT;
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let mut ready = HashSet::new();
    loop {
        look.tick().await;
        let mut waiting = Vec::new();
        for object in applied {
            if ready.contains(&object.path) {
                continue;
            }
            match state(server, object).await? {
                State::Ready => {
                    progress.ready(&object.printed);
                    ready.insert(object.path.clone());
                }
                State::Waiting(why) => waiting.push((object.printed.clone(), why)),
                State::Failed(why) => bail!("{}: {why}", object.printed),
            }
        }
        match waiting.first() {
            None => return Ok(waiting),
            Some(_) if Instant::now() >= deadline => return Ok(waiting),
            Some((printed, why)) => progress.waiting(ready.len(), printed, why),
        }
    }
}

async fn state(server: &Server, applied: &Applied) -> Result<State> {
    let Some(object) = server.find(&applied.path).await? else { return Ok(State::Waiting("it is gone".into())) };
    let state = ready::state(&object);
    if applied.kind != "Deployment" || state == State::Ready {
        return Ok(state);
    }
    let Some(labels) = object["spec"]["selector"]["matchLabels"].as_object() else { return Ok(state) };
    let (pods, _) = applied.path.split_once("/deployments/").unwrap_or((&applied.path, ""));
    let pods = server.get(&format!("{}/pods", pods.replacen("/apis/apps/v1", "/api/v1", 1))).await?;
    let mine = |pod: &&Value| labels.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
    let trouble = pods["items"].as_array().into_iter().flatten().filter(mine).find_map(ready::trouble);
    Ok(trouble.map_or(state, State::Waiting))
}

/// Legal fields that have no effect, from the status of what was applied.
async fn warn(server: &Server, applied: &[Applied]) -> Result<()> {
    for object in applied.iter().filter(|object| object.api_version.starts_with("kafka.strimzi.io/")) {
        if let Some(live) = server.find(&object.path).await? {
            for warning in ready::warnings(&live) {
                eprintln!("Warning: {}: {warning}", object.printed);
            }
        }
    }
    Ok(())
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
