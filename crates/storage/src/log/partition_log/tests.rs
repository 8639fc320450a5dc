//! `PartitionLog` against a model that is nothing but vectors.

use millstream_model::batch::Batch;
use millstream_model::{ProducerId, Sequence};
use proptest::prelude::*;

use super::*;
use crate::tests::{batch_of, plain, stamp, values};

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Plain {
        records: usize,
    },
    /// A producer's next batch, one of its earlier ones again, or one with a gap.
    Idempotent {
        producer: i64,
        records: usize,
        back: usize,
        gap: bool,
    },
    Durable {
        batches: usize,
    },
    Start {
        ahead: i64,
    },
    Settle,
    Read {
        at: i64,
        bytes: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_usize..4).prop_map(|records| Step::Plain { records }),
        (0_i64..3, 1_usize..4, 0_usize..8, proptest::bool::weighted(0.1))
            .prop_map(|(producer, records, back, gap)| Step::Idempotent { producer, records, back, gap }),
        (0_usize..4).prop_map(|batches| Step::Durable { batches }),
        (0_i64..4).prop_map(|ahead| Step::Start { ahead }),
        Just(Step::Settle),
        (0_i64..40, 0_usize..400).prop_map(|(at, bytes)| Step::Read { at, bytes }),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The model: every batch that was appended, with its place.
#[derive(Debug, Default)]
struct Model {
    batches: Vec<(i64, Batch)>,
    durable: usize,
    log_start: i64,
    /// Per producer: base sequence, records, offset of each of its batches.
    producers: [Vec<(i32, usize, i64)>; 3],
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(base, batch)| base + i64::from(batch.header().records_count))
    }

    fn high_watermark(&self) -> i64 {
        self.batches.get(self.durable).map_or(self.end(), |(base, _)| *base)
    }
}

struct Pair {
    log: PartitionLog,
    model: Model,
    on_its_way: VecDeque<Batch>,
}

impl Pair {
    fn append(&mut self, batch: Batch) {
        let stamped = self.log.stamp(&batch, None);
        self.model.batches.push((self.model.end(), batch.clone()));
        assert_eq!(stamped.header().base_offset.0, self.model.batches.last().expect("just pushed").0);
        self.on_its_way.push_back(batch.placed(stamped.header().base_offset, self.log.leader_epoch));
        self.log.appended(&batch, &stamped, Ticket::default());
    }

    fn idempotent(&mut self, producer: i64, records: usize, back: usize, gap: bool) {
        let history = self.model.producers[producer as usize].clone();
        let next = history.last().map_or(0, |(base, records, _)| base + *records as i32);
        let earlier = history.len().checked_sub(back).and_then(|at| history.get(at)).filter(|_| !gap && back > 0);
        let (sequence, records) =
            earlier.map_or((next + i32::from(gap), records), |(base, records, _)| (*base, *records));
        let batch = batch_of(&vec!["v"; records], 1, stamp(producer, 0, sequence));
        let planned = self.log.plan(std::slice::from_ref(&batch), AppendOrigin::Client);
        match earlier {
            Some((_, records, offset)) if back <= 5 => {
                let (base_offset, last_offset) = (Offset(*offset), Offset(offset + *records as i64 - 1));
                assert_eq!(
                    planned.expect("it is known").0,
                    AppendPlan::Repeats { base_offset, last_offset, timestamp: TimestampMs(1) }
                );
            }
            Some(_) => assert!(planned.is_err(), "older than five is out of order"),
            None if gap && !history.is_empty() => {
                let (producer, found, last) = (ProducerId(producer), Sequence(sequence), Sequence(next - 1));
                assert_eq!(planned.unwrap_err(), SequenceError::OutOfOrder { producer, found, last });
            }
            None => {
                assert_eq!(planned.expect("it follows").0, AppendPlan::Fresh);
                self.model.producers[producer as usize].push((sequence, records, self.model.end()));
                self.append(batch);
            }
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Plain { records } => self.append(plain(&vec!["v"; records], 1)),
            Step::Idempotent { producer, records, back, gap } => self.idempotent(producer, records, back, gap),
            Step::Durable { batches } => {
                for batch in self.on_its_way.drain(..batches.min(self.on_its_way.len())) {
                    self.log.durable(&batch);
                    self.model.durable += 1;
                }
            }
            Step::Start { ahead } => {
                let start = (self.model.log_start + ahead).min(self.model.high_watermark());
                self.model.log_start = start;
                self.log.start_at(Offset(start));
            }
            Step::Settle => {
                self.log.in_segments(self.log.high_watermark);
                self.log.evict_below(Offset(self.model.high_watermark() / 2));
            }
            Step::Read { at, bytes } => self.read(at, bytes),
        }
    }

    fn read(&self, at: i64, bytes: usize) {
        let limit = self.model.high_watermark();
        if at < self.log.tail_start().0 || at >= limit {
            return;
        }
        let read = values(&self.log.read_tail(Offset(at), Offset(limit), bytes, true));
        let first = read.first().expect("at least one batch").0;
        let last = read.last().expect("at least one batch").0;
        assert!(first <= at && last < limit);
        assert_eq!(read.len() as i64, last - first + 1, "contiguous");
    }

    fn compare(&self) {
        let offsets = self.log.offsets();
        let expected = LogOffsets {
            log_start: Offset(self.model.log_start),
            high_watermark: Offset(self.model.high_watermark()),
            last_stable: Offset(self.model.high_watermark()),
            log_end: Offset(self.model.end()),
        };
        assert_eq!(offsets, expected);
        let bytes: usize = self.model.batches.iter().map(|(_, batch)| batch.bytes().len()).sum();
        assert_eq!(self.log.bytes, bytes as u64);
    }
}

proptest! {
    #[test]
    fn a_log_does_what_the_model_does(steps in steps()) {
        let mut log = PartitionLog::new(LoadedLog::default(), LogConfig::default());
        log.lead(LeaderEpoch(0));
        let mut pair = Pair { log, model: Model::default(), on_its_way: VecDeque::new() };
        for step in steps {
            pair.apply(step);
            pair.compare();
        }
    }
}
