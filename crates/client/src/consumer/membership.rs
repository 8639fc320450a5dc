//! Membership in a classic group: join, sync, heartbeat, leave.
//!
//! Joining is a future that the consumer's `poll` drives between other things; it repeats until the group is stable, so
//! a `poll` with a short timeout does not lose its place. Between rebalances one task sends heartbeats and reports
//! through a watch; it ends when the `Membership` drops it, and leaves the group when `poll` stays away too long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_protocol::heartbeat::HeartbeatRequest;
use millstream_protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millstream_protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millstream_protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::assignor::{Member, assign};
use crate::backoff::backoff;
use crate::cluster::{Cluster, NEWEST, TopicSelection, topic_error};
use crate::config::{Assignor, ConsumerConfig};
use crate::consumer_protocol::{
    Subscription, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::error::check;
use crate::group_offsets::{CommitAs, CommittedOffset};
use crate::{Error, ErrorCode, TopicPartition};

const PROTOCOL_TYPE: &str = "consumer";
/// What a broker may take beyond the rebalance timeout before a join counts as lost.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// What the heartbeats say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Beat {
    Fine,
    /// The group rebalances.
    Rejoin,
    /// This member is out of the group.
    Lost(String),
    /// It must not come back.
    Fatal(Error),
}

/// What a join needs to know; owned, because the join outlives the `poll` that began it.
pub(super) struct Join {
    pub(super) cluster: Arc<Cluster>,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) group: String,
    pub(super) member_id: Arc<Mutex<String>>,
    pub(super) subscription: Subscription,
    /// Positions to commit before the partitions are given up.
    pub(super) commit_first: Option<(CommitAs, BTreeMap<TopicPartition, CommittedOffset>)>,
}

/// A place in a stable group.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) generation: i32,
    pub(super) assignment: Vec<TopicPartition>,
    /// For the leader: the sizes that it shared out, 0 for topics that are not there.
    pub(super) shared_out: Option<BTreeMap<Arc<str>, i32>>,
}

impl Join {
    /// Joins, again and again if need be. Errors are final.
    pub(super) async fn run(self) -> Result<Joined, Error> {
        if let Some((who, offsets)) = &self.commit_first {
            let committed = self.cluster.commit_offsets(&self.group, who, offsets).await;
            let failed =
                committed.map_or_else(Some, |answers| answers.into_iter().find_map(|(_, answer)| answer.err()));
            if let Some(error) = failed {
                tracing::warn!("group {}: positions could not be committed before the rebalance: {error}", self.group);
            }
        }
        let mut failures = 0;
        loop {
            let error = match self.join_once().await {
                Ok(joined) => return Ok(joined),
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => continue,
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => self.member_id.lock().clear(),
                Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                    self.cluster.forget_coordinator(&self.group);
                }
                _ if error.is_retriable() => {}
                _ => return Err(error),
            }
            tracing::debug!("group {}: {error}; joining again", self.group);
            failures += 1;
            let client = &self.config.client;
            tokio::time::sleep(backoff(client.retry_backoff, client.retry_backoff_max, failures, failures.into()))
                .await;
        }
    }

    async fn join_once(&self) -> Result<Joined, Error> {
        let answer = self.send_join().await?;
        if !answer.member_id.is_empty() {
            self.member_id.lock().clone_from(&answer.member_id);
        }
        check(answer.error_code, None)?;
        let protocol = answer.protocol_name.clone().unwrap_or_default();
        let is_leader = answer.leader == answer.member_id && !answer.skip_assignment;
        let (assignments, shared_out) = if is_leader {
            let (assignments, sizes) = self.share_out(&answer, &protocol).await?;
            (assignments, Some(sizes))
        } else {
            (Vec::new(), None)
        };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: answer.generation_id,
            member_id: answer.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(protocol),
            assignments,
        };
        let timeout = self.config.max_poll_interval.saturating_add(JOIN_GRACE);
        let synced = self.cluster.coordinator(&self.group).await?.call_within(&request, NEWEST, timeout).await?;
        check(synced.error_code, None)?;
        let assignment = decode_assignment(synced.assignment).map_err(|error| self.malformed(&error))?;
        Ok(Joined { generation: answer.generation_id, assignment, shared_out })
    }

    async fn send_join(&self) -> Result<JoinGroupResponse, Error> {
        let metadata = encode_subscription(&self.subscription);
        let protocol = |assignor: &Assignor| JoinGroupRequestProtocol {
            name: assignor.name().to_owned(),
            metadata: metadata.clone(),
        };
        let member_id = self.member_id.lock().clone();
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: millis(self.config.session_timeout),
            rebalance_timeout_ms: millis(self.config.max_poll_interval),
            member_id,
            group_instance_id: self.config.group_instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: self.config.assignors.iter().map(protocol).collect(),
            reason: None,
        };
        // The broker answers when all members are there: at the latest when the slowest may come.
        let timeout = self.config.max_poll_interval.saturating_add(JOIN_GRACE).max(self.config.client.request_timeout);
        let connection = self.cluster.coordinator(&self.group).await?;
        let answer = connection.call_within(&request, NEWEST, timeout).await;
        if answer.as_ref().is_err_and(Error::is_stale) {
            self.cluster.forget_coordinator(&self.group);
        }
        answer
    }

    /// The leader's part: every member's partitions, and the sizes of the topics that they are shared out by.
    async fn share_out(
        &self,
        answer: &JoinGroupResponse,
        protocol: &str,
    ) -> Result<(Vec<SyncGroupRequestAssignment>, BTreeMap<Arc<str>, i32>), Error> {
        let mut members = Vec::new();
        for member in &answer.members {
            let subscription = decode_subscription(member.metadata.clone()).map_err(|error| self.malformed(&error))?;
            members.push(Member {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                subscription,
            });
        }
        let unknown = || Error::kafka(ErrorCode::InconsistentGroupProtocol, None);
        let assignor = Assignor::from_name(protocol).ok_or_else(unknown)?;
        let wanted: BTreeSet<Arc<str>> =
            members.iter().flat_map(|member| &member.subscription.topics).map(|topic| topic.as_str().into()).collect();
        let sizes = topic_sizes(&self.cluster, wanted.iter(), self.config.allow_auto_create_topics).await?;
        let assignment = assign(assignor, members, &sizes).into_iter();
        let assignments = assignment
            .map(|(member_id, partitions)| SyncGroupRequestAssignment {
                member_id,
                assignment: encode_assignment(&partitions),
            })
            .collect();
        Ok((assignments, sizes))
    }

    fn malformed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Malformed { from: format!("group {}", self.group), reason: reason.to_string() }
    }
}

