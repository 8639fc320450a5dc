//! Positions: looked up where a partition has none, committed, and asked about.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{CommittedOffset, Consumer, Event, Mode, PartitionState};
use crate::backoff::backoff;
use crate::cluster::Cluster;
use crate::config::IsolationLevel;
use crate::group_offsets::CommitAs;
use crate::list_offsets::{ListedOffset, OffsetSpec};
use crate::{Error, ErrorCode, TopicPartition};

/// A position that was found.
pub(super) struct Located {
    partition: TopicPartition,
    /// As it was asked for, so that a seek in the meantime is noticed.
    asked: Option<OffsetSpec>,
    position: i64,
    epoch: Option<i32>,
}

/// A lookup of positions; owned, because it outlives the `poll` that began it.
struct Locate {
    cluster: Arc<Cluster>,
    group: Option<String>,
    policy: Option<OffsetSpec>,
    isolation_level: IsolationLevel,
    wanted: Vec<(TopicPartition, Option<OffsetSpec>)>,
}

impl Locate {
    /// One attempt; what is missing from the answer is to be looked up again.
    async fn run(self) -> Result<Vec<Located>, Error> {
        let mut located = Vec::new();
        let committed = self.committed().await?;
        let mut asked = Vec::new();
        let mut nowhere = Vec::new();
        for (partition, spec) in self.wanted {
            match (spec.or(self.policy), committed.get(&partition)) {
                (_, Some(held)) => {
                    let (position, epoch) = (held.offset, held.leader_epoch);
                    located.push(Located { partition, asked: spec, position, epoch });
                }
                (Some(at), None) => asked.push((partition, spec, at)),
                (None, None) => nowhere.push(partition),
            }
        }
        if !nowhere.is_empty() {
            return Err(Error::NoOffset(nowhere));
        }
        if asked.is_empty() {
            return Ok(located);
        }
        let specs: Vec<_> = asked.iter().map(|(partition, _, at)| (partition.clone(), *at)).collect();
        for (partition, answer) in self.cluster.list_offsets(&specs, self.isolation_level).await? {
            let Some((_, spec, _)) = asked.iter().find(|(one, ..)| *one == partition) else { continue };
            match answer {
                Ok(listed) => {
                    let epoch = (listed.leader_epoch >= 0).then_some(listed.leader_epoch);
                    located.push(Located { partition, asked: *spec, position: listed.offset, epoch });
                }
                Err(error) if error.is_retriable() => tracing::debug!("position of {partition}: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(located)
    }

    /// The committed offsets of partitions that are not to be looked for elsewhere.
    async fn committed(&self) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let wanted = self.wanted.iter().filter(|(_, spec)| spec.is_none());
        let wanted: Vec<_> = wanted.map(|(partition, _)| partition.clone()).collect();
        match &self.group {
            Some(group) if !wanted.is_empty() => self.cluster.fetch_offsets(group, Some(&wanted), true).await,
            _ => Ok(BTreeMap::new()),
        }
    }
}

impl Consumer {
    /// Looks up the positions that are missing.
    pub(super) fn start_locating(&mut self) {
        let missing = self.partitions.iter().filter(|(_, state)| state.position.is_none());
        let wanted: Vec<_> = missing.map(|(partition, state)| (partition.clone(), state.reset)).collect();
        if self.locating || wanted.is_empty() {
            return;
        }
        self.locating = true;
        let locate = Locate {
            cluster: self.cluster.clone(),
            group: self.config.group_id.clone(),
            policy: self.reset_policy(),
            isolation_level: self.config.isolation_level,
            wanted,
        };
        let client = &self.config.client;
        let failures = self.locate_failures;
        let wait = backoff(client.retry_backoff, client.retry_backoff_max, failures, failures.into());
        self.events.push(
            async move {
                if failures > 0 {
                    tokio::time::sleep(wait).await;
                }
                Event::Located(locate.run().await)
            }
            .boxed(),
        );
    }

    pub(super) fn take_located(&mut self, located: Result<Vec<Located>, Error>) -> Result<(), Error> {
        self.locating = false;
        self.locate_failures += 1;
        let located = match located {
            Ok(located) => located,
            Err(error) if error.is_retriable() => {
                if let (Some(group), Some(ErrorCode::NotCoordinator)) = (&self.config.group_id, error.code()) {
                    self.cluster.forget_coordinator(group);
                }
                tracing::debug!("positions: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for Located { partition, asked, position, epoch } in located {
            if let Some(state) = self.partitions.get_mut(&partition)
                && state.position.is_none()
                && state.reset == asked
            {
                (state.position, state.epoch, state.reset) = (Some(position), epoch, None);
                self.locate_failures = 0;
            }
        }
        Ok(())
    }

    /// Offset of the next record that `poll` would return; looked up when it is not known yet.
    pub async fn position(&mut self, partition: &TopicPartition) -> Result<i64, Error> {
        let deadline = Instant::now() + self.config.client.api_timeout;
        loop {
            if let Some(position) = self.state_mut(partition)?.position {
                return Ok(position);
            }
            self.advance()?;
            if !self.wait(Some(deadline)).await? {
                let what = format!("the position of {partition}");
                return Err(Error::Timeout { what, after: self.config.client.api_timeout });
            }
        }
    }

    /// Where all partitions stand whose position is known.
    pub(super) fn positions(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let position = |state: &PartitionState| {
            let leader_epoch = state.epoch;
            Some(CommittedOffset { leader_epoch, ..CommittedOffset::new(state.position?) })
        };
        let known = self.partitions.iter().filter_map(|(partition, state)| Some((partition.clone(), position(state)?)));
        known.collect()
    }

    /// Commits the positions: everything that `poll` has returned.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let positions = self.positions();
        self.commit_offsets(&positions).await
    }

    /// Commits offsets of one's own: the next ones to read.
    pub async fn commit_offsets(&mut self, offsets: &BTreeMap<TopicPartition, CommittedOffset>) -> Result<(), Error> {
        let (group, who) = self.committer()?;
        if offsets.is_empty() {
            return Ok(());
        }
        let (cluster, who) = (&self.cluster, &who);
        cluster.retry("commit", || commit_once(cluster, group, who, offsets).boxed()).await
    }

    fn committer(&self) -> Result<(&str, CommitAs), Error> {
        let membership = self.membership.as_ref();
        let none =
            Error::IllegalState("To commit offsets, you must provide a valid group.id in the consumer configuration.");
        let membership = membership.ok_or(none)?;
        let who = if self.mode == Mode::Assigned { CommitAs::admin() } else { membership.commit_as() };
        if matches!(self.mode, Mode::Subscribed(_)) && who.generation < 0 {
            return Err(Error::LeftGroup("offsets can be committed once it has joined".to_owned()));
        }
        Ok((&membership.group, who))
    }

    /// Commits in the background when the interval has passed.
    pub(super) fn start_auto_commit(&mut self) {
        let due = self.config.enable_auto_commit && Instant::now() >= self.next_auto_commit;
        if !due || self.committing {
            return;
        }
        self.next_auto_commit = Instant::now() + self.config.auto_commit_interval;
        let offsets = self.positions();
        let Ok((group, who)) = self.committer() else { return };
        if offsets.is_empty() {
            return;
        }
        let (cluster, group) = (self.cluster.clone(), group.to_owned());
        self.committing = true;
        let commit = async move { Event::Committed(commit_once(&cluster, &group, &who, &offsets).await) };
        self.events.push(commit.boxed());
    }

    /// What the group has committed for these partitions; those without are left out.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let group = self.config.group_id.as_deref();
        let group = group.ok_or(Error::IllegalState("committed offsets need a group.id"))?;
        let cluster = &self.cluster;
        cluster.retry("committed", || cluster.fetch_offsets(group, Some(partitions), true).boxed()).await
    }

    /// The first offsets of partitions.
    pub async fn beginning_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        self.offsets_at(partitions, OffsetSpec::Earliest).await
    }

    /// The ends of partitions: the last stable offsets when only committed records are read.
    pub async fn end_offsets(&mut self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        self.offsets_at(partitions, OffsetSpec::Latest).await
    }

    async fn offsets_at(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        let listed = self.list_all(&asked).await?;
        Ok(listed.into_iter().map(|(partition, listed)| (partition, listed.offset)).collect())
    }

    /// For each partition the first record whose timestamp, in ms, is not before the given one; left out when there is
    /// none.
    pub async fn offsets_for_times(
        &mut self,
        times: &[(TopicPartition, i64)],
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, Error> {
        let asked: Vec<_> =
            times.iter().map(|(partition, time)| (partition.clone(), OffsetSpec::Timestamp(*time))).collect();
        let mut listed = self.list_all(&asked).await?;
        listed.retain(|_, listed| listed.offset >= 0);
        Ok(listed)
    }

    async fn list_all(
        &mut self,
        asked: &[(TopicPartition, OffsetSpec)],
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, Error> {
        let (cluster, level) = (&self.cluster, self.config.isolation_level);
        let attempt = || {
            async move {
                let answers = cluster.list_offsets(asked, level).await?;
                answers.into_iter().map(|(partition, answer)| answer.map(|listed| (partition, listed))).collect()
            }
            .boxed()
        };
        cluster.retry("offsets", attempt).await
    }
}

/// One attempt; a place that was lost is an error of its own.
pub(super) async fn commit_once(
    cluster: &Cluster,
    group: &str,
    who: &CommitAs,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<(), Error> {
    for (_, answer) in cluster.commit_offsets(group, who, offsets).await? {
        let Err(error) = answer else { continue };
        return Err(match error.code() {
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress) => {
                Error::LeftGroup(format!("its offsets were not committed ({error})"))
            }
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                cluster.forget_coordinator(group);
                error
            }
            _ => error,
        });
    }
    Ok(())
}
