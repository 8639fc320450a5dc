//! What must be true of a group between any two events; checked by the tests over random event orders.

use std::collections::HashMap;

use super::{ClassicGroup, GroupState, Support};

impl ClassicGroup {
    /// Panics with what is wrong.
    pub(crate) fn assert_invariants(&self) {
        self.assert_membership();
        self.assert_waiting();
        self.assert_deadlines();
    }

    fn assert_membership(&self) {
        assert_eq!(self.leader.is_some(), !self.members.is_empty(), "a leader exactly when there are members");
        assert!(self.leader.iter().all(|leader| self.members.contains_key(leader)), "the leader is a member");
        let instances =
            self.members.values().filter_map(|member| Some((member.instance_id.clone()?, member.id.clone())));
        let instances: Vec<_> = instances.collect();
        assert_eq!(instances.len(), self.instances.len(), "an instance id names one member");
        assert_eq!(instances.into_iter().collect::<HashMap<_, _>>(), self.instances);
        let mut support = Support::default();
        self.members.values().for_each(|member| support.add(member));
        assert_eq!(support, self.support, "the counts of supported protocols");
        assert!(self.pending_joins.keys().all(|member_id| !self.members.contains_key(member_id)));
        match self.state {
            GroupState::Empty | GroupState::Dead => assert!(self.members.is_empty()),
            GroupState::CompletingRebalance | GroupState::Stable => {
                assert!(!self.members.is_empty() && self.protocol_name.is_some());
                assert!(self.elected_protocol().is_some(), "some protocol is common to all");
            }
            GroupState::PreparingRebalance => {}
        }
    }

    fn assert_waiting(&self) {
        let joining = self.members.values().filter(|member| member.join.is_some()).count();
        assert_eq!(joining, self.joining, "the count of members that wait for the generation");
        if self.state == GroupState::CompletingRebalance {
            assert_eq!(joining, 0, "the generation was told to everybody");
        } else {
            assert!(self.members.values().all(|member| member.sync.is_none()), "nobody waits for an assignment");
        }
    }

    /// Whatever waits has a deadline or an append under way, so the group always goes on.
    fn assert_deadlines(&self) {
        match self.state {
            GroupState::PreparingRebalance => assert!(self.join_deadline.is_some()),
            GroupState::CompletingRebalance => {
                assert!(self.sync_deadline.is_some() || self.assignment_append.is_some());
            }
            GroupState::Stable | GroupState::Empty | GroupState::Dead => assert!(self.join_deadline.is_none()),
        }
        for member in self.members.values() {
            assert!(member.session_deadline.is_some() || member.outlives_session(), "{member:?} would stay for ever");
        }
        if let Some(earliest) = self.earliest_deadline() {
            assert!(self.wake.is_some_and(|wake| wake <= earliest), "{:?} wakes after {earliest:?}", self.wake);
        }
    }
}
