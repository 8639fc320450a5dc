//! A broker on a free port over a temporary directory, and a peer that speaks to it frame by frame.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use millstream_broker::{BrokerOptions, Origin, RunningBroker, StaticConfig, start};
use millstream_protocol::{Decode, Decoder, Encode, Request, ResponseHeader, frame_request};
use tempfile::TempDir;

use crate::observed::{self, NoPanics, RUNTIME_THREAD};

/// Long enough for a busy machine; what waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running broker with its data.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    running: Option<RunningBroker>,
    directory: TempDir,
    _no_panics: NoPanics,
}

impl Server {
    pub(crate) fn start(configs: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), configs)
    }

    pub(crate) fn start_in(directory: TempDir, configs: &[(&str, &str)]) -> Self {
        let options = options(directory.path(), configs);
        Self::start_with(directory, options)
    }

    /// A process that is several nodes.
    pub(crate) fn start_nodes(nodes: u32, configs: &[(&str, &str)]) -> Self {
        Self::start_nodes_in(TempDir::new().unwrap(), nodes, configs)
    }

    pub(crate) fn start_nodes_in(directory: TempDir, nodes: u32, configs: &[(&str, &str)]) -> Self {
        let options = BrokerOptions { nodes, ..options(directory.path(), configs) };
        Self::start_with(directory, options)
    }

    fn start_with(directory: TempDir, options: BrokerOptions) -> Self {
        observed::watch();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name(RUNTIME_THREAD).enable_all().build().unwrap();
        let running = runtime.block_on(start(options)).unwrap();
        Self { runtime, running: Some(running), directory, _no_panics: NoPanics }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// One for each node.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.running.as_ref().expect("the server runs until it is stopped").addresses().to_vec()
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.address())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A whole reading of `/metrics`, by its name without the prefix.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.reading(name) as u64
    }

    /// A reading of `/metrics`, by its name without the prefix; its labels belong to the name.
    pub(crate) fn reading(&self, name: &str) -> f64 {
        let http = self.running.as_ref().and_then(RunningBroker::http_address);
        let text = http_get(http.expect("tests' brokers serve HTTP"), "/metrics");
        let line =
            text.lines().find_map(|line| line.strip_prefix("millstream_")?.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Stops the broker; its data remains.
    pub(crate) fn stop(mut self) -> TempDir {
        let running = self.running.take().expect("the server is stopped once");
        let stopped = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, running.stop()).await });
        stopped.expect("the broker stops").unwrap();
        self.directory
    }
}

pub(crate) fn options(directory: &Path, configs: &[(&str, &str)]) -> BrokerOptions {
    let mut config = StaticConfig::default();
    config.set("listeners", "PLAINTEXT://127.0.0.1:0", Origin::Option("--listen"));
    config.set("group.initial.rebalance.delay.ms", "0", Origin::Option("--set"));
    for (name, value) in configs {
        config.set(*name, *value, Origin::Option("--set"));
    }
    let data_dir = directory.to_owned();
    BrokerOptions {
        config,
        data_dir: Some(data_dir.clone()),
        data_dir_default: data_dir,
        nodes: 1,
        http: Some(([127, 0, 0, 1], 0).into()),
    }
}

pub(crate) fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// One connection.
pub(crate) struct Peer {
    stream: TcpStream,
    next_correlation_id: i32,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, next_correlation_id: 1 }
    }

    /// This end of the connection, as the broker's log names it.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end_sending(&mut self) {
        // The broker may have closed the connection already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        // The broker may have closed the connection already; what is read then says so.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn send<R: Request + Encode>(&mut self, request: &R, version: i16) {
        let frame = frame_request(request, version, self.next_correlation_id, Some("test")).unwrap();
        self.next_correlation_id += 1;
        self.send_bytes(&frame.into_contiguous());
    }

    /// The next frame, without its length; `None` when the broker has closed the connection.
    pub(crate) fn receive_bytes(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if is_closed(&error) => return None,
            Err(error) => panic!("no answer within {PATIENCE:?}: {error}"),
        }
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        Some(frame.into())
    }

    /// The answer to the request sent before all others that are unanswered; `None` when the connection is closed.
    pub(crate) fn receive<R>(&mut self, version: i16) -> Option<R::Response>
    where
        R: Request,
        R::Response: Decode,
    {
        let mut decoder = Decoder::new(self.receive_bytes()?);
        ResponseHeader::decode(&mut decoder, R::API_KEY, version).unwrap();
        let response = R::Response::decode(&mut decoder, version).unwrap();
        decoder.finish().unwrap();
        Some(response)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask<R>(&mut self, request: &R, version: i16) -> Option<R::Response>
    where
        R: Request + Encode,
        R::Response: Decode,
    {
        self.send(request, version);
        self.receive::<R>(version)
    }

    /// Whether the broker has closed the connection; waits until it has or something arrives.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) if is_closed(&error) => true,
            Err(error) => panic!("neither closed nor answered within {PATIENCE:?}: {error}"),
        }
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
