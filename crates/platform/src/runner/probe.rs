//! Probes: one check of a container over HTTP, TCP or by a command, and the counting of results against thresholds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::object::{integer, list, text};

/// How a probe checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Http {
        address: SocketAddr,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp(SocketAddr),
    Exec(Vec<String>),
    /// What it should ask is not there: it fails, with this reason.
    Impossible(String),
}

/// A probe of a container, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) check: Check,
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    /// How long a container that failed it may take to end, where that is not as long as the pod says.
    pub(super) grace: Option<Duration>,
}

impl Probe {
    /// Reads the probe called `name` of `container`, whose pod has the address `pod_ip`. `None` when there is none, or one
    /// that is not served, of which its owner was warned.
    pub(super) fn read(container: &Value, name: &str, pod_ip: IpAddr) -> Option<Self> {
        let definition = container.get(name).filter(|probe| probe.is_object())?;
        let seconds = |field: &str, default: u64| {
            let found = integer(definition, field).and_then(|found| u64::try_from(found).ok());
            Duration::from_secs(found.unwrap_or(default))
        };
        let count = |field: &str, default: u32| {
            integer(definition, field).and_then(|found| u32::try_from(found).ok()).unwrap_or(default).max(1)
        };
        Some(Self {
            check: check(container, definition, pod_ip)?,
            initial_delay: seconds("/initialDelaySeconds", 0),
            period: seconds("/periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("/timeoutSeconds", 1).max(Duration::from_secs(1)),
            success_threshold: count("/successThreshold", 1),
            failure_threshold: count("/failureThreshold", 3),
            grace: integer(definition, "/terminationGracePeriodSeconds")
                .and_then(|found| u64::try_from(found).ok())
                .map(Duration::from_secs),
        })
    }
}

fn check(container: &Value, definition: &Value, pod_ip: IpAddr) -> Option<Check> {
    let address = |action: &Value| {
        let wanted = action.get("port").cloned().unwrap_or_default();
        let port = port(container, &wanted).ok_or_else(|| {
            let shown = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
            format!("couldn't find port {shown} in the ports of container {}", text(container, "/name"))
        })?;
        let host = text(action, "/host");
        let host = if host.is_empty() { pod_ip } else { numeric(host)? };
        Ok(SocketAddr::new(host, port))
    };
    if let Some(action) = definition.get("httpGet") {
        let address = match address(action) {
            Ok(address) => address,
            Err(why) => return Some(Check::Impossible(why)),
        };
        if text(action, "/scheme") == "HTTPS" {
            // The certificate would not be looked at anyway: that something listens is what can be said.
            return Some(Check::Tcp(address));
        }
        let header = |header: &Value| (text(header, "/name").to_owned(), text(header, "/value").to_owned());
        let headers = list(action, "/httpHeaders").iter().map(header).collect();
        return Some(Check::Http { address, path: text(action, "/path").to_owned(), headers });
    }
    if let Some(action) = definition.get("tcpSocket") {
        return Some(address(action).map_or_else(Check::Impossible, Check::Tcp));
    }
    let command = list(definition, "/exec/command").iter().filter_map(Value::as_str).map(str::to_owned);
    let command: Vec<String> = command.collect();
    (!command.is_empty()).then_some(Check::Exec(command))
}

/// The address that a probe's `host` names; `localhost` is the one name that is the same for everybody.
fn numeric(host: &str) -> Result<IpAddr, String> {
    match host {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        _ => host.parse().map_err(|_| format!("host {host} is no address: expected one such as 127.0.0.1")),
    }
}

/// The number of a port given by number or by the name of one of the container's ports.
pub(super) fn port(container: &Value, port: &Value) -> Option<u16> {
    match port {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(name) => {
            let named = list(container, "/ports").iter().find(|port| text(port, "/name") == name);
            let number = named.and_then(|port| integer(port, "/containerPort"));
            number.and_then(|number| u16::try_from(number).ok()).or_else(|| name.parse().ok())
        }
        _ => None,
    }
}

/// Runs a check over the network once, without its timeout. The error says what is wrong.
pub(super) async fn over_network(check: &Check) -> Result<(), String> {
    match check {
        Check::Tcp(address) => {
            let connected = TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| format!("dial tcp {address}: connect: {}", reason(&error)))
        }
        Check::Http { address, path, headers } => {
            let path = if path.starts_with('/') { path.clone() } else { format!("/{path}") };
            let url = format!("http://{address}{path}");
            let code = get(*address, &path, headers).await.map_err(|why| format!("Get \"{url}\": {why}"))?;
            if (200..400).contains(&code) { Ok(()) } else { Err(format!("HTTP probe failed with statuscode: {code}")) }
        }
        Check::Impossible(why) => Err(why.clone()),
        Check::Exec(_) => Err("commands are not run over the network".to_owned()),
    }
}

async fn get(address: SocketAddr, path: &str, headers: &[(String, String)]) -> Result<u16, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| format!("dial tcp {address}: connect: {}", reason(&error)))?;
    let mut request = Request::get(path).header(header::USER_AGENT, "kube-probe/1.33").header(header::ACCEPT, "*/*");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(header::HOST, address.to_string());
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.header(header::CONNECTION, "close").body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Both run here, so that the connection goes when the timeout drops this future.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    let response = tokio::select! {
        response = &mut answer => response,
        // A connection that was closed may have brought the answer with its last bytes.
        _ = &mut connection => answer.await,
    };
    response.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// Consecutive results of one probe.
#[derive(Debug, Default)]
pub(super) struct Streak {
    successes: u32,
    failures: u32,
}

impl Streak {
    /// Counts a result. `Some` when a threshold is reached: true for success, false for failure.
    pub(super) fn count(&mut self, succeeded: bool, probe: &Probe) -> Option<bool> {
        let (reached, other, threshold) = if succeeded {
            (&mut self.successes, &mut self.failures, probe.success_threshold)
        } else {
            (&mut self.failures, &mut self.successes, probe.failure_threshold)
        };
        *other = 0;
        *reached = reached.saturating_add(1);
        (*reached >= threshold).then_some(succeeded)
    }
}

#[cfg(test)]
mod tests;