/// How many partitions topics have now, 0 for those that are not there. Errors when one can never be there.
pub(super) async fn topic_sizes(
    cluster: &Cluster,
    topics: impl Iterator<Item = &Arc<str>> + Send,
    create: bool,
) -> Result<BTreeMap<Arc<str>, i32>, Error> {
    let topics: Vec<Arc<str>> = topics.cloned().collect();
    let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
    let (image, errors) = cluster.refresh(TopicSelection::Names { names: &names, create }).await?;
    let never = [ErrorCode::InvalidTopicException, ErrorCode::TopicAuthorizationFailed];
    if let Some((name, code)) = errors.iter().find(|(_, code)| never.contains(code)) {
        return Err(topic_error(name, *code));
    }
    let size = |topic: &str| image.topics.get(topic).map_or(0, |topic| topic.partitions.len() as i32);
    Ok(topics.iter().map(|topic| (topic.clone(), size(topic))).collect())
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// What a consumer keeps about its group.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) group: String,
    cluster: Arc<Cluster>,
    config: Arc<ConsumerConfig>,
    pub(super) member_id: Arc<Mutex<String>>,
    /// -1 outside a stable group.
    pub(super) generation: i32,
    /// When `poll` was called last, for the heartbeats.
    last_poll: Arc<Mutex<Instant>>,
    heartbeat: Option<(watch::Receiver<Beat>, DropGuard)>,
}

impl Membership {
    pub(super) fn new(group: String, cluster: Arc<Cluster>, config: Arc<ConsumerConfig>) -> Self {
        Self {
            group,
            cluster,
            config,
            member_id: Arc::default(),
            generation: -1,
            last_poll: Arc::new(Mutex::new(Instant::now())),
            heartbeat: None,
        }
    }

    pub(super) fn polled(&self) {
        *self.last_poll.lock() = Instant::now();
    }

    /// In whose name offsets are committed.
    pub(super) fn commit_as(&self) -> CommitAs {
        let member_id = if self.generation < 0 { String::new() } else { self.member_id.lock().clone() };
        CommitAs {
            generation: self.generation,
            member_id,
            group_instance_id: self.config.group_instance_id.clone().filter(|_| self.generation >= 0),
        }
    }

