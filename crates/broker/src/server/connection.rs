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
            Self::Frame(_) | Self::Request(_) | Self::Stalled | Self::Unread => true,
            Self::ByPeer | Self::Stopping | Self::Idle | Self::Io(_) => false,
        }
    }
}

/// An answer to come, with the memory that its request holds until then.
type Waiting = BoxFuture<'static, (Result<Answer, RequestError>, RequestMemoryPermit)>;

pub(super) struct Connection {
    stream: TcpStream,
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    received: FrameBuffer,
    /// Memory for the frame at the front of `received`, from the moment that its length is known.
    front_memory: Option<RequestMemoryPermit>,
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
            front_memory: None,
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
            if let Err(closed) = self.begin_requests().await {
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
    async fn begin_requests(&mut self) -> Result<(), Closed> {
        while self.may_begin()? {
            let bytes = self.received.complete()?.map_or(0, <[u8]>::len);
            if !self.take_front_memory(bytes).await {
                return Ok(());
            }
            let (Some(frame), Some(memory)) = (self.received.take()?, self.front_memory.take()) else { break };
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
        let may_read = match self.received.incomplete()? {
            Some(bytes) => self.take_front_memory(bytes).await,
            None => self.waiting.is_empty() || self.received.len() < READ_AHEAD_BYTES_MAX,
        };
        let deadline = self.deadline();
        tokio::select! {
            biased;
            () = stop.cancelled(), if self.waiting.is_empty() || !self.overlapping => Err(Closed::Stopping),
            Some((answer, _memory)) = self.waiting.next(), if !self.waiting.is_empty() => {
                self.gather(answer?);
                Ok(())
            }
            read = read(&self.stream, &mut self.received), if may_read => {
                if read? == 0 {
                    return Err(Closed::ByPeer);
                }
                self.last_activity = Instant::now();
                Ok(())
            }
            // A peer that waits for an answer is not idle; its time begins anew when the answer is written.
            () = tokio::time::sleep_until(deadline), if self.waiting.is_empty() => Err(self.overdue()),
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

    /// Takes memory for the frame at the front, and says whether it has it. Waits for it only when no answer is
    /// outstanding: the memory that is missing may be held by this connection's own requests.
    async fn take_front_memory(&mut self, bytes: usize) -> bool {
        if self.front_memory.is_none() {
            self.front_memory = match self.broker.request_memory().try_take(bytes) {
                None if self.waiting.is_empty() => Some(self.broker.request_memory().take(bytes).await),
                taken => taken,
            };
        }
        self.front_memory.is_some()
    }

    fn deadline(&self) -> Instant {
        let patience =
            if self.front_memory.is_some() { FRAME_STALL } else { self.broker.settings().connection_idle_max };
        self.last_activity + patience
    }

    fn overdue(&self) -> Closed {
        if self.front_memory.is_some() { Closed::Stalled } else { Closed::Idle }
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
        tokio::select! {
            biased;
            written = self.stream.write_vectored(slices) => match written? {
                0 => Err(Closed::ByPeer),
                written => Ok(written),
            },
            () = tokio::time::sleep(self.broker.settings().connection_idle_max) => Err(Closed::Unread),
            () = last_call => Err(Closed::Stopping),
        }
    }
}

/// Waits until something has arrived and reads it; a connection that waits and holds nothing has no buffer either.
async fn read(stream: &TcpStream, received: &mut FrameBuffer) -> Result<usize, Closed> {
    loop {
        received.release();
        stream.readable().await?;
        match stream.try_read_buf(received.room()?) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Ok(read?),
        }
    }
}
