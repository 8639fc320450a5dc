//! The rows of the comparison: what is loaded how. What each load does stands in a file of its own.
//!
//! To add one: an entry in `ROWS`, and where it has a target one in `targets.rs`. A row is never left out because it is
//! slower.

use anyhow::Result;

use super::{
    contestant::{Contestant, Who},
    figures::Measured,
    growth, idle, java,
    loads::{self, Beside, Fetch, Produce},
    neighbours, partitions,
};

pub(super) struct Row {
    /// For `--rows`; also the name of its topic.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    pub(super) runs: Runs,
    /// Whether it takes so long, or so much disk, that only `--long` runs it.
    pub(super) long: bool,
    pub(super) load: Load,
}

/// How often it is run, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// As often as asked for.
    Repeated,
    Once,
    /// Once, by Millstream alone.
    Alone,
}

pub(super) enum Load {
    /// Before any broker runs.
    Start,
    Produce(Topic, Produce),
    Fetch(Fetch),
    EndToEnd {
        topic: Topic,
        records: u64,
        rate: Option<u32>,
        beside: Beside,
    },
    Java(Topic),
    /// Acknowledgements beside checkpoints and compaction.
    Disturbed,
    IdleConnections,
    Create {
        topics: u32,
        partitions_each: u32,
    },
    Partitions(partitions::Scale),
    /// A new broker's memory after much data.
    Loaded,
    Growth,
    /// After everything else.
    Memory,
}

/// What a row's topic is configured as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    /// Of Millstream's topic.
    pub(super) durability: &'static str,
    /// Of Kafka's topic.
    pub(super) kafka: &'static [(&'static str, &'static str)],
    /// Of all.
    pub(super) all: &'static [(&'static str, &'static str)],
}

const OS: Topic = Topic { durability: "os", kafka: &[], all: &[] };
/// Kafka at its defaults syncs nothing.
const FSYNC: Topic = Topic { durability: "fsync", ..OS };
const BOTH_DURABLE: Topic = Topic { kafka: &[("flush.messages", "1")], ..FSYNC };

const fn row(name: &'static str, title: &'static str, note: &'static str, load: Load) -> Row {
    Row { name, title, note, runs: Runs::Repeated, long: false, load }
}

const fn once(name: &'static str, title: &'static str, note: &'static str, load: Load) -> Row {
    Row { runs: Runs::Once, ..row(name, title, note, load) }
}

