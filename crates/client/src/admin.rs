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
        let mut answers: Vec<(K, Option<Result<V, Error>>)> = keys.iter().map(|key| (key.clone(), None)).collect();
        let mut failures = 0;
        loop {
            let open: Vec<K> =
                answers.iter().filter(|(_, answer)| is_open(answer)).map(|(key, _)| key.clone()).collect();
            if open.is_empty() {
                break;
            }
            for (key, answer) in self.cluster.retry(what, || attempt(open.clone())).await? {
                let found = answers.iter_mut().find(|(asked, held)| *asked == key && is_open(held));
                if let Some((_, slot)) = found {
                    *slot = Some(answer);
                }
            }
            let again = answers.iter().find_map(|(_, answer)| match answer {
                Some(Err(error)) if is_open(answer) => Some(error.clone()),
                None => Some(Error::kafka(ErrorCode::UnknownServerError, Some("the answer names it not"))),
                _ => None,
            });
            let Some(error) = again else { break };
            failures += 1;
            if self.cluster.pause(failures, deadline, what, error).await.is_err() {
                break;
            }
        }
        let unanswered = || Err(Error::kafka(ErrorCode::UnknownServerError, Some("the broker's answer left it out")));
        Ok(answers.into_iter().map(|(key, answer)| (key, answer.unwrap_or_else(unanswered))).collect())
    }
}

/// Whether to ask again. That a topic is unknown is an answer here, though a producer would wait for it.
fn is_open<V>(answer: &Option<Result<V, Error>>) -> bool {
    match answer {
        None => true,
        Some(Ok(_)) => false,
        Some(Err(error)) => error.is_retriable() && error.code() != Some(ErrorCode::UnknownTopicOrPartition),
    }
}
