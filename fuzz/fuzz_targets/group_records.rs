//! Any bytes as records of `__consumer_offsets`: followed or refused, and the groups that come of them live on.
//! Each record is a byte for the length of its key, one for that of its value (255 for a tombstone), key and value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_coordinator::{Event, GroupSettings, GroupShard, Now, SteadyMs};
use millstream_model::TimestampMs;

const TOMBSTONE: u8 = 255;
/// Beyond every session and rebalance timeout.
const LATER_MS: u64 = 1 << 40;

fuzz_target!(|input: &[u8]| {
    let mut now = Now { steady: SteadyMs(1), wall: TimestampMs(1_700_000_000_000) };
    let mut shard = GroupShard::new(GroupSettings::default());
    let mut rest = input;
    while let [key_bytes, value_bytes, records @ ..] = rest {
        let key_end = usize::from(*key_bytes).min(records.len());
        let (key, behind) = records.split_at(key_end);
        let tombstone = *value_bytes == TOMBSTONE;
        let value_end = if tombstone { 0 } else { usize::from(*value_bytes).min(behind.len()) };
        let (value, behind) = behind.split_at(value_end);
        let value = value.to_vec().into();
        drop(shard.replay(&key.to_vec().into(), (!tombstone).then_some(&value), now));
        rest = behind;
    }
    drop(shard.loaded(now));
    for group in shard.list(&[], &[]) {
        assert!(shard.describe(&group.group_id).is_some(), "{group:?} is listed");
    }
    now.steady = SteadyMs(LATER_MS);
    drop(shard.handle(now, Event::Tick));
});
