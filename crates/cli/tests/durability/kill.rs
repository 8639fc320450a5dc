//! SIGKILL under load: what was acknowledged is there, and nothing is there twice, however often and whenever the broker
//! is killed, during its recovery too.
//!
//! A trial is decided by its seed, which is printed; timing is the machine's. `MILLSTREAM_KILL_TRIALS` says how many
//! trials are run, `MILLSTREAM_KILL_SEED` with which seed the first.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Starter};
use crate::gate::Gate;
use crate::history::{Anomaly, Found};
use crate::reading::everything;
use crate::say;
use crate::workload::{Scene, check_commits};

/// Trials of an ordinary test run.
const TRIALS: u64 = 6;
/// Trials that run at the same time.
const AT_ONCE: u64 = 2;
/// How long producers may take to go on after a restart, and to come to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a trial came to.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    kills: u64,
    kills_in_start: u64,
    acknowledged: u64,
    offsets: u64,
}

/// A broker with clients that are not told when it dies.
struct Trial {
    scene: Scene,
    gate: Gate,
    starter: Starter,
    rng: fastrand::Rng,
    epoch: i32,
    figures: Figures,
}

impl Trial {
    async fn run(seed: u64, directory: &Path) -> (Vec<Anomaly>, Figures) {
        let gate = Gate::open().await;
        let address = gate.address.to_string();
        let starter =
            Starter::new(directory).with(&["--advertised", &address, "--set", "offsets.topic.num.partitions=3"]);
        let scene = Scene { address, history: Default::default(), stop: CancellationToken::new() };
        let rng = fastrand::Rng::with_seed(seed);
        let mut trial = Self { scene, gate, starter, rng, epoch: 0, figures: Figures::default() };
        let broker = trial.starter.start().await;
        trial.gate.lead_to(Some(broker.address));
        trial.scene.make_topics().await;
        let found = trial.kill_under_load(broker).await;
        let history = trial.scene.history();
        trial.figures.acknowledged = history.acknowledged_count() as u64;
        trial.figures.offsets = history.known_count() as u64;
        (history.check(&found), trial.figures)
    }

    /// Kills under load, again and again; then, with the clients at rest, once more. Answers what is there in the end.
    async fn kill_under_load(&mut self, mut broker: Broker) -> Found {
        let mut clients = JoinSet::new();
        let producers = self.scene.start(self.rng.u64(..), &mut clients);
        for _ in 0..self.rng.u32(1..=3) {
            sleep(Duration::from_millis(self.rng.u64(10..500))).await;
            broker = self.kill_and_restart(broker).await;
        }
        self.progress_of(&producers).await;
        self.scene.stop.cancel();
        tokio::time::timeout(PATIENCE, clients.join_all()).await.expect("the clients come to an end");
        // What a reader is shown now is promised as much as what was acknowledged.
        everything(&self.scene).await;
        let broker = self.kill_and_restart(broker).await;
        let found = everything(&self.scene).await;
        assert!(broker.stop().await.success());
        found
    }

    async fn kill_and_restart(&mut self, broker: Broker) -> Broker {
        self.gate.lead_to(None);
        broker.kill().await;
        self.figures.kills += 1;
        while self.rng.u8(0..10) < 4 {
            let starting = self.starter.spawn();
            sleep(Duration::from_micros(self.rng.u64(0..60_000))).await;
            starting.kill().await;
            self.figures.kills_in_start += 1;
        }
        let broker = self.starter.start().await;
        self.gate.lead_to(Some(broker.address));
        let epoch = self.leader_epoch().await;
        self.scene.history().epoch_after_kill(self.epoch, epoch);
        self.epoch = epoch;
        check_commits(&self.scene).await;
        broker
    }

    async fn leader_epoch(&self) -> i32 {
        let (_, topic) = self.scene.admin().describe_topics(&["one"]).await.unwrap().remove(0);
        topic.unwrap().partitions[0].metadata.leader_epoch
    }

    /// Waits until each producer has had an answer since now.
    async fn progress_of(&self, producers: &[u32]) {
        let count = |sender: &u32| self.scene.history().acknowledged_of(*sender);
        let before: Vec<usize> = producers.iter().map(count).collect();
        let deadline = Instant::now() + PATIENCE;
        while producers.iter().zip(&before).any(|(sender, before)| count(sender) <= *before) {
            assert!(Instant::now() < deadline, "not every producer goes on after the restart");
            if !self.scene.history().anomalies.is_empty() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// One trial; a failed one leaves its data directory behind and says where.
fn trial(seed: u64) -> Result<Figures, String> {
    say(&format!("kill -9 trial with MILLSTREAM_KILL_SEED={seed}"));
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = directory.path().to_owned();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(Trial::run(seed, &path))));
    let why = match outcome {
        Ok((anomalies, figures)) if anomalies.is_empty() => return Ok(figures),
        Ok((anomalies, _)) => {
            let first: Vec<String> = anomalies.iter().take(20).map(|anomaly| format!("{anomaly:?}")).collect();
            format!("{} anomalies:\n{}", anomalies.len(), first.join("\n"))
        }
        Err(_) => "it panicked, see above".to_owned(),
    };
    let kept = directory.keep();
    Err(format!("MILLSTREAM_KILL_SEED={seed}: {why}\nits directory is kept: {}", kept.display()))
}

#[test]
fn nothing_acknowledged_is_lost_doubled_or_moved_by_kill_9() {
    let trials = number_from("MILLSTREAM_KILL_TRIALS").unwrap_or(TRIALS);
    let first = number_from("MILLSTREAM_KILL_SEED");
    let trials = if first.is_some() && std::env::var_os("MILLSTREAM_KILL_TRIALS").is_none() { 1 } else { trials };
    let first = first.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= trials {
                return outcomes;
            }
            outcomes.push(trial(first + number));
        }
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE.min(trials)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut sum = Figures::default();
    for figures in outcomes.iter().flatten() {
        sum.kills += figures.kills;
        sum.kills_in_start += figures.kills_in_start;
        sum.acknowledged += figures.acknowledged;
        sum.offsets += figures.offsets;
    }
    let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    say(&format!(
        "{trials} trials, {} failed: {} kills under load, {} kills during a start, {} records acknowledged, \
         {} offsets checked, {} s",
        failures.len(),
        sum.kills,
        sum.kills_in_start,
        sum.acknowledged,
        sum.offsets,
        begun.elapsed().as_secs(),
    ));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
