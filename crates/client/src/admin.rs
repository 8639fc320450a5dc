//! `Admin`: topics, configurations, groups, offsets and the cluster itself, as the command-line tools and the topic
//! reconciler need them.
//!
//! Calls repeat while their error is one that time may mend, until `default.api.timeout.ms`. An operation on several
//! things answers thing by thing, in the order asked; its own `Err` means that nothing is known.

mod cluster;
mod configs;
mod groups;
mod offsets;
mod topics;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use cluster::{ClusterDescription, LogDir, LogDirPartition, Reassignment};
pub use configs::{AlterConfigOp, ConfigEntry, ConfigResource, ConfigResourceType, ConfigSource, ConfigSynonym};
pub use groups::{CommittedOffset, GroupDescription, GroupListing, MemberDescription};
pub use offsets::{ListedOffset, OffsetSpec};
pub(crate) use topics::list_topics;
pub use topics::{CreatedTopic, DescribedPartition, NewPartitions, NewTopic, TopicDescription, TopicListing};

use crate::cluster::Cluster;
use crate::{ClientConfig, Error, ErrorCode};

/// One answer per thing that was asked about, in that order.
pub type PerItem<K, V> = Vec<(K, Result<V, Error>)>;

/// An admin client. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Arc<Cluster>,
}

impl Admin {
    /// Reads the configuration; connects when first used.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        Ok(Self { cluster: Arc::new(Cluster::new(config.admin()?.client)) })
    }

    /// How long a broker may take for what it does in the background, in ms.
    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.settings.request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks about `keys`, and again about those whose answer was one that time may mend.
    async fn each<'a, K: Clone + PartialEq, V>(
        &self,
        what: &str,
        keys: &[K],
        attempt: impl Fn(Vec<K>) -> BoxFuture<'a, Result<PerItem<K, V>, Error>>,
    ) -> Result<PerItem<K, V>, Error> {
        let deadline = Instant::now() + self.cluster.settings.api_timeout;
        let left_out = || Err(Error::kafka(ErrorCode::UnknownServerError, Some("the broker's answer left it out")));
        let mut answers: PerItem<K, V> = keys.iter().map(|key| (key.clone(), left_out())).collect();
        let mut open: Vec<usize> = (0..keys.len()).collect();
        let mut failures = 0;
        while !open.is_empty() {
            let asked: Vec<K> = open.iter().map(|i| keys[*i].clone()).collect();
            let round = self.cluster.retry(what, || attempt(asked.clone())).await?;
            let mut round: Vec<_> = round.into_iter().map(Some).collect();
            for (place, i) in open.iter().enumerate() {
                let is_it = |one: &Option<(K, _)>| one.as_ref().is_some_and(|(key, _)| *key == keys[*i]);
                // Brokers answer in the order asked, as a rule.
                let at = if round.get(place).is_some_and(is_it) { Some(place) } else { round.iter().position(is_it) };
                answers[*i].1 = at.and_then(|at| round[at].take()).map_or_else(left_out, |(_, answer)| answer);
            }
            open.retain(|i| answers[*i].1.as_ref().is_err_and(may_mend));
            let Some(Err(error)) = open.first().map(|i| &answers[*i].1) else { break };
            failures += 1;
            if self.cluster.pause(failures, deadline, what, error.clone()).await.is_err() {
                break;
            }
        }
        Ok(answers)
    }
}

/// Whether to ask again. That a topic is unknown is an answer here, though a producer would wait for it.
fn may_mend(error: &Error) -> bool {
    error.is_retriable() && error.code() != Some(ErrorCode::UnknownTopicOrPartition)
}
