//! `Pipeline`: keeps a connection's requests in flight and times their answers. Driven by the thread of the connection, for
//! the loads that send as fast as answers come or at a rate: produce and fetch.
//!
//! A request's latency counts from when its first byte could be written, because what is queued behind 256 KiB
//! of other requests waits for this process and not for the broker.

use std::collections::VecDeque;
use std::time::Instant;

use millstream_protocol::{ApiKey, Frame};

use crate::connection::{Answer, Connection, PATIENCE};
use crate::error::{AnswerErrors, BenchError};
use crate::histogram::Histogram;
use crate::quota::{Pace, Quota};
use crate::report::Amount;

/// As long as less than this waits for the socket, one more request is queued.
const QUEUED_BYTES_MAX: usize = 256 * 1024;

/// What a load asks and what it makes of the answers.
pub(crate) trait Exchange {
    const API: ApiKey;

    /// The next request's frame and the number that identifies its answer; `None` while there is nothing to ask.
    fn next(&mut self, connection: &Connection) -> Result<Option<(i32, Frame)>, BenchError>;

    /// Reads an answer: what it is worth. `None` when it carried an error, which is noted.
    fn answered(
        &mut self,
        connection: &Connection,
        answer: &Answer,
        errors: &mut AnswerErrors,
    ) -> Result<Option<Amount>, BenchError>;

    /// Whether requests are answered at all (Produce with acks=0 is not), and what one that is not is worth.
    fn unanswered(&self) -> Option<Amount> {
        None
    }
}

pub(crate) struct Pipeline<'a, E> {
    connection: &'a mut Connection,
    exchange: E,
    quota: &'a Quota<'a>,
    pace: Pace,
    in_flight: usize,
    sent: VecDeque<(i32, Instant)>,
    errors: AnswerErrors,
    latency: Histogram,
    amount: Amount,
}

/// What one connection saw.
pub(crate) struct Outcome {
    pub(crate) amount: Amount,
    pub(crate) latency: Histogram,
}

impl<'a, E: Exchange> Pipeline<'a, E> {
    pub(crate) fn new(
        connection: &'a mut Connection,
        exchange: E,
        quota: &'a Quota<'a>,
        pace: Pace,
        in_flight: usize,
    ) -> Self {
        let (sent, errors, latency) = (VecDeque::new(), AnswerErrors::default(), Histogram::new());
        Self { connection, exchange, quota, pace, in_flight, sent, errors, latency, amount: Amount::default() }
    }

    /// Runs until the quota is used up, there is nothing more to ask, or an error; then everything that was sent has
    /// been answered.
    pub(crate) fn run(mut self) -> Result<Outcome, BenchError> {
        let driven = self.drive();
        if driven.is_err() {
            self.quota.close();
        }
        driven?;
        self.errors.into_result()?;
        Ok(Outcome { amount: self.amount, latency: self.latency })
    }

    fn drive(&mut self) -> Result<(), BenchError> {
        let mut heard = Instant::now();
        loop {
            let ended = self.ask()?;
            self.connection.send_some()?;
            if ended && self.sent.is_empty() && self.connection.unsent_bytes() == 0 {
                return Ok(());
            }
            if self.wants_to_ask(ended) {
                continue;
            }
            self.connection.wait(Some(self.wake_at(ended, heard)))?;
            let now = Instant::now();
            if self.hear()? || self.sent.is_empty() {
                heard = now;
            } else if now - heard > PATIENCE {
                return Err(self.connection.no_answer(E::API));
            }
        }
    }

    /// Whether another request may be queued at once.
    fn wants_to_ask(&self, ended: bool) -> bool {
        !ended
            && self.pace.due().is_none()
            && self.sent.len() < self.in_flight
            && self.connection.unsent_bytes() == 0
            && self.exchange.unanswered().is_some()
    }

    /// Queues what may go now; whether nothing will follow.
    fn ask(&mut self) -> Result<bool, BenchError> {
        while self.sent.len() < self.in_flight && self.connection.unsent_bytes() < QUEUED_BYTES_MAX {
            let now = Instant::now();
            if !self.quota.is_open(now) {
                return Ok(true);
            }
            if self.pace.due().is_some_and(|due| due > now) {
                return Ok(false);
            }
            let Some((id, frame)) = self.exchange.next(self.connection)? else {
                // An answer that is still to come may bring more to ask for.
                return Ok(self.sent.is_empty());
            };
            if !self.quota.take_request(now) {
                return Ok(true);
            }
            self.connection.queue(&frame);
            let from = self.pace.sent(now);
            match self.exchange.unanswered() {
                None => self.sent.push_back((id, from)),
                Some(amount) => self.count(amount),
            }
        }
        Ok(!self.quota.is_open(Instant::now()))
    }

    fn wake_at(&self, ended: bool, heard: Instant) -> Instant {
        let patience = heard + PATIENCE;
        let room = self.sent.len() < self.in_flight;
        let next = if ended || !room { None } else { self.pace.due() };
        let Some(due) = next else { return patience };
        due.min(patience).min(self.quota.deadline.unwrap_or(due))
    }

    /// Reads what has come; whether that was something.
    fn hear(&mut self) -> Result<bool, BenchError> {
        if !self.connection.receive_some()? {
            return Ok(false);
        }
        let now = Instant::now();
        while let Some(answer) = self.connection.take_answer()? {
            let Some((id, from)) = self.sent.pop_front() else {
                return Err(self.out_of_order(&answer, None));
            };
            if id != answer.correlation_id {
                return Err(self.out_of_order(&answer, Some(id)));
            }
            self.latency.record(now.saturating_duration_since(from));
            match self.exchange.answered(self.connection, &answer, &mut self.errors)? {
                Some(amount) => self.count(amount),
                None => self.quota.close(),
            }
            self.connection.recycle(answer);
        }
        Ok(true)
    }

    fn count(&mut self, amount: Amount) {
        self.amount += amount;
        self.quota.answered(amount.bytes);
    }

    fn out_of_order(&self, answer: &Answer, expected: Option<i32>) -> BenchError {
        let expected = expected.map_or("none was due".to_owned(), |id| format!("{id} was due"));
        let reason = format!("it answers request {}, but {expected}", answer.correlation_id);
        BenchError::Malformed { address: self.connection.address.clone(), api: E::API.name(), reason }
    }
}

impl Outcome {
    /// Runs each connection on a thread of its own. All together; the first failure if one failed, an error answer before
    /// a broken connection.
    pub(crate) fn of_each<T: Send>(
        connections: impl IntoIterator<Item = T>,
        run: impl Fn(T) -> Result<Self, BenchError> + Sync,
    ) -> Result<(Amount, Histogram), BenchError> {
        let run = &run;
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                connections.into_iter().map(|connection| scope.spawn(move || run(connection))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a connection's thread does not panic")).collect()
        });
        let (mut amount, mut latency, mut failed) = (Amount::default(), Histogram::new(), None);
        for outcome in outcomes {
            match outcome {
                Ok(outcome) => {
                    amount += outcome.amount;
                    latency.merge(&outcome.latency);
                }
                Err(error) if failed.is_none() || error.code().is_some() => failed = Some(error),
                Err(_) => {}
            }
        }
        failed.map_or(Ok((amount, latency)), Err)
    }
}
