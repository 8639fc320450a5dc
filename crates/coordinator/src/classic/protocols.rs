//! Which protocol a classic group uses: the ones that all members support, chosen by vote.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use millstream_model::wire::{ArrayLength, DecodeError, Decoder};

use super::member::Member;
use crate::event::JoinProtocol;

/// The protocol type of the consumer protocol, whose subscriptions the coordinator reads.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// How many members support each protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Support {
    members_by_protocol: HashMap<String, usize>,
}

impl Support {
    pub(crate) fn add(&mut self, member: &Member) {
        for protocol in &member.protocols {
            *self.members_by_protocol.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, member: &Member) {
        for protocol in &member.protocols {
            if let Some(count) = self.members_by_protocol.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.members_by_protocol.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether each of `members` members supports `protocol`.
    pub(crate) fn is_common(&self, protocol: &str, members: usize) -> bool {
        self.members_by_protocol.get(protocol).copied().unwrap_or(0) == members
    }
}

/// Each member votes for its favourite among the protocols common to all; the most votes win, and of equals the one
/// that the first member prefers. `None` when nothing is common or nobody is there.
pub(crate) fn elect<'a>(members: impl Iterator<Item = &'a Member> + Clone, support: &Support) -> Option<String> {
    let count = members.clone().count();
    let common = |protocol: &&JoinProtocol| support.is_common(&protocol.name, count);
    let mut votes: HashMap<&str, usize> = HashMap::new();
    for favourite in members.clone().filter_map(|member| member.protocols.iter().find(common)) {
        *votes.entry(&favourite.name).or_default() += 1;
    }
    let mut elected: Option<(&str, usize)> = None;
    for protocol in members.clone().next()?.protocols.iter().filter(common) {
        let count = votes.get(protocol.name.as_str()).copied().unwrap_or(0);
        if elected.is_none_or(|(_, most)| count > most) {
            elected = Some((&protocol.name, count));
        }
    }
    elected.map(|(name, _)| name.to_owned())
}

/// The topics that a `consumer` member subscribes to. Reads the version-0 head, which every version begins with.
pub(crate) fn subscribed_topics(metadata: &Bytes) -> Result<BTreeSet<String>, DecodeError> {
    let mut decoder = Decoder::new(metadata.clone());
    let _version = decoder.i16()?;
    let position = decoder.position();
    let count = decoder.array_length(ArrayLength::Fixed, 2)?.ok_or(DecodeError::UnexpectedNull { position })?;
    (0..count).map(|_| decoder.string(ArrayLength::Fixed)).collect()
}

/// Drops repeated names, which Kafka's request keeps as a set: a name counts once for its member.
pub(crate) fn distinct(protocols: Vec<JoinProtocol>) -> Vec<JoinProtocol> {
    let mut seen = BTreeSet::new();
    protocols.into_iter().filter(|protocol| seen.insert(protocol.name.clone())).collect()
}
