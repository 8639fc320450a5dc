//! One client's connection: frames in, answers out, in the order of the requests. Runs as one task on one worker.
//!
//! Requests of a connection are served one after the other, as Kafka serves them, so that a client may rely on what
//! it sent before. Only Produce requests overlap: each is appended when it is begun, in order, and then waits for
//! its write while the next one is appended, so that one write to disk acknowledges many requests.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use millstream_protocol::FrameLengthError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frames::FrameBuffer;
use super::memory::{AnswerMemoryShare, RequestMemoryPermit};
use super::peer::Peer;
use crate::Broker;
use crate::api::{self, Answer, Begun, RequestError};

/// Produce requests of one connection that may wait for their write at the same time. Clients keep 5 in flight
/// (`max.in.flight.requests.per.connection`), load generators more.
const OVERLAPPING_REQUESTS_MAX: usize = 64;
/// What a peer may send ahead while a request that does not overlap is served.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Slices handed to the system in one vectored write.
const SLICES_PER_WRITE_MAX: usize = 64;
/// A frame that has begun must make progress within this time; it holds request memory.
const FRAME_STALL: Duration = Duration::from_secs(30);
/// And all of it must come at this rate at least, beyond that time: else a byte now and then would hold the memory.
const FRAME_BYTES_PER_SECOND_MIN: usize = 256 * 1024;
/// How long a stopping broker waits for a peer to take more of its answer.
const LAST_ANSWER_STALL: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("the peer closed it")]
    ByPeer,
    #[error("the broker is stopping")]
    Stopping,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
    #[error("a frame did not arrive in full: no byte for {} s", FRAME_STALL.as_secs())]
    Stalled,
    #[error("a frame did not arrive in full: it comes at less than {} KiB/s", FRAME_BYTES_PER_SECOND_MIN / 1024)]
    Slow,
    #[error("its answers are not read: no byte for longer than connections.max.idle.ms")]
    Unread,
    #[error(transparent)]
    Frame(#[from] FrameLengthError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Closed {
    /// Whether the peer broke the protocol, which is worth a line in the log.
    pub(super) fn is_violation(&self) -> bool {
        match self {
            Self::Request(RequestError::Stopping) => false,
            Self::Frame(_) | Self::Request(_) | Self::Stalled | Self::Slow | Self::Unread => true,
            Self::ByPeer | Self::Stopping | Self::Idle | Self::Io(_) => false,
        }
    }
}

/// An answer to come, with the memory that its request holds until then.
type Waiting = BoxFuture<'static, (Result<Answer, RequestError>, RequestMemoryPermit)>;

/// Memory for the frame at the front of what was received, from the moment that its length is known.
enum FrontMemory {
    None,
    /// It comes when others have been answered. Nothing else is going on then: what is missing may be held by this
    /// connection's own requests, and who is given memory must be there to take it.
    Awaited {
        coming: BoxFuture<'static, RequestMemoryPermit>,
        bytes: usize,
    },
    Held {
        memory: RequestMemoryPermit,
        /// When all of the frame must be there.
        due: Instant,
    },
}

impl FrontMemory {
    fn held(memory: RequestMemoryPermit, bytes: usize) -> Self {
        Self::Held { memory, due: frame_due(bytes) }
    }

    /// Resolves when what is awaited has come; never when nothing is. May be dropped before.
    async fn come(&mut self) {
        match self {
            Self::Awaited { coming, bytes } => *self = Self::held(coming.await, *bytes),
            Self::None | Self::Held { .. } => std::future::pending().await,
        }
    }
}

/// When a frame of so many bytes must be there that begins now.
fn frame_due(bytes: usize) -> Instant {
    Instant::now() + FRAME_STALL + Duration::from_secs((bytes / FRAME_BYTES_PER_SECOND_MIN) as u64)
}

