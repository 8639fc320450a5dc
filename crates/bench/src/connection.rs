//! `Connection`: one non-blocking socket to one broker, driven by one thread. Used by every load.
//!
//! Large frames are not copied on their way out (`queue` keeps slices), and an answer is read into one buffer that is
//! used again (`recycle`), so what a connection costs is the system calls. Waiting is `poll`, which can wait for room to
//! write, an answer and an instant at once: a blocked write never delays the moment at which an answer counts as arrived.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use millstream_protocol::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use millstream_protocol::{
    ApiKey, Decode, Decoder, Encode, Frame, Request, ResponseHeader, frame_length, frame_request,
};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::BenchError;

pub(crate) const CLIENT_ID: &str = "millstream-bench";
/// A broker that says nothing for so long does not answer any more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// A longer answer is a sign that the peer does not speak Kafka.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Room for a read, at least and at first.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// Answers up to this size are copied out of the buffer, longer ones take the buffer with them.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Slices given to one system call.
const SLICES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) address: String,
    stream: TcpStream,
    outgoing: VecDeque<Bytes>,
    outgoing_bytes: usize,
    /// What was read; the first `taken` bytes were given out.
    incoming: Vec<u8>,
    taken: usize,
    versions: Vec<(i16, RangeInclusive<i16>)>,
}

/// A request's answer, still with its header.
pub(crate) struct Answer {
    pub(crate) correlation_id: i32,
    pub(crate) bytes: Bytes,
}

