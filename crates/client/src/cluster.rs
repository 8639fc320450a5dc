//! `Cluster`: what a client knows of the brokers (metadata, coordinators) and its connections to them.
//!
//! Connections are made when they are needed, one per broker, with a back-off after failures. Attempts to connect are
//! shared futures, driven by whoever waits for them, so that no task is left behind. Metadata is an image that is
//! replaced whole. `state` is the only lock, never held across an await.

mod metadata;
mod retry;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use millstream_protocol::find_coordinator::FindCoordinatorRequest;
use millstream_protocol::{Decode, Encode, ErrorCode, Request};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::Error;
use crate::backoff::backoff;
use crate::config::ClientSettings;
use crate::connection::Connection;
use crate::error::check;

pub use metadata::{Broker, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub(crate) use metadata::{TopicSelection, topic_error};

/// No cap on the version of a request.
pub(crate) const NEWEST: i16 = i16::MAX;

/// Kinds of keys that have a coordinator.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    Group = 0,
}

type Attempt = Shared<BoxFuture<'static, Result<Arc<Connection>, Error>>>;

struct Slot {
    attempt: Attempt,
    /// Attempts in a row that failed, and when the next may begin.
    failures: u32,
    not_before: Instant,
}

struct State {
    metadata: Arc<ClusterMetadata>,
    /// By address: a broker that moves gets a new connection.
    slots: HashMap<String, Slot>,
    coordinators: HashMap<String, i32>,
}

pub(crate) struct Cluster {
    pub(crate) settings: ClientSettings,
    state: Mutex<State>,
    /// Its one permit is the turn to refresh metadata, so that many who lack the same thing ask once.
    refresh_turn: Semaphore,
    next_candidate: AtomicUsize,
    /// Sets this client's waits apart from other clients', which lost the same broker at the same moment.
    salt: u64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("bootstrap_servers", &self.settings.bootstrap_servers).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(settings: ClientSettings) -> Self {
        let metadata = Arc::new(ClusterMetadata::default());
        Self {
            settings,
            state: Mutex::new(State { metadata, slots: HashMap::new(), coordinators: HashMap::new() }),
            refresh_turn: Semaphore::new(1),
            next_candidate: AtomicUsize::new(0),
            // The standard library seeds each of these at random, which spares a dependency.
            salt: RandomState::new().build_hasher().finish(),
        }
    }

    /// The last image of the metadata.
    pub(crate) fn metadata(&self) -> Arc<ClusterMetadata> {
        self.state.lock().metadata.clone()
    }

    /// The connection to a broker that the metadata names.
    pub(crate) async fn broker(&self, id: i32) -> Result<Arc<Connection>, Error> {
        let broker = self.metadata().brokers.get(&id).map(Broker::address);
        let unknown = || Error::kafka(ErrorCode::BrokerNotAvailable, Some(&format!("broker {id} is not known")));
        self.connect(&broker.ok_or_else(unknown)?).await
    }

    /// The connection to a broker, if it is open now.
    pub(crate) fn open_to(&self, id: i32) -> Option<Arc<Connection>> {
        let address = self.metadata().brokers.get(&id)?.address();
        let state = self.state.lock();
        let connection = state.slots.get(&address)?.attempt.peek()?.as_ref().ok()?;
        connection.is_open().then(|| connection.clone())
    }

    /// A connection to some broker: one that is open, else whichever answers first in turn.
    pub(crate) async fn any_broker(&self) -> Result<Arc<Connection>, Error> {
        if let Some(connection) = self.open_connection() {
            return Ok(connection);
        }
        let candidates = self.candidates();
        let first = self.next_candidate.fetch_add(1, Ordering::Relaxed);
        let mut failure = None;
        for i in 0..candidates.len() {
            match self.connect(&candidates[(first + i) % candidates.len()]).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("there is at least one bootstrap server"))
    }

