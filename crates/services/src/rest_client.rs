//! One GET over HTTP/1.1, bounded in time and size: the consumer asks the producer for a measurement.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::measurement::Measurement;

const DEADLINE: Duration = Duration::from_secs(5);
/// A measurement takes some thirty bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why the producer gave no measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no answer: {0}")]
    Http(hyper::Error),
    #[error("it answered {0}")]
    Status(hyper::StatusCode),
    #[error("its answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("its answer is no measurement: {0}")]
    Json(serde_json::Error),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Deadline,
}

/// `GET /data` of the producer at `host` and `port`.
pub(crate) async fn fetch(host: &str, port: u16) -> Result<Measurement, FetchError> {
    match tokio::time::timeout(DEADLINE, get(host, port)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(FetchError::Deadline),
    }
}

async fn get(host: &str, port: u16) -> Result<Measurement, FetchError> {
    let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Http)?;
    let request = hyper::Request::get("/data")
        .header(hyper::header::HOST, format!("{host}:{port}"))
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a host that was connected to is a header value");
    let exchange = async {
        let response = sender.send_request(request).await.map_err(FetchError::Http)?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(FetchError::Body)?;
        Measurement::parse(&body.to_bytes()).map_err(FetchError::Json)
    };
    // The connection is driven by this task too, so that nothing of it is left behind.
    tokio::pin!(connection);
    tokio::select! {
        fetched = exchange => fetched,
        Err(error) = &mut connection => Err(FetchError::Http(error)),
    }
}
