//! Loading: the log's records rebuild the groups, then sessions begin.

use std::collections::HashSet;

use bytes::Bytes;
use millstream_model::TimestampMs;

use super::{GroupShard, Turn};
use crate::answer::Effect;
use crate::classic::{ClassicGroup, GroupState, Member};
use crate::event::JoinProtocol;
use crate::generated::group_metadata::{GroupMetadataValue, MemberMetadata};
use crate::ids::{GroupId, MemberId};
use crate::record::{ParsedRecord, ReplayError, Replayed};
use crate::time::Now;

impl GroupShard {
    /// Follows one record of the partition, in log order, before `loaded`. After an error the shard is as it was.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>, now: Now) -> Result<Replayed, ReplayError> {
        let group_id = match ParsedRecord::parse(key, value)? {
            ParsedRecord::Other { record_type } => return Ok(Replayed::Ignored { record_type }),
            ParsedRecord::Offset { group_id, topic, partition, offset } => {
                self.group_or_new(now, &group_id).offsets.set_durable(&topic, partition, offset);
                group_id
            }
            ParsedRecord::Group { group_id, value: Some(value) } => {
                let group = ClassicGroup::restore(group_id.clone(), value, now)?;
                self.group_or_new(now, &group_id).group = group;
                group_id
            }
            ParsedRecord::Group { group_id, value: None } => {
                self.group_or_new(now, &group_id).group = ClassicGroup::new(group_id.clone(), now);
                group_id
            }
        };
        self.settle_group(&group_id);
        Ok(Replayed::Applied)
    }

    /// The log has been followed to its end: members get a fresh session, and offsets begin to expire.
    pub fn loaded(&mut self, now: Now) -> Vec<Effect> {
        let group_ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        for group_id in &group_ids {
            self.with_group(now, group_id, |entry, turn: &mut Turn<'_>| entry.group.loaded(turn));
        }
        self.schedule_expiry_check(now);
        self.outbox.take_effects()
    }
}

impl ClassicGroup {
    /// The group that a record describes: stable with its members, or empty.
    fn restore(id: GroupId, value: GroupMetadataValue, now: Now) -> Result<Self, ReplayError> {
        let inconsistent = |reason| ReplayError::Inconsistent { group_id: id.clone(), reason };
        if !value.members.is_empty() && value.protocol.is_none() {
            return Err(inconsistent("it has members but no protocol"));
        }
        let mut member_ids = HashSet::new();
        let mut instance_ids = HashSet::new();
        for member in &value.members {
            let twice = !member_ids.insert(&member.member_id)
                || member.group_instance_id.as_ref().is_some_and(|instance| !instance_ids.insert(instance));
            if twice {
                return Err(inconsistent("it names a member or an instance twice"));
            }
        }
        let mut group = Self::new(id, now);
        group.state = if value.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        group.state_since = TimestampMs(value.current_state_timestamp);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
        group.protocol_name = value.protocol;
        group.stored = true;
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        for member in value.members {
            let protocol = group.protocol_name.clone().unwrap_or_default();
            group.add(restored(member, protocol), &protocol_type);
        }
        let leader = value.leader.map(MemberId::from).filter(|leader| group.members.contains_key(leader));
        if leader.is_some() {
            group.leader = leader;
        }
        group.refresh_subscriptions();
        Ok(group)
    }
}

/// A member as the log knows it: of its protocols only the elected one.
fn restored(member: MemberMetadata, protocol: String) -> Member {
    // Before version 1 there was no rebalance timeout.
    let rebalance_timeout_ms =
        if member.rebalance_timeout == -1 { member.session_timeout } else { member.rebalance_timeout };
    Member {
        id: member.member_id.into(),
        instance_id: member.group_instance_id.map(Into::into),
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout,
        protocols: vec![JoinProtocol { name: protocol, metadata: member.subscription }],
        assignment: member.assignment,
        is_new: false,
        join: None,
        sync: None,
        owes_sync: false,
        session_deadline: None,
    }
}
