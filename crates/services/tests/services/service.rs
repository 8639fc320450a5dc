//! A service that runs inside a test, and what one sees of it from outside.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use millstream_services::{Config, Mode, ServiceError, ServiceLog, data_consumer, data_producer};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Producer,
    Consumer,
}

/// A log that can be read while it grows.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    text: Arc<Mutex<String>>,
    grown: Arc<Notify>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.lock().push_str(std::str::from_utf8(bytes).unwrap());
        self.grown.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// What `find` finds in the log, as soon as it does.
    pub(crate) async fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let found = async {
            loop {
                let grown = self.grown.notified();
                if let Some(found) = find(&self.text.lock()) {
                    return found;
                }
                grown.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("not in the log:\n{}", self.text.lock()),
        }
    }
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) log: Lines,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ServiceError>>,
}

impl Service {
    /// Starts a service on a free port.
    pub(crate) async fn start(kind: Kind, mode: Mode, variables: &[(&str, &str)]) -> Self {
        let (log, shutdown) = (Lines::default(), CancellationToken::new());
        let variables = [&[("QUARKUS_HTTP_PORT", "0")], variables].concat();
        let task = tokio::spawn(run(kind, mode, config(&variables), log.clone(), shutdown.clone()));
        let address = |text: &str| {
            let (_, rest) = text.split_once("Listening on: http://")?;
            rest.lines().next()?.parse().ok()
        };
        let address = log.wait_for(address).await;
        Self { address, log, shutdown, task }
    }

    /// Shuts the service down and hands back its log.
    pub(crate) async fn stop(self) -> String {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
        self.log.text.lock().clone()
    }
}

fn config(variables: &[(&str, &str)]) -> Config {
    Config::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

async fn run(
    kind: Kind,
    mode: Mode,
    config: Config,
    lines: Lines,
    shutdown: CancellationToken,
) -> Result<(), ServiceError> {
    let log = ServiceLog::new(lines, Zoned::now);
    match kind {
        Kind::Producer => data_producer::run(config, mode, log, shutdown).await,
        Kind::Consumer => data_consumer::run(config, mode, log, shutdown).await,
    }
}

/// Runs a service that is expected to end by itself.
pub(crate) async fn run_to_end(kind: Kind, mode: Mode, variables: &[(&str, &str)]) -> Result<(), String> {
    let run = run(kind, mode, config(variables), Lines::default(), CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends").map_err(|error| error.to_string())
}

/// Status and body of a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