pub(super) struct Connection {
    stream: TcpStream,
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    received: FrameBuffer,
    front_memory: FrontMemory,
    waiting: FuturesOrdered<Waiting>,
    /// Whether all of `waiting` may be joined by a further request.
    overlapping: bool,
    /// Slices of answers not yet written.
    outbound: Vec<Bytes>,
    outbound_memory: AnswerMemoryShare,
    last_activity: Instant,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, broker: Arc<Broker>, peer: Arc<Peer>) -> Self {
        let frame_bytes_max = broker.settings().socket_request_bytes_max;
        let outbound_memory = broker.answer_memory().share();
        Self {
            stream,
            broker,
            peer,
            received: FrameBuffer::new(frame_bytes_max),
            front_memory: FrontMemory::None,
            waiting: FuturesOrdered::new(),
            overlapping: true,
            outbound: Vec::new(),
            outbound_memory,
            last_activity: Instant::now(),
        }
    }

    /// Serves the connection until it ends; says why.
    pub(super) async fn serve(mut self, stop: CancellationToken) -> Closed {
        loop {
            if let Err(closed) = self.begin_requests() {
                // What was answered before the violation still goes out, as far as the peer takes it.
                let _ = self.write_answers(&stop).await;
                return closed;
            }
            if let Err(closed) = self.step(&stop).await {
                return closed;
            }
        }
    }

    /// Begins every request that has arrived and may begin.
    fn begin_requests(&mut self) -> Result<(), Closed> {
        while self.may_begin()? {
            let bytes = self.received.complete()?.map_or(0, <[u8]>::len);
            if !self.has_front_memory(bytes) {
                return Ok(());
            }
            let Some(frame) = self.received.take()? else { break };
            let FrontMemory::Held { memory, .. } = std::mem::replace(&mut self.front_memory, FrontMemory::None) else {
                break;
            };
            self.begin(frame, memory)?;
        }
        Ok(())
    }

    /// Whether a whole request is there and the order of answers allows to begin it.
    fn may_begin(&self) -> Result<bool, FrameLengthError> {
        let Some(frame) = self.received.complete()? else { return Ok(false) };
        Ok(self.waiting.is_empty()
            || self.overlapping && self.waiting.len() < OVERLAPPING_REQUESTS_MAX && api::overlaps(frame))
    }

    fn begin(&mut self, frame: Bytes, memory: RequestMemoryPermit) -> Result<(), Closed> {
        self.overlapping = api::overlaps(&frame);
        let waiting: Waiting = match api::begin(&self.broker, &self.peer, frame)? {
            Begun::Answered(answer) if self.waiting.is_empty() => {
                self.gather(answer);
                return Ok(());
            }
            Begun::Answered(answer) => async move { (Ok(answer), memory) }.boxed(),
            Begun::Waiting(answer) => async move { (answer.await, memory) }.boxed(),
        };
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn gather(&mut self, answer: Answer) {
        if let Answer::Frame(frame) = answer {
            self.outbound_memory.add(frame.chunks.iter().map(Bytes::len).sum());
            self.outbound.extend(frame.chunks);
        }
    }

    /// Waits for the next thing to happen, and does it.
    async fn step(&mut self, stop: &CancellationToken) -> Result<(), Closed> {
        let gathered = self.gather_ready()?;
        if !self.outbound.is_empty() {
            return self.write_answers(stop).await;
        }
        if gathered {
            // Records that are not acknowledged leave nothing to write, but a request that was read behind them may begin.
            return Ok(());
        }
        let room = match self.received.incomplete()? {
            Some(bytes) if self.has_front_memory(bytes) => usize::MAX,
            // Without memory for it just enough is read to hear that the peer has gone.
            _ => READ_AHEAD_BYTES_MAX.saturating_sub(self.received.len()),
        };
        let overdue = self.overdue()?;
        tokio::select! {
            biased;
            () = stop.cancelled(), if self.waiting.is_empty() || !self.overlapping => Err(Closed::Stopping),
            Some((answer, _memory)) = self.waiting.next(), if !self.waiting.is_empty() => {
                self.gather(answer?);
                Ok(())
            }
            () = self.front_memory.come() => {
                self.last_activity = Instant::now();
                Ok(())
            }
            read = read(&self.stream, &mut self.received, room), if room > 0 => {
                if read? == 0 {
                    return Err(Closed::ByPeer);
                }
                self.last_activity = Instant::now();
                Ok(())
            }
            closed = overdue => Err(closed),
        }
    }

    /// Gathers the answers that are ready already, so that one write sends them all; whether there were any.
    fn gather_ready(&mut self) -> Result<bool, Closed> {
        let before = self.waiting.len();
        while let Some(Some((answer, _memory))) = self.waiting.next().now_or_never() {
            self.gather(answer?);
        }
        Ok(self.waiting.len() < before)
    }

    /// Takes memory for the frame at the front, or begins to wait for it, and says whether it has it.
    fn has_front_memory(&mut self, bytes: usize) -> bool {
        if let FrontMemory::None = self.front_memory {
            let memory = self.broker.request_memory();
            match memory.try_take(bytes) {
                Some(taken) => self.front_memory = FrontMemory::held(taken, bytes),
                None if self.waiting.is_empty() && self.outbound.is_empty() => {
                    self.front_memory = FrontMemory::Awaited { coming: memory.take(bytes).boxed(), bytes };
                }
                None => {}
            }
        }
        matches!(self.front_memory, FrontMemory::Held { .. })
    }

    /// Resolves when the peer has taken too long, to say for what.
    fn overdue(&self) -> Result<impl Future<Output = Closed> + use<>, FrameLengthError> {
        let idle_max = self.broker.settings().connection_idle_max;
        let end = match self.front_memory {
            FrontMemory::Held { due, .. } if self.received.incomplete()?.is_some() => {
                let stalled = self.last_activity + FRAME_STALL;
                Some(if due < stalled { (due, Closed::Slow) } else { (stalled, Closed::Stalled) })
            }
            // A peer that waits for an answer is not idle; its time begins anew when the answer is written. Nor is one
            // that waits for others' answers.
            FrontMemory::None | FrontMemory::Held { .. } if self.waiting.is_empty() => {
                Some((self.last_activity + idle_max, Closed::Idle))
            }
            FrontMemory::None | FrontMemory::Held { .. } | FrontMemory::Awaited { .. } => None,
        };
        Ok(async move {
            let Some((end, closed)) = end else { return std::future::pending().await };
            tokio::time::sleep_until(end).await;
            closed
        })
    }

    /// Writes everything gathered, several slices at a time.
    async fn write_answers(&mut self, stop: &CancellationToken) -> Result<(), Closed> {
        let mut unsent = std::mem::take(&mut self.outbound);
        let mut first = 0;
        while first < unsent.len() {
            let slices: Vec<IoSlice<'_>> =
                unsent[first..].iter().take(SLICES_PER_WRITE_MAX).map(|slice| IoSlice::new(slice)).collect();
            let mut written = self.write(&slices, stop).await?;
            while first < unsent.len() && written >= unsent[first].len() {
                written -= unsent[first].len();
                first += 1;
            }
            if written > 0 {
                unsent[first].advance(written);
            }
        }
        self.last_activity = Instant::now();
        // Nothing of it was read meanwhile.
        if let (FrontMemory::Held { due, .. }, Some(bytes)) = (&mut self.front_memory, self.received.incomplete()?) {
            *due = frame_due(bytes);
        }
        self.outbound_memory.clear();
        unsent.clear();
        self.outbound = unsent;
        Ok(())
    }

    /// Writes some of the slices; a peer that takes nothing holds neither memory nor a stopping broker for ever.
    async fn write(&mut self, slices: &[IoSlice<'_>], stop: &CancellationToken) -> Result<usize, Closed> {
        let last_call = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWER_STALL).await;
        };
        // What holds much memory is not held for as long as its peer likes.
        let large = self.received.incomplete()?.is_some_and(|bytes| bytes > READ_AHEAD_BYTES_MAX);
        let due = match self.front_memory {
            FrontMemory::Held { due, .. } if large => Some(due),
            FrontMemory::None | FrontMemory::Awaited { .. } | FrontMemory::Held { .. } => None,
        };
        let frame_late = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            written = self.stream.write_vectored(slices) => match written? {
                0 => Err(Closed::ByPeer),
                written => Ok(written),
            },
            () = frame_late => Err(Closed::Slow),
            () = tokio::time::sleep(self.broker.settings().connection_idle_max) => Err(Closed::Unread),
            () = last_call => Err(Closed::Stopping),
        }
    }
}

/// Waits until something has arrived and reads it; a connection that waits and holds nothing has no buffer either.
async fn read(stream: &TcpStream, received: &mut FrameBuffer, bytes_max: usize) -> Result<usize, Closed> {
    loop {
        received.release();
        stream.readable().await?;
        match stream.try_read_buf(received.room(bytes_max)?) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => {
                let bytes = read?;
                received.was_read(bytes);
                return Ok(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