pub(super) static ROWS: [Row; 35] = [
    row("start", "Start, and idle", START_NOTE, Load::Start),
    row("produce-1", "Produce 1 MB batches, acks=1, 1 connection", OS_NOTE, Load::Produce(OS, Produce::LARGE)),
    row(
        "produce-1-cold",
        "Produce 1 MB batches, acks=1, 1 connection, cold pages",
        COLD_NOTE,
        Load::Produce(OS, Produce { cold: true, ..Produce::LARGE }),
    ),
    row(
        "produce-4",
        "Produce 1 MB batches, acks=1, 4 connections",
        OS_NOTE,
        Load::Produce(OS, Produce { connections: 4, ..Produce::LARGE }),
    ),
    row(
        "produce-rolls",
        "Produce 1 MB batches, acks=1, 4 connections, across segment rolls",
        "Segments of 64 MiB. Both answer when the records are in the page cache.",
        Load::Produce(ROLLING, Produce { connections: 4, amount: loads::Amount::Megabytes(4000), ..Produce::LARGE }),
    ),
    row(
        "produce-fsync-1",
        "Produce 1 MB batches, acks=all, durable against not, 1 connection",
        FSYNC_NOTE,
        Load::Produce(FSYNC, Produce { acks: "all", ..Produce::LARGE }),
    ),
    row(
        "produce-fsync-4",
        "Produce 1 MB batches, acks=all, durable against not, 4 connections",
        FSYNC_NOTE,
        Load::Produce(FSYNC, Produce { acks: "all", connections: 4, ..Produce::LARGE }),
    ),
    row(
        "produce-16k",
        "Produce 16 KiB batches, acks=1, 1 connection",
        "The Java producer's default batch size. Both answer when the records are in the page cache.",
        Load::Produce(OS, Produce { batch: "16Ki", amount: loads::Amount::Megabytes(1000), ..Produce::LARGE }),
    ),
    row(
        "produce-16k-lz4",
        "Produce 16 KiB batches in lz4, acks=1, 1 connection",
        LZ4_NOTE,
        Load::Produce(
            OS,
            Produce { batch: "16Ki", codec: "lz4", amount: loads::Amount::Megabytes(500), ..Produce::LARGE },
        ),
    ),
    row(
        "produce-lz4",
        "Produce 1 MB batches in lz4, acks=1, 1 connection",
        LZ4_NOTE,
        Load::Produce(OS, Produce { codec: "lz4", amount: loads::Amount::Megabytes(1000), ..Produce::LARGE }),
    ),
    row(
        "produce-fsync-16k",
        "Produce 16 KiB batches, acks=all, durable against not, 1 connection",
        FSYNC_NOTE,
        Load::Produce(
            FSYNC,
            Produce { acks: "all", batch: "16Ki", amount: loads::Amount::Megabytes(1000), ..Produce::LARGE },
        ),
    ),
    row(
        "produce-spread",
        "Produce 16 KiB batches for 8 of 100 partitions per request, acks=1, 4 connections",
        OS_NOTE,
        Load::Produce(
            OS,
            Produce {
                connections: 4,
                partitions: 100,
                per_request: 8,
                batch: "16Ki",
                amount: loads::Amount::Megabytes(1000),
                ..Produce::LARGE
            },
        ),
    ),
    row(
        "one-record",
        "Produce one record of 100 B per request, acks=1, 1 connection, 64 in flight",
        OS_NOTE,
        Load::Produce(
            OS,
            Produce {
                batch: "1",
                record: "100",
                in_flight: 64,
                amount: loads::Amount::Requests(150_000),
                ..Produce::LARGE
            },
        ),
    ),
    row(
        "durable-4k-1",
        "Durable 4 KiB batches, acks=all, 1 in flight",
        DURABLE_NOTE,
        Load::Produce(BOTH_DURABLE, Produce { in_flight: 1, ..Produce::SMALL_DURABLE }),
    ),
    row(
        "durable-4k-8",
        "Durable 4 KiB batches, acks=all, 8 connections with 1 in flight each, 1 partition",
        DURABLE_NOTE,
        Load::Produce(BOTH_DURABLE, Produce { connections: 8, beside: Beside::Rate, ..Produce::SMALL_DURABLE }),
    ),
    row(
        "durable-4k-8-spread",
        "Durable 4 KiB batches, acks=all, 8 connections with 1 in flight each, 100 partitions",
        DURABLE_NOTE,
        Load::Produce(
            BOTH_DURABLE,
            Produce { connections: 8, partitions: 100, beside: Beside::Rate, ..Produce::SMALL_DURABLE },
        ),
    ),
    row(
        "durable-1m-1",
        "Durable 1 MiB batches, acks=all, 1 connection with 5 in flight",
        DURABLE_NOTE,
        Load::Produce(BOTH_DURABLE, Produce::LARGE_DURABLE),
    ),
    row(
        "durable-1m-4",
        "Durable 1 MiB batches, acks=all, 4 connections with 5 in flight each",
        DURABLE_NOTE,
        Load::Produce(BOTH_DURABLE, Produce { connections: 4, ..Produce::LARGE_DURABLE }),
    ),
    row(
        "fetch-1",
        "Fetch from segments, 1 connection, 1 MiB answers",
        SEGMENTS_NOTE,
        Load::Fetch(Fetch { connections: 1, tail: false }),
    ),
    row(
        "fetch-4",
        "Fetch from segments, 4 connections, 1 MiB answers",
        SEGMENTS_NOTE,
        Load::Fetch(Fetch { connections: 4, tail: false }),
    ),
    row(
        "tail-1",
        "Fetch from the tail, 1 connection, 1 MiB answers",
        TAIL_NOTE,
        Load::Fetch(Fetch { connections: 1, tail: true }),
    ),
    row(
        "tail-4",
        "Fetch from the tail, 4 connections, 1 MiB answers",
        TAIL_NOTE,
        Load::Fetch(Fetch { connections: 4, tail: true }),
    ),
    row(
        "e2e-os",
        "End to end, 100 B, acks=all, back to back",
        "From sending a record until a consumer that waits in a long poll has it. Both acknowledge from the page cache.",
        Load::EndToEnd { topic: OS, records: 20_000, rate: None, beside: Beside::Nothing },
    ),
    row(
        "e2e-os-rate",
        "End to end, 100 B, acks=all, 1,000 records a second",
        "As above at a rate, so that the brokers fall asleep between two records.",
        Load::EndToEnd { topic: OS, records: 4000, rate: Some(1000), beside: Beside::Nothing },
    ),
    row(
        "e2e-fsync",
        "End to end, 100 B, acks=all, back to back, durable against not",
        FSYNC_NOTE,
        Load::EndToEnd { topic: FSYNC, records: 10_000, rate: None, beside: Beside::Latency },
    ),
    row("java-os", "Java producer at its defaults, acks=all, 1 KiB records", JAVA_NOTE, Load::Java(OS)),
    row(
        "java-fsync",
        "Java producer at its defaults, acks=all, 1 KiB records, durable against not",
        JAVA_NOTE,
        Load::Java(FSYNC),
    ),
    row("disturbed", "Acknowledgement beside checkpoints and compaction", DISTURBED_NOTE, Load::Disturbed),
    row("idle-connections", "10,000 idle connections", IDLE_CONNECTIONS_NOTE, Load::IdleConnections),
    row(
        "create",
        "Create 1,000 partitions: 100 topics of 10 in one request",
        "Until the leader of every partition answers ListOffsets.",
        Load::Create { topics: 100, partitions_each: 10 },
    ),
    once(
        "partitions-10k",
        "10,000 partitions: 10 topics of 1,000, five in a request",
        PARTITIONS_NOTE,
        Load::Partitions(partitions::Scale::TEN_THOUSAND),
    ),
    Row {
        runs: Runs::Alone,
        long: true,
        ..row(
            "partitions-100k",
            "100,000 partitions: 20 topics of 5,000, a request each",
            "A new broker, once; Millstream alone. Then single records, one in flight, to the partitions of a topic in random order.",
            Load::Partitions(partitions::Scale::HUNDRED_THOUSAND),
        )
    },
    once("loaded", "Memory after 40 GB", LOADED_NOTE, Load::Loaded),
    Row { long: true, ..once("growth", "A partition that grows from 1 GB to 20 GB", GROWTH_NOTE, Load::Growth) },
    once(
        "memory",
        "Memory after all loads",
        "The process that went through all the other loads of this run. CPU over five idle seconds.",
        Load::Memory,
    ),
];

