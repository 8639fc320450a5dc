//! The load `metadata`: how long until a broker that is just starting answers Metadata with itself in it.
//!
//! Connects in a loop, five thousand times a second while nothing listens; when the connection is taken it waits for the
//! answer, so the probe adds at most a fifth of a millisecond and costs the starting broker nothing.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::metadata::{MetadataRequest, MetadataResponse};
use millstream_protocol::{ApiKey, Decode as _, Decoder, ResponseHeader, frame_length};

use crate::connection::frame;
use crate::error::BenchError;
use crate::report::{Amount, Report, cpu_seconds};

/// Known to every Kafka since 0.11, so that nothing has to be asked first.
const METADATA_VERSION: i16 = 4;
const INTERVAL: Duration = Duration::from_micros(200);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What to wait for.
#[derive(Clone, Debug)]
pub struct Probe {
    /// `host:port`.
    pub address: String,
    pub patience: Duration,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{address} names no address: {source}")]
    Address { address: String, source: io::Error },
    #[error("{address} has not answered Metadata within {patience:?}; the last attempt: {last}")]
    Silent { address: String, patience: Duration, last: String },
    #[error(transparent)]
    Inexpressible(#[from] BenchError),
}

impl Probe {
    /// Waits for the first answer that names a broker. `looking` is called once, when the probe is ready to see it.
    pub fn run(&self, looking: impl FnOnce()) -> Result<Report, ProbeError> {
        let unknown = |source| ProbeError::Address { address: self.address.clone(), source };
        let addresses: Vec<SocketAddr> = self.address.to_socket_addrs().map_err(unknown)?.collect();
        let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
        let request = frame(&request, METADATA_VERSION, 0)?.into_contiguous();
        looking();
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let mut last = "none".to_owned();
        while begun.elapsed() < self.patience {
            for address in &addresses {
                match self.attempt(*address, &request) {
                    Ok(true) => {
                        let (took, amount) = (begun.elapsed(), Amount { requests: 1, ..Amount::default() });
                        return Ok(Report::new("metadata", took, amount, None, cpu_seconds() - cpu));
                    }
                    Ok(false) => "no broker in the answer".clone_into(&mut last),
                    Err(error) => last = error.to_string(),
                }
            }
            std::thread::park_timeout(INTERVAL);
        }
        Err(ProbeError::Silent { address: self.address.clone(), patience: self.patience, last })
    }

    /// Whether the answer names a broker.
    fn attempt(&self, address: SocketAddr, request: &[u8]) -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, self.patience)?;
        if stream.local_addr()? == stream.peer_addr()? {
            // While nobody listens on a port that the system also hands out, a socket can meet itself.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(request)?;
        let mut prefix = [0; 4];
        stream.read_exact(&mut prefix)?;
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let length = frame_length(prefix, ANSWER_BYTES_MAX).map_err(|error| invalid(error.to_string()))?;
        let mut answer = Vec::new();
        if stream.take(length as u64).read_to_end(&mut answer)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut decoder = Decoder::new(Bytes::from(answer));
        ResponseHeader::decode(&mut decoder, ApiKey::Metadata, METADATA_VERSION)
            .and_then(|_| MetadataResponse::decode(&mut decoder, METADATA_VERSION))
            .map(|answer| !answer.brokers.is_empty())
            .map_err(|error| invalid(error.to_string()))
    }
}
