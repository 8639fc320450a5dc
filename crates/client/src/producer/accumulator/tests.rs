//! Order, sequences and epochs of one partition's batches over every way of failing.

use std::ops::Range;

use tokio::sync::Semaphore;

use super::*;

const BATCH_BYTES: usize = 200;

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn accumulator() -> Accumulator {
    let mut accumulator = Accumulator::new(BATCH_BYTES, Compression::None, true);
    accumulator.set_identity(ProducerId(9), ProducerEpoch(0));
    accumulator
}

/// Appends records that fill a batch each.
fn fill(accumulator: &mut Accumulator, count: usize) -> Vec<watch::Receiver<Option<Outcome>>> {
    let memory = std::sync::Arc::new(Semaphore::new(1000));
    let append = |accumulator: &mut Accumulator| {
        let permit = memory.clone().try_acquire_owned().unwrap();
        let value = [0; BATCH_BYTES];
        accumulator.append(&partition(), TimestampMs(0), (None, Some(&value), &[]), permit).unwrap().outcome
    };
    (0..count).map(|_| append(accumulator)).collect()
}

fn readiness(max_in_flight: usize) -> Readiness {
    Readiness { now: Instant::now(), linger: Duration::from_secs(5), starved: false, max_in_flight }
}

fn is_ready(accumulator: &Accumulator) -> bool {
    !accumulator.ready(&readiness(5)).0.is_empty()
}

fn take(accumulator: &mut Accumulator, count: usize) -> Vec<SealedBatch> {
    (0..count)
        .map(|_| {
            assert!(is_ready(accumulator));
            accumulator.take(&partition()).unwrap()
        })
        .collect()
}

fn sequences(batches: &[SealedBatch]) -> Vec<(i16, i32)> {
    let header = |batch: &SealedBatch| *batch.batch.header();
    batches.iter().map(header).map(|header| (header.producer_epoch.0, header.base_sequence.0)).collect()
}

fn at(base_offset: i64) -> AppendedAt {
    AppendedAt { base_offset, log_append_time: TimestampMs::NONE }
}

fn error() -> Error {
    Error::Closed
}

fn retry_all(accumulator: &mut Accumulator, batches: Vec<SealedBatch>, order: impl Iterator<Item = usize>) {
    let mut batches: Vec<_> = batches.into_iter().map(Some).collect();
    for i in order {
        accumulator.retry(&partition(), batches[i].take().unwrap(), Instant::now());
    }
}