    /// Takes the place in the group and begins its heartbeats.
    pub(super) fn joined(&mut self, generation: i32) {
        self.generation = generation;
        self.polled();
        let (sender, receiver) = watch::channel(Beat::Fine);
        let stop = CancellationToken::new();
        let heart = Heart {
            cluster: self.cluster.clone(),
            config: self.config.clone(),
            group: self.group.clone(),
            who: self.commit_as(),
            last_poll: self.last_poll.clone(),
        };
        let guard = stop.clone().drop_guard();
        tokio::spawn(async move {
            tokio::select! {
                () = heart.beat(sender) => {}
                () = stop.cancelled() => {}
            }
        });
        self.heartbeat = Some((receiver, guard));
    }

    /// Ends the heartbeats, because the member joins again or is out.
    pub(super) fn rest(&mut self) {
        self.heartbeat = None;
    }

    /// Out of the group: the next join is a stranger's.
    pub(super) fn lost(&mut self) {
        self.rest();
        self.generation = -1;
        self.member_id.lock().clear();
    }

    pub(super) fn last_beat(&self) -> Beat {
        self.heartbeat.as_ref().map_or(Beat::Fine, |(beats, _)| beats.borrow().clone())
    }

    /// Waits until the heartbeats have something to say. Safe to drop.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let beats = self.heartbeat.as_ref().map(|(beats, _)| beats.clone());
        async move {
            if let Some(mut beats) = beats
                && beats.wait_for(|beat| *beat != Beat::Fine).await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
    }

    /// Leaves the group. A static member keeps its place (KIP-345).
    pub(super) async fn leave(&mut self) -> Result<(), Error> {
        let member_id = self.member_id.lock().clone();
        self.rest();
        if member_id.is_empty() || self.config.group_instance_id.is_some() {
            return Ok(());
        }
        self.lost();
        leave(&self.cluster, &self.group, member_id).await
    }
}

async fn leave(cluster: &Cluster, group: &str, member_id: String) -> Result<(), Error> {
    let connection = cluster.coordinator(group).await?;
    let version = connection.version::<LeaveGroupRequest>(NEWEST)?;
    let mut request = LeaveGroupRequest { group_id: group.to_owned(), ..Default::default() };
    if version >= 3 {
        request.members = vec![MemberIdentity { member_id, group_instance_id: None, reason: None }];
    } else {
        request.member_id = member_id;
    }
    let answer = connection.call(&request, version).await?;
    check(answer.error_code, None)
}

/// The task behind the heartbeats.
struct Heart {
    cluster: Arc<Cluster>,
    config: Arc<ConsumerConfig>,
    group: String,
    who: CommitAs,
    last_poll: Arc<Mutex<Instant>>,
}

impl Heart {
    async fn beat(self, say: watch::Sender<Beat>) {
        let mut last_answer = Instant::now();
        let mut wait = self.config.heartbeat_interval;
        loop {
            tokio::time::sleep(wait).await;
            wait = self.config.heartbeat_interval;
            let away = self.last_poll.lock().elapsed();
            if away > self.config.max_poll_interval {
                // A static member keeps its place until its session ends (KIP-345).
                if self.who.group_instance_id.is_none() {
                    let _ = leave(&self.cluster, &self.group, self.who.member_id.clone()).await;
                }
                say.send_replace(Beat::Lost("poll stayed away longer than max.poll.interval.ms".to_owned()));
                return;
            }
            let error = match self.send().await {
                Ok(()) => {
                    last_answer = Instant::now();
                    continue;
                }
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::RebalanceInProgress) => {
                    last_answer = Instant::now();
                    say.send_replace(Beat::Rejoin);
                }
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                    say.send_replace(Beat::Lost(error.to_string()));
                    return;
                }
                Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                    self.cluster.forget_coordinator(&self.group);
                    wait = self.config.client.retry_backoff;
                }
                _ if error.is_retriable() => wait = self.config.client.retry_backoff,
                _ => {
                    say.send_replace(Beat::Fatal(error));
                    return;
                }
            }
            if last_answer.elapsed() > self.config.session_timeout {
                say.send_replace(Beat::Lost("no heartbeat was answered within session.timeout.ms".to_owned()));
                return;
            }
        }
    }

    async fn send(&self) -> Result<(), Error> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.who.generation,
            member_id: self.who.member_id.clone(),
            group_instance_id: self.who.group_instance_id.clone(),
        };
        let answer = self.cluster.call_coordinator(&self.group, &request, NEWEST).await?;
        check(answer.error_code, None)
    }
}