    fn open_connection(&self) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        let open = state.slots.values().filter_map(|slot| slot.attempt.peek()?.as_ref().ok());
        open.filter(|connection| connection.is_open()).max_by_key(|connection| connection.address.len()).cloned()
    }

    /// Brokers of the metadata, then the bootstrap servers: when all brokers have moved, those may still lead to them.
    fn candidates(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self.metadata().brokers.values().map(Broker::address).collect();
        let more: Vec<_> =
            self.settings.bootstrap_servers.iter().filter(|server| !addresses.contains(server)).cloned().collect();
        addresses.extend(more);
        addresses
    }

    async fn connect(&self, address: &str) -> Result<Arc<Connection>, Error> {
        let (attempt, not_before) = self.attempt(address);
        tokio::time::sleep_until(not_before).await;
        let result = attempt.clone().await;
        self.connected(address, &attempt, result.as_ref().err());
        result
    }

    /// The attempt or connection that stands, or a new attempt.
    fn attempt(&self, address: &str) -> (Attempt, Instant) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if let Some(slot) = state.slots.get(address) {
            let usable = match slot.attempt.peek() {
                None => true,
                Some(Ok(connection)) => connection.is_open(),
                Some(Err(_)) => false,
            };
            if usable {
                return (slot.attempt.clone(), now.max(slot.not_before));
            }
        }
        let settings = &self.settings;
        let open = Connection::open(
            address.to_owned(),
            settings.client_id.clone(),
            settings.connect_timeout,
            settings.request_timeout,
        );
        let attempt = open.map(|result| result.map(Arc::new)).boxed().shared();
        let (failures, not_before) = state.slots.get(address).map_or((0, now), |slot| (slot.failures, slot.not_before));
        state.slots.insert(address.to_owned(), Slot { attempt: attempt.clone(), failures, not_before });
        (attempt, not_before)
    }

    /// Times the next attempt. Several callers may share one attempt; its failure counts once. A broker that stays away
    /// is told of once, and once more when it is back.
    fn connected(&self, address: &str, attempt: &Attempt, failure: Option<&Error>) {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(address).filter(|slot| slot.attempt.ptr_eq(attempt)) else { return };
        let Some(error) = failure else {
            if std::mem::take(&mut slot.failures) > 0 {
                tracing::info!("Connection to {address} established again.");
            }
            return;
        };
        let now = Instant::now();
        if slot.not_before <= now {
            slot.failures += 1;
            let salt = self.salt.wrapping_add(slot.failures.into());
            let (first, max) = (self.settings.reconnect_backoff, self.settings.reconnect_backoff_max);
            slot.not_before = now + backoff(first, max, slot.failures, salt);
            if slot.failures == 1 {
                tracing::warn!(
                    "Connection to {address} could not be established. Node may not be available. ({error})"
                );
            } else {
                tracing::debug!("attempt {} to connect to {address}: {error}", slot.failures);
            }
        }
    }

    /// Cuts every connection, as a broker that dies does.
    #[cfg(test)]
    pub(crate) fn cut(&self) {
        for slot in self.state.lock().slots.values() {
            if let Some(Ok(connection)) = slot.attempt.peek() {
                connection.cut();
            }
        }
    }

    /// Calls some broker. Kafka's brokers pass on what only the controller can do.
    pub(crate) async fn call_any<R>(&self, request: &R, cap: i16) -> Result<R::Response, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        self.any_broker().await?.call(request, cap).await
    }

    /// Calls the coordinator of a group. An error of the connection makes the next call look for it again; what the
    /// answer says is the caller's to read, with `forget_coordinator`.
    pub(crate) async fn call_coordinator<R>(&self, group: &str, request: &R, cap: i16) -> Result<R::Response, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        let connection = self.coordinator(group).await?;
        let answer = connection.call(request, cap).await;
        if answer.as_ref().is_err_and(Error::is_stale) {
            self.forget_coordinator(group);
        }
        answer
    }

    /// The connection to a group's coordinator.
    pub(crate) async fn coordinator(&self, group: &str) -> Result<Arc<Connection>, Error> {
        let known = self.state.lock().coordinators.get(group).copied();
        let id = match known {
            Some(id) => id,
            None => self.find_coordinator(group).await?,
        };
        let connection = self.broker(id).await;
        if connection.is_err() {
            self.forget_coordinator(group);
        }
        connection
    }

    pub(crate) fn forget_coordinator(&self, group: &str) {
        self.state.lock().coordinators.remove(group);
    }

    async fn find_coordinator(&self, group: &str) -> Result<i32, Error> {
        let connection = self.any_broker().await?;
        let kind = CoordinatorKind::Group as i8;
        let version = connection.version::<FindCoordinatorRequest>(5)?;
        let request = if version >= 4 {
            FindCoordinatorRequest { key_type: kind, coordinator_keys: vec![group.to_owned()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key_type: kind, key: group.to_owned(), ..Default::default() }
        };
        let answer = connection.call(&request, version).await?;
        let (node, host, port) = if version >= 4 {
            let found = answer.coordinators.into_iter().next();
            let found = found.ok_or_else(|| Error::kafka(ErrorCode::CoordinatorNotAvailable, None))?;
            check(found.error_code, found.error_message.as_deref())?;
            (found.node_id, found.host, found.port)
        } else {
            check(answer.error_code, answer.error_message.as_deref())?;
            (answer.node_id, answer.host, answer.port)
        };
        self.remember_coordinator(group, Broker { id: node, host, port, rack: None });
        Ok(node)
    }

    fn remember_coordinator(&self, group: &str, broker: Broker) {
        let mut state = self.state.lock();
        state.coordinators.insert(group.to_owned(), broker.id);
        if !state.metadata.brokers.contains_key(&broker.id) {
            let mut metadata = ClusterMetadata::clone(&state.metadata);
            metadata.brokers.insert(broker.id, broker);
            state.metadata = Arc::new(metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientConfig;

    #[test]
    fn clients_that_lost_the_same_broker_do_not_come_back_in_step() {
        let settings = ClientConfig::new("127.0.0.1:9092").admin().unwrap().client;
        let wait =
            |cluster: Cluster| backoff(settings.reconnect_backoff, settings.reconnect_backoff_max, 1, cluster.salt);
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| wait(Cluster::new(settings.clone()))).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