impl Connection {
    /// Connects and learns which versions the broker serves.
    pub(crate) fn open(address: &str) -> Result<Self, BenchError> {
        let stream = connect(address).map_err(|source| BenchError::Connect { address: address.to_owned(), source })?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            incoming: Vec::new(),
            taken: 0,
            versions: Vec::new(),
        };
        // Version 0 is what every broker answers.
        let answer: ApiVersionsResponse = connection.call_in(&ApiVersionsRequest::default(), 0)?;
        if let Some(error) = BenchError::answered("ApiVersions", answer.error_code, None) {
            return Err(error);
        }
        let versions = answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        connection.versions = versions.collect();
        Ok(connection)
    }

    /// The newest version of an API that both sides know, at most `cap`.
    pub(crate) fn version<R: Request>(&self, cap: i16) -> Result<i16, BenchError> {
        let unsupported = || BenchError::Unsupported { address: self.address.clone(), api: R::API_KEY.name() };
        let served = self.versions.iter().find(|(key, _)| *key == R::API_KEY.code()).ok_or_else(unsupported)?;
        let newest = (*served.1.end()).min(*R::VERSIONS.end()).min(cap);
        let oldest = (*served.1.start()).max(*R::VERSIONS.start());
        if newest < oldest { Err(unsupported()) } else { Ok(newest) }
    }

    /// Sends a request and waits for its answer, while nothing else is on its way.
    pub(crate) fn call<R>(&mut self, request: &R, cap: i16) -> Result<R::Response, BenchError>
    where
        R: Request<Response: Decode> + Encode,
    {
        let version = self.version::<R>(cap)?;
        self.call_in(request, version)
    }

    fn call_in<R>(&mut self, request: &R, version: i16) -> Result<R::Response, BenchError>
    where
        R: Request<Response: Decode> + Encode,
    {
        self.queue(&frame(request, version, 0)?);
        let answer = self.receive(R::API_KEY)?;
        self.read_body::<R>(&answer, version)
    }

    /// Decodes an answer's body.
    pub(crate) fn read_body<R: Request<Response: Decode>>(
        &self,
        answer: &Answer,
        version: i16,
    ) -> Result<R::Response, BenchError> {
        let mut decoder = Decoder::new(answer.bytes.clone());
        ResponseHeader::decode(&mut decoder, R::API_KEY, version)
            .and_then(|_| R::Response::decode(&mut decoder, version))
            .and_then(|response| decoder.finish().map(|()| response))
            .map_err(|error| BenchError::malformed(&self.address, R::API_KEY.name(), &error))
    }

    /// Puts a frame behind what is still to be written; shares its bytes.
    pub(crate) fn queue(&mut self, frame: &Frame) {
        self.outgoing.extend(frame.chunks.iter().cloned());
        self.outgoing_bytes += frame.bytes;
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outgoing_bytes
    }

    /// Sends what is queued and waits for one answer.
    pub(crate) fn receive(&mut self, api: ApiKey) -> Result<Answer, BenchError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.send_some()?;
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
            if !self.receive_some()? {
                self.wait(Some(deadline))?;
                if Instant::now() >= deadline {
                    return Err(self.no_answer(api));
                }
            }
        }
    }

    pub(crate) fn no_answer(&self, api: ApiKey) -> BenchError {
        BenchError::NoAnswer { address: self.address.clone(), api: api.name(), seconds: PATIENCE.as_secs() }
    }

    /// Writes as much as the socket takes.
    pub(crate) fn send_some(&mut self) -> Result<(), BenchError> {
        while !self.outgoing.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.outgoing.iter().take(SLICES_MAX).map(|chunk| IoSlice::new(chunk)).collect();
            match self.stream.write_vectored(&slices) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn written(&mut self, mut bytes: usize) {
        self.outgoing_bytes -= bytes;
        while let Some(first) = self.outgoing.front_mut() {
            if first.len() > bytes {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.outgoing.pop_front();
        }
    }

    /// Reads what has come; `false` when nothing has.
    pub(crate) fn receive_some(&mut self) -> Result<bool, BenchError> {
        self.incoming.drain(..std::mem::take(&mut self.taken));
        // Room is made in proportion to what has come, so that a lying length costs nothing.
        let missing = self.answer_bytes()?.map_or(0, |bytes| bytes.saturating_sub(self.incoming.len()));
        let wanted = missing.clamp(READ_BYTES_MIN, self.incoming.len().max(READ_BYTES));
        if self.incoming.capacity() - self.incoming.len() < wanted {
            self.incoming.reserve(wanted);
        }
        match rustix::io::read(&self.stream, spare_capacity(&mut self.incoming)) {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(self.broken(error.into())),
        }
    }

    /// The bytes of the answer that the buffer begins with, its length included; `None` before that has come.
    fn answer_bytes(&self) -> Result<Option<usize>, BenchError> {
        let Some(prefix) = self.incoming[self.taken..].first_chunk() else { return Ok(None) };
        let length = frame_length(*prefix, ANSWER_BYTES_MAX);
        let length = length.map_err(|error| self.broken(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Some(4 + length))
    }

    /// The next answer that has come whole.
    pub(crate) fn take_answer(&mut self) -> Result<Option<Answer>, BenchError> {
        let Some(bytes) = self.answer_bytes()? else { return Ok(None) };
        if self.incoming.len() - self.taken < bytes {
            return Ok(None);
        }
        let whole = if self.taken == 0 && bytes > COPIED_BYTES_MAX {
            // What came behind it is little, because the buffer is about as large as an answer.
            let rest = self.incoming.split_off(bytes);
            Bytes::from(std::mem::replace(&mut self.incoming, rest))
        } else {
            self.taken += bytes;
            Bytes::copy_from_slice(&self.incoming[self.taken - bytes..self.taken])
        };
        let bytes = whole.slice(4..);
        let invalid = || self.broken(io::Error::new(io::ErrorKind::InvalidData, "an answer without a correlation id"));
        let id = bytes.first_chunk().ok_or_else(invalid)?;
        Ok(Some(Answer { correlation_id: i32::from_be_bytes(*id), bytes }))
    }

    /// Gives an answer's memory back, to be read into again.
    pub(crate) fn recycle(&mut self, answer: Answer) {
        let mut bytes = answer.bytes;
        if bytes.len() <= COPIED_BYTES_MAX || !self.incoming.is_empty() {
            return;
        }
        bytes.truncate(1); // what is left is moved to the front; with nothing left the memory would be gone
        let mut memory = Vec::from(bytes);
        memory.clear();
        if memory.capacity() > self.incoming.capacity() {
            self.incoming = memory;
        }
    }

    /// Waits until an answer comes, the socket takes more of what is queued, or the instant has come.
    pub(crate) fn wait(&self, until: Option<Instant>) -> Result<(), BenchError> {
        let mut events = PollFlags::IN;
        if !self.outgoing.is_empty() {
            events |= PollFlags::OUT;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(&mut [PollFd::new(&self.stream, events)], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(self.broken(error.into())),
        }
    }

    fn broken(&self, source: io::Error) -> BenchError {
        BenchError::Broken { address: self.address.clone(), source }
    }
}

/// A whole frame of a request.
pub(crate) fn frame<R: Request + Encode>(request: &R, version: i16, id: i32) -> Result<Frame, BenchError> {
    Ok(frame_request(request, version, id, Some(CLIENT_ID))?)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, CONNECT_PATIENCE) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
