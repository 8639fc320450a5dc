//! One connection to one broker: requests are pipelined, answers are matched by correlation id.
//!
//! Two tasks own the halves of the socket; both end when the connection is dropped, closed, or fails, and then every
//! waiting call gets `Disconnected`. A request that gets no answer in time closes the connection, since nothing that
//! is pipelined behind it can be trusted to arrive either.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream_protocol::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use millstream_protocol::{
    ApiKey, Decode, Decoder, Encode, ErrorCode, Frame, Message, Request, ResponseHeader, frame_length, frame_request,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Error;
use crate::error::{check, error_code};

/// Frames that wait for the socket; callers wait beyond that.
const OUTGOING_FRAMES_MAX: usize = 64;
/// A longer answer is a sign that the peer does not speak Kafka.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Room for an answer is made in steps, so that a lying length costs nothing.
const READ_STEP_BYTES: usize = 1 << 20;

/// Answers that are awaited, by correlation id; `None` when the connection is gone.
type Pending = Mutex<Option<HashMap<i32, oneshot::Sender<Bytes>>>>;

/// Why the connection ended, for those who wait.
type Reason = Mutex<Option<String>>;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) address: String,
    client_id: String,
    request_timeout: Duration,
    next_correlation_id: AtomicI32,
    outgoing: mpsc::Sender<Frame>,
    shared: Arc<Shared>,
    versions: HashMap<ApiKey, RangeInclusive<i16>>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    pending: Pending,
    reason: Reason,
    closed: CancellationToken,
}

impl Shared {
    /// Ends the connection; the first reason is kept, and whoever waits learns of it.
    fn close(&self, reason: impl Into<String>) {
        self.reason.lock().get_or_insert_with(|| reason.into());
        drop(self.pending.lock().take());
        self.closed.cancel();
    }
}

impl Connection {
    /// Connects and learns which versions the broker serves.
    pub(crate) async fn open(
        address: String,
        client_id: String,
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> Result<Self, Error> {
        let failed = |reason: String| Error::Connect { address: address.clone(), reason };
        let stream = tokio::time::timeout(connect_timeout, TcpStream::connect(&address)).await;
        let stream = stream.map_err(|_| failed("it took too long".to_owned()))?;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let (read, write) = stream.into_split();
        let (outgoing, frames) = mpsc::channel(OUTGOING_FRAMES_MAX);
        let closed = CancellationToken::new();
        let shared = Arc::new(Shared {
            pending: Mutex::new(Some(HashMap::new())),
            reason: Mutex::new(None),
            closed: closed.clone(),
        });
        tokio::spawn(run_writer(write, frames, shared.clone()));
        tokio::spawn(run_reader(read, shared.clone()));
        let mut connection = Self {
            address,
            client_id,
            request_timeout,
            next_correlation_id: AtomicI32::new(0),
            outgoing,
            shared,
            versions: HashMap::new(),
            _stop: closed.drop_guard(),
        };
        let deadline = Instant::now() + request_timeout;
        connection.versions = connection.negotiate(deadline).await?;
        Ok(connection)
    }

    /// Asks in the newest version; a broker that does not know it answers in version 0 with error 35 (KIP-511).
    async fn negotiate(&self, deadline: Instant) -> Result<HashMap<ApiKey, RangeInclusive<i16>>, Error> {
        let request = ApiVersionsRequest {
            client_software_name: "millstream".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        };
        // Version 3 is the newest that carries only what this client has to say.
        let call = self.start_in(&request, 3).await?;
        let bytes = call.bytes(self, deadline).await?;
        let refused = self.decode::<ApiVersionsRequest>(bytes.clone(), 0);
        let answer = match refused {
            Ok(answer) if error_code(answer.error_code) == ErrorCode::UnsupportedVersion => {
                let call = self.start_in(&ApiVersionsRequest::default(), 0).await?;
                call.answer(self, deadline).await?
            }
            _ => self.decode::<ApiVersionsRequest>(bytes, 3)?,
        };
        check(answer.error_code, None)?;
        Ok(ranges(&answer))
    }

    /// The newest version of an API that both sides know, below a cap of the caller's.
    pub(crate) fn version<R: Request>(&self, cap: i16) -> Result<i16, Error> {
        let unsupported = || Error::UnsupportedApi { api: R::API_KEY, address: self.address.clone() };
        let served = self.versions.get(&R::API_KEY).ok_or_else(unsupported)?;
        let newest = (*served.end()).min(*R::VERSIONS.end()).min(cap);
        if newest < (*served.start()).max(*R::VERSIONS.start()) { Err(unsupported()) } else { Ok(newest) }
    }

    /// What the broker serves, in the order of the keys' numbers.
    pub(crate) fn versions(&self) -> Vec<(ApiKey, RangeInclusive<i16>)> {
        let mut versions: Vec<_> = self.versions.iter().map(|(key, range)| (*key, range.clone())).collect();
        versions.sort_by_key(|(key, _)| *key);
        versions
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.shared.closed.is_cancelled()
    }

    /// Sends a request in the newest common version, at most `cap`, and waits for its answer.
    pub(crate) async fn call<R>(&self, request: &R, cap: i16) -> Result<R::Response, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        self.call_within(request, cap, self.request_timeout).await
    }