const ROLLING: Topic = Topic { all: &[("segment.bytes", "67108864")], ..OS };
const START_NOTE: &str = "Without topics, nobody else running. A probe that looks every 0.2 ms sees the answer; memory is read when the broker has \
     come to rest, and wakeups are counted over five seconds from then on: how often any of its threads was given a core.";
const OS_NOTE: &str = "All answer when the records are in the page cache, as Kafka does by default.";
const COLD_NOTE: &str = "As above on pages that the system has to get from its host first.";
const FSYNC_NOTE: &str = "Millstream answers when the records are on the disk. Kafka, at its defaults, answers when they are in the page cache \
     and syncs nothing.";
const LZ4_NOTE: &str = "Bytes are those of the compressed batches. All answer when the records are in the page cache.";
const DURABLE_NOTE: &str = "All answer when the records are on the disk: Kafka's topic has `flush.messages=1`. Just before, the disk's own direct, synced \
     writes of that size were measured, as many at once, below the same folder.";
const SEGMENTS_NOTE: &str = "2 GB of 1 MB batches, read from the start again and again; the page cache holds them.";
const TAIL_NOTE: &str = "The last 7 MB of each partition, read again and again just after they were produced.";
const JAVA_NOTE: &str = "kafka-producer-perf-test, one producer, a million records of 1 KiB after as many to warm up. It costs more CPU than the \
     brokers, so much of what is measured is itself.";
const DISTURBED_NOTE: &str = "Batches of 4 KiB, 1,000 a second over 4 connections: first alone, then while 64 MB a second go to another topic, which is \
     some four checkpoints a second, and 10 MB a second of 20,000 keys to a compacted one (segments of 8 MiB, \
     `min.cleanable.dirty.ratio=0.01`). What that one keeps says whether compaction ran.";