#[test]
fn at_most_as_many_batches_leave_as_may_be_in_flight() {
    let mut accumulator = accumulator();
    fill(&mut accumulator, 7);
    assert_eq!(sequences(&take(&mut accumulator, 5)), [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
    assert!(!is_ready(&accumulator));
}

#[test]
fn retries_go_one_at_a_time_in_their_first_order_before_anything_new() {
    for order in [vec![0, 1, 2], vec![2, 1, 0], vec![1, 2, 0]] {
        let mut accumulator = accumulator();
        fill(&mut accumulator, 4);
        let batches = take(&mut accumulator, 3);
        retry_all(&mut accumulator, batches, order.into_iter());
        for sequence in 0..3 {
            let again = take(&mut accumulator, 1);
            assert_eq!(sequences(&again), [(0, sequence)]);
            assert_eq!(
                is_ready(&accumulator),
                sequence == 2,
                "a retry is alone on its way while others wait for theirs"
            );
            accumulator.succeed(&partition(), again.into_iter().next().unwrap(), at(sequence.into()));
        }
        assert_eq!(sequences(&take(&mut accumulator, 1)), [(0, 3)]);
    }
}

#[test]
fn nothing_new_leaves_while_a_failed_batch_has_others_on_their_way() {
    let mut accumulator = accumulator();
    fill(&mut accumulator, 4);
    let mut batches = take(&mut accumulator, 3).into_iter();
    accumulator.retry(&partition(), batches.next().unwrap(), Instant::now());
    assert!(!is_ready(&accumulator));
    for batch in batches {
        assert!(!is_ready(&accumulator));
        accumulator.retry(&partition(), batch, Instant::now());
    }
    assert!(is_ready(&accumulator));
}

#[test]
fn after_a_batch_is_given_up_the_rest_goes_on_in_a_new_epoch_from_zero() {
    let mut accumulator = accumulator();
    let mut outcomes = fill(&mut accumulator, 4);
    let mut batches = take(&mut accumulator, 3).into_iter();
    accumulator.fail(&partition(), batches.next().unwrap(), error());
    assert_eq!(*outcomes[0].borrow_and_update(), Some(Err(error())));
    assert!(!is_ready(&accumulator), "the old epoch is still on its way");
    batches.for_each(|batch| accumulator.retry(&partition(), batch, Instant::now()));
    for (sequence, offset) in [(0, 10), (1, 11), (2, 12)] {
        let next = take(&mut accumulator, 1);
        assert_eq!(sequences(&next), [(1, sequence)]);
        Batch::parse(next[0].batch.bytes().clone()).unwrap();
        accumulator.succeed(&partition(), next.into_iter().next().unwrap(), at(offset));
    }
    assert_eq!(*outcomes[3].borrow_and_update(), Some(Ok(at(12))));
}

#[test]
fn used_up_epochs_ask_for_a_new_producer_id() {
    let mut accumulator = accumulator();
    accumulator.set_identity(ProducerId(9), ProducerEpoch(i16::MAX - 1));
    fill(&mut accumulator, 2);
    let first = take(&mut accumulator, 1).into_iter().next().unwrap();
    accumulator.fail(&partition(), first, error());
    assert!(accumulator.take(&partition()).is_none());
    assert!(!accumulator.may_stamp());
    accumulator.set_identity(ProducerId(10), ProducerEpoch(0));
    let next = take(&mut accumulator, 1);
    assert_eq!((sequences(&next), next[0].batch.header().producer_id), (vec![(0, 0)], ProducerId(10)));
}

#[test]
fn a_batch_lingers_until_it_is_full_flushed_or_memory_is_short() {
    let mut accumulator = accumulator();
    let memory = std::sync::Arc::new(Semaphore::new(10));
    let small = |accumulator: &mut Accumulator| {
        let permit = memory.clone().try_acquire_owned().unwrap();
        accumulator.append(&partition(), TimestampMs(0), (None, Some(b"x"), &[]), permit).unwrap()
    };
    assert_eq!((small(&mut accumulator).wakes, small(&mut accumulator).wakes), (true, false));
    let (ready, next) = accumulator.ready(&readiness(5));
    assert!(ready.is_empty() && next.is_some());
    let late = Readiness { now: Instant::now() + Duration::from_secs(6), ..readiness(5) };
    assert_eq!(accumulator.ready(&late).0, [partition()]);
    assert_eq!(accumulator.ready(&Readiness { starved: true, ..readiness(5) }).0, [partition()]);
    assert_eq!(accumulator.begin_flush().len(), 1);
    assert!(is_ready(&accumulator));
    let batch = take(&mut accumulator, 1).into_iter().next().unwrap();
    assert_eq!((batch.batch.header().records_count, memory.available_permits()), (2, 8));
    accumulator.succeed(&partition(), batch, at(0));
    assert_eq!(memory.available_permits(), 10, "its memory is free again");
}

#[test]
fn what_is_too_old_is_given_up_unless_it_is_on_its_way() {
    let mut accumulator = accumulator();
    let outcomes = fill(&mut accumulator, 3);
    let mut taken = take(&mut accumulator, 2).into_iter();
    accumulator.retry(&partition(), taken.next().unwrap(), Instant::now());
    let age = Duration::from_secs(120);
    assert!(accumulator.next_expiry(age).is_some());
    accumulator.expire(Instant::now() + age, age);
    let settled = |range: Range<usize>| outcomes[range].iter().map(|one| one.borrow().is_some()).collect::<Vec<_>>();
    assert_eq!(settled(0..3), [true, false, true]);
    accumulator.succeed(&partition(), taken.next().unwrap(), at(1));
    fill(&mut accumulator, 1);
    assert_eq!(sequences(&take(&mut accumulator, 1)), [(1, 0)], "the given-up sequence left a gap");
}