    /// As `call`, for requests that the broker may hold back for a while.
    pub(crate) async fn call_within<R>(&self, request: &R, cap: i16, timeout: Duration) -> Result<R::Response, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        let deadline = Instant::now() + timeout;
        self.start(request, cap).await?.answer(self, deadline).await
    }

    /// Sends a request; when this returns, requests that start later stand behind it.
    pub(crate) async fn start<R>(&self, request: &R, cap: i16) -> Result<Call<R>, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        self.start_in(request, self.version::<R>(cap)?).await
    }

    async fn start_in<R>(&self, request: &R, version: i16) -> Result<Call<R>, Error>
    where
        R: Request<Response: Decode> + Encode,
    {
        let id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = self.frame(request, version, id)?;
        let (sender, answer) = oneshot::channel();
        match self.shared.pending.lock().as_mut() {
            Some(pending) => pending.insert(id, sender),
            None => return Err(self.lost()),
        };
        self.outgoing.send(frame).await.map_err(|_| self.lost())?;
        Ok(Call { version, answer, request: std::marker::PhantomData })
    }

    /// Sends a request that is never answered (Produce with acks=0).
    pub(crate) async fn tell<R: Request + Encode>(&self, request: &R, cap: i16) -> Result<(), Error> {
        let id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = self.frame(request, self.version::<R>(cap)?, id)?;
        self.outgoing.send(frame).await.map_err(|_| self.lost())
    }

    fn frame<R: Request + Encode>(&self, request: &R, version: i16, id: i32) -> Result<Frame, Error> {
        frame_request(request, version, id, Some(&self.client_id))
            .map_err(|error| Error::Inexpressible(error.to_string()))
    }

    fn decode<R: Request<Response: Decode>>(&self, bytes: Bytes, version: i16) -> Result<R::Response, Error> {
        let mut decoder = Decoder::new(bytes);
        ResponseHeader::decode(&mut decoder, R::API_KEY, version)
            .and_then(|_| R::Response::decode(&mut decoder, version))
            .and_then(|response| decoder.finish().map(|()| response))
            .map_err(|error| Error::Malformed {
                from: self.address.clone(),
                reason: format!("{} version {version}: {error}", <R::Response as Message>::NAME),
            })
    }

    #[cfg(test)]
    pub(crate) fn cut(&self) {
        self.shared.close("cut by the test");
    }

    fn lost(&self) -> Error {
        let reason = self.shared.reason.lock().clone().unwrap_or_else(|| "closed".to_owned());
        Error::Disconnected { address: self.address.clone(), reason }
    }
}

fn ranges(answer: &ApiVersionsResponse) -> HashMap<ApiKey, RangeInclusive<i16>> {
    let known = answer.api_keys.iter().filter_map(|api| Some((ApiKey::from_code(api.api_key)?, api)));
    known.map(|(key, api)| (key, api.min_version..=api.max_version)).collect()
}

/// A request that is on its way.
#[derive(Debug)]
pub(crate) struct Call<R> {
    version: i16,
    answer: oneshot::Receiver<Bytes>,
    request: std::marker::PhantomData<fn() -> R>,
}

impl<R: Request<Response: Decode>> Call<R> {
    /// Waits for the answer, on the connection that started the call; none by the deadline closes the connection.
    pub(crate) async fn answer(self, connection: &Connection, deadline: Instant) -> Result<R::Response, Error> {
        let version = self.version;
        let bytes = self.bytes(connection, deadline).await?;
        connection.decode::<R>(bytes, version)
    }

    async fn bytes(self, connection: &Connection, deadline: Instant) -> Result<Bytes, Error> {
        let began = Instant::now();
        match timeout_at(deadline, self.answer).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(connection.lost()),
            Err(_) => {
                let what = format!("{} to {}", R::API_KEY.name(), connection.address);
                connection.shared.close(format!("no answer to {}", R::API_KEY.name()));
                Err(Error::Timeout { what, after: began.elapsed() })
            }
        }
    }
}

/// Owns the sending half.
async fn run_writer(mut socket: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>, shared: Arc<Shared>) {
    let write = async {
        while let Some(frame) = frames.recv().await {
            for chunk in frame.chunks {
                socket.write_all(&chunk).await?;
            }
        }
        io::Result::Ok(())
    };
    let ended = tokio::select! {
        ended = write => ended,
        () = shared.closed.cancelled() => return,
    };
    if let Err(error) = ended {
        shared.close(error.to_string());
    }
}

/// Owns the receiving half.
async fn run_reader(socket: OwnedReadHalf, shared: Arc<Shared>) {
    let ended = tokio::select! {
        ended = read_answers(socket, &shared) => ended,
        () = shared.closed.cancelled() => return,
    };
    shared.close(ended.map_or_else(|error| error.to_string(), |()| "closed by the broker".to_owned()));
}

async fn read_answers(mut socket: OwnedReadHalf, shared: &Shared) -> io::Result<()> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    loop {
        if !read_to(&mut socket, &mut buffer, 4).await? {
            return Ok(());
        }
        let prefix = *buffer.first_chunk().expect("four bytes were read");
        let length = frame_length(prefix, ANSWER_BYTES_MAX).map_err(|error| invalid(error.to_string()))?;
        if !read_to(&mut socket, &mut buffer, 4 + length).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = buffer.split_to(4 + length).freeze().slice(4..);
        let id = answer.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        let id = id.ok_or_else(|| invalid("an answer without a correlation id".to_owned()))?;
        let waiting = shared.pending.lock().as_mut().and_then(|pending| pending.remove(&id));
        let waiting = waiting.ok_or_else(|| invalid(format!("an answer to nothing: correlation id {id}")))?;
        let _ = waiting.send(answer); // nobody waits any more when the caller gave up
    }
}

/// Reads until the buffer holds `bytes`; `false` when the stream ended cleanly before the first.
async fn read_to(socket: &mut OwnedReadHalf, buffer: &mut BytesMut, bytes: usize) -> io::Result<bool> {
    while buffer.len() < bytes {
        buffer.reserve((bytes - buffer.len()).min(READ_STEP_BYTES));
        if socket.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