const IDLE_CONNECTIONS_NOTE: &str = "Each was greeted with ApiVersions and then says nothing; a new broker says what that takes in memory. The busy connections: 4, batches of 4 KiB, 4,000 a second, acks=1.";
const PARTITIONS_NOTE: &str = "A new broker, once. Until the leader of every partition answers ListOffsets. Then each partition gets a record, and the \
     broker is stopped and started; gets another, and is killed and started.";
const LOADED_NOTE: &str = "A new broker, once: 40 GB in 1 MB batches over 4 connections, acks=all, each broker's own default durability, into 4 \
     partitions of which `retention.bytes` keeps 1 GB each.";
const GROWTH_NOTE: &str = "Once. 1 MB batches, acks=1, durability as Kafka's default. CPU of the broker per record: producing the next 500 MB, and reading \
     64 MB at the head, in the middle and at the end again and again, at 1 GB and then at 20 GB.";

/// How much of a row is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// Amounts are divided by this.
    pub(super) divisor: u64,
}

impl Conditions {
    pub(super) fn scaled(self, amount: u64) -> u64 {
        (amount / self.divisor).max(1)
    }

    pub(super) fn warm_up(self) -> WarmUp {
        WarmUp { bytes: self.scaled(5_000_000_000), requests: self.scaled(100_000) }
    }
}

/// What each broker does before anything counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct WarmUp {
    pub(super) bytes: u64,
    /// With one record each.
    pub(super) requests: u64,
}

impl Row {
    pub(super) fn has(&self, who: Who) -> bool {
        self.runs != Runs::Alone || who == Who::Millstream
    }

    /// What has to be there before the first run.
    pub(super) fn prepare(&self, broker: &Contestant, conditions: Conditions) -> Result<()> {
        if let Load::Fetch(fetch) = &self.load { fetch.prepare(self.name, broker, conditions) } else { Ok(()) }
    }

    /// Runs the load once.
    pub(super) fn run(&self, broker: &mut Contestant, conditions: Conditions) -> Result<Measured> {
        match &self.load {
            Load::Start => idle::start(broker),
            Load::Produce(topic, load) => load.run(self.name, *topic, broker, conditions),
            Load::Fetch(load) => load.run(self.name, broker, conditions),
            Load::EndToEnd { topic, records, rate, beside } => {
                topic.create(self.name, 1, broker)?;
                loads::end_to_end(self.name, conditions.scaled(*records), *rate, *beside, broker)
            }
            Load::Java(topic) => java::run(self.name, *topic, broker, conditions),
            Load::Disturbed => neighbours::disturbed(self.name, broker, conditions),
            Load::IdleConnections => neighbours::idle_connections(self.name, broker, conditions),
            Load::Create { topics, partitions_each } => loads::create(*topics, *partitions_each, broker),
            Load::Partitions(scale) => partitions::run(scale, broker, conditions),
            Load::Loaded => growth::loaded(self.name, broker, conditions),
            Load::Growth => growth::growth(self.name, broker, conditions),
            Load::Memory => idle::memory(broker),
        }
    }

    /// Removes what `prepare` made.
    pub(super) fn clear(&self, broker: &Contestant) -> Result<()> {
        if let Load::Fetch(Fetch { tail: false, .. }) = self.load { broker.delete(self.name) } else { Ok(()) }
    }
}

impl Load {
    /// Whether the brokers that run during the whole comparison have a part in it.
    pub(super) fn needs_running(&self) -> bool {
        !matches!(self, Self::Start | Self::Partitions(_) | Self::Loaded)
    }
}

impl Topic {
    pub(super) const PAGE_CACHE: Self = OS;
    pub(super) const DURABLE: Self = FSYNC;

    pub(super) fn create(&self, name: &str, partitions: u32, broker: &Contestant) -> Result<()> {
        let ours = [("millstream.durability", self.durability)];
        let theirs = if broker.is_kafka() { self.kafka } else { &ours };
        broker.create(name, partitions, &[theirs, self.all].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_none_is_the_beginning_of_a_topic_beside_it() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS.iter().skip(index + 1).all(|other| other.name != row.name), "{}", row.name);
            assert!(row.title.len() > 5 && row.note.ends_with('.'), "{}", row.name);
        }
    }
}
