//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a client fetches and what it told it
//! last, so that requests name only changes and answers only news. Owned by the broker, used by the Fetch handler.
//!
//! A session belongs to whoever knows its id and next epoch. Lock order: the table, then one session.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use millstream_model::{LeaderEpoch, Offset, PartitionIndex};
use parking_lot::Mutex;

use crate::partitions::TopicRef;

/// Epoch of a request that wants a new session.
const EPOCH_INITIAL: i32 = 0;
/// Epoch of a request that wants no session, and ends the one it names.
const EPOCH_FINAL: i32 = -1;
/// A session unused for this long makes room for a new one
/// (Kafka's `KafkaBroker.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// A partition as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FetchKey {
    pub(crate) topic: TopicRef,
    pub(crate) partition: PartitionIndex,
}

/// What a client wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) offset: Offset,
    /// Epoch that the client believes to be current; `LeaderEpoch::NONE` when it does not say.
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) last_fetched_epoch: LeaderEpoch,
    pub(crate) bytes_max: usize,
}

/// What an answer says of one partition besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    /// An error is told again each time.
    pub(crate) failed: bool,
    pub(crate) has_records: bool,
}

/// Why a request does not fit its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    IdNotFound,
    InvalidEpoch,
    /// The session was begun with topic names and is continued with ids, or the other way round.
    TopicIdMismatch,
}

/// The session part of a Fetch request.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    pub(crate) wanted: Vec<(FetchKey, Wanted)>,
    pub(crate) forgotten: Vec<FetchKey>,
}

#[derive(Debug)]
struct Session {
    /// Epoch that the next request must carry.
    epoch: i32,
    by_id: bool,
    partitions: IndexMap<FetchKey, Cached>,
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    told: Option<(Offset, Offset)>,
}

#[derive(Debug)]
struct Slot {
    session: Arc<Mutex<Session>>,
    last_used: Instant,
}

/// All sessions of one broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions: Mutex<HashMap<i32, Slot>>,
    sessions_max: usize,
    random: fn() -> u32,
}

/// What one request is to be answered with.
#[derive(Debug)]
pub(crate) struct FetchPlan {
    /// Partitions in the order in which they are to be read.
    pub(crate) partitions: Vec<(FetchKey, Wanted)>,
    /// Id to answer with; 0 for no session.
    pub(crate) session_id: i32,
    session: Option<Arc<Mutex<Session>>>,
    incremental: bool,
}

impl FetchSessions {
    /// Room for `sessions_max` sessions; `random` gives their ids.
    pub(crate) fn new(sessions_max: usize, random: fn() -> u32) -> Self {
        Self { sessions: Mutex::default(), sessions_max, random }
    }

    /// Sessions alive now.
    pub(crate) fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Finds or makes the request's session, brings it up to date, and says what to read.
    pub(crate) fn plan(&self, request: SessionRequest, now: Instant) -> Result<FetchPlan, SessionError> {
        match request.epoch {
            EPOCH_FINAL => {
                self.sessions.lock().remove(&request.id);
                Ok(FetchPlan::without_session(request.wanted))
            }
            EPOCH_INITIAL => {
                self.sessions.lock().remove(&request.id);
                Ok(self.begin(request.wanted, now))
            }
            _ => self.resume(request, now),
        }
    }

    fn begin(&self, wanted: Vec<(FetchKey, Wanted)>, now: Instant) -> FetchPlan {
        let mut sessions = self.sessions.lock();
        if wanted.is_empty() || !make_room(&mut sessions, self.sessions_max, now) {
            return FetchPlan::without_session(wanted);
        }
        let id = loop {
            let id = ((self.random)() >> 1) as i32;
            if id != 0 && !sessions.contains_key(&id) {
                break id;
            }
        };
        let by_id = matches!(wanted[0].0.topic, TopicRef::Id(_));
        let partitions =
            wanted.iter().map(|(key, wanted)| (key.clone(), Cached { wanted: wanted.clone(), told: None })).collect();
        let session = Arc::new(Mutex::new(Session { epoch: 1, by_id, partitions }));
        sessions.insert(id, Slot { session: Arc::clone(&session), last_used: now });
        FetchPlan { partitions: wanted, session_id: id, session: Some(session), incremental: false }
    }

    fn resume(&self, request: SessionRequest, now: Instant) -> Result<FetchPlan, SessionError> {
        let mut sessions = self.sessions.lock();
        let slot = sessions.get_mut(&request.id).ok_or(SessionError::IdNotFound)?;
        slot.last_used = now;
        let shared = Arc::clone(&slot.session);
        let mut session = shared.lock();
        session.advance(&request)?;
        if session.partitions.is_empty() {
            sessions.remove(&request.id);
            return Ok(FetchPlan::without_session(Vec::new()));
        }
        drop(sessions);
        let partitions = session.partitions.iter().map(|(key, cached)| (key.clone(), cached.wanted.clone())).collect();
        drop(session);
        Ok(FetchPlan { partitions, session_id: request.id, session: Some(shared), incremental: true })
    }
}

impl Session {
    /// Checks the request's epoch and takes over its changes.
    fn advance(&mut self, request: &SessionRequest) -> Result<(), SessionError> {
        if request.epoch != self.epoch {
            return Err(SessionError::InvalidEpoch);
        }
        let named_by_id = |key: &FetchKey| matches!(key.topic, TopicRef::Id(_));
        let mut named = request.wanted.iter().map(|(key, _)| key).chain(&request.forgotten);
        if named.any(|key| named_by_id(key) != self.by_id) {
            return Err(SessionError::TopicIdMismatch);
        }
        for (key, wanted) in &request.wanted {
            match self.partitions.get_mut(key) {
                Some(cached) => cached.wanted = wanted.clone(),
                None => {
                    self.partitions.insert(key.clone(), Cached { wanted: wanted.clone(), told: None });
                }
            }
        }
        for key in &request.forgotten {
            self.partitions.shift_remove(key);
        }
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        Ok(())
    }
}

/// Makes room for one more session if need be, at the expense of the one unused longest.
fn make_room(sessions: &mut HashMap<i32, Slot>, sessions_max: usize, now: Instant) -> bool {
    if sessions.len() < sessions_max {
        return true;
    }
    let Some((&id, slot)) = sessions.iter().min_by_key(|(_, slot)| slot.last_used) else { return false };
    if now.saturating_duration_since(slot.last_used) < EVICTABLE_AFTER {
        return false;
    }
    sessions.remove(&id);
    true
}

impl FetchPlan {
    fn without_session(partitions: Vec<(FetchKey, Wanted)>) -> Self {
        Self { partitions, session_id: 0, session: None, incremental: false }
    }

    /// Whether the answer must name this partition, given what it would say; remembers what is said.
    /// Partitions with records move to the end of the session, so that each gets its turn at a limited answer.
    pub(crate) fn must_tell(&self, key: &FetchKey, told: Told) -> bool {
        let Some(session) = &self.session else { return true };
        let mut session = session.lock();
        let Some(cached) = session.partitions.get_mut(key) else { return true };
        let now = Some((told.high_watermark, told.log_start));
        let news = told.failed || told.has_records || cached.told != now;
        cached.told = if told.failed { None } else { now };
        if told.has_records
            && let Some(position) = session.partitions.get_index_of(key)
        {
            let last = session.partitions.len() - 1;
            session.partitions.move_index(position, last);
        }
        news || !self.incremental
    }
}

#[cfg(test)]
mod tests;
