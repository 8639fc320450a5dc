//! A peer that is slow, old, or no broker at all.

use millstream_protocol::heartbeat::HeartbeatRequest;
use tokio::net::TcpListener;

use super::*;

/// What the peer does with one request's correlation id: the bytes of its answer, or nothing.
type Step = fn(i32) -> Option<Vec<u8>>;
type Script = Vec<Step>;

/// Answers one request after the other by the script, then closes.
async fn peer(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for step in script {
            let mut request = vec![0; socket.read_i32().await.unwrap() as usize];
            socket.read_exact(&mut request).await.unwrap();
            let id = i32::from_be_bytes(request[4..8].try_into().unwrap());
            match step(id) {
                Some(answer) => socket.write_all(&answer).await.unwrap(),
                None => std::future::pending().await,
            }
        }
    });
    address
}

fn framed(id: i32, body: &[u8]) -> Option<Vec<u8>> {
    let length = (4 + body.len()) as i32;
    Some([&length.to_be_bytes(), &id.to_be_bytes(), body].concat())
}

/// ApiVersions 3: no error, Heartbeat 0 to 1, no throttle.
fn versions(id: i32) -> Option<Vec<u8>> {
    framed(id, &[0, 0, 2, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
}

/// ApiVersions 0: error 35 and the versions of ApiVersions itself.
fn unsupported(id: i32) -> Option<Vec<u8>> {
    framed(id, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2])
}

/// ApiVersions 0: no error, Heartbeat 0 to 1.
fn old_versions(id: i32) -> Option<Vec<u8>> {
    framed(id, &[0, 0, 0, 0, 0, 1, 0, 12, 0, 0, 0, 1])
}

/// Heartbeat 1: no throttle, no error.
fn heartbeat(id: i32) -> Option<Vec<u8>> {
    framed(id, &[0; 6])
}

async fn open(script: Script) -> Result<Connection, Error> {
    let patience = Duration::from_secs(5);
    Connection::open(peer(script).await, "test".to_owned(), patience, patience).await
}

async fn beat(connection: &Connection) -> Result<i16, Error> {
    let answer = connection.call_within(&HeartbeatRequest::default(), i16::MAX, Duration::from_millis(200)).await;
    answer.map(|answer| answer.error_code)
}

#[tokio::test]
async fn a_request_takes_the_newest_version_that_both_know() {
    let connection = open(vec![versions, heartbeat]).await.unwrap();
    assert_eq!(connection.version::<HeartbeatRequest>(i16::MAX), Ok(1));
    assert_eq!(connection.version::<HeartbeatRequest>(0), Ok(0));
    assert_eq!(beat(&connection).await, Ok(0));
    let unknown = connection.version::<ApiVersionsRequest>(i16::MAX);
    assert!(matches!(unknown, Err(Error::UnsupportedApi { api: ApiKey::ApiVersions, .. })));
}

#[tokio::test]
async fn an_old_broker_is_asked_for_its_versions_again_in_version_0() {
    let connection = open(vec![unsupported, old_versions, heartbeat]).await.unwrap();
    assert_eq!(beat(&connection).await, Ok(0));
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_no_broker() {
    let lies: [Step; 5] = [
        |_| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        |_| Some(i32::MAX.to_be_bytes().to_vec()),
        |_| Some((-1_i32).to_be_bytes().to_vec()),
        |id| framed(id + 1, &[0; 20]),
        |_| Some(vec![0, 0, 0, 2, 0, 0]),
    ];
    for lie in lies {
        assert!(matches!(open(vec![lie]).await, Err(Error::Disconnected { .. })));
    }
    assert!(matches!(open(vec![|id| framed(id, b"\0\0\xff\xff\xff\xff\x0f")]).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn whoever_waits_learns_that_the_connection_is_gone() {
    let connection = open(vec![versions]).await.unwrap();
    assert!(matches!(beat(&connection).await, Err(Error::Disconnected { .. })));
    assert!(!connection.is_open());
    assert!(matches!(beat(&connection).await, Err(Error::Disconnected { .. })));
}

#[tokio::test]
async fn no_answer_in_time_ends_the_connection_and_what_is_pipelined_behind() {
    let connection = open(vec![versions, |_| None]).await.unwrap();
    let behind = HeartbeatRequest::default();
    let (first, second) = tokio::join!(beat(&connection), connection.call(&behind, 1));
    assert!(matches!(first, Err(Error::Timeout { .. })), "{first:?}");
    assert!(matches!(second, Err(Error::Disconnected { .. })), "{second:?}");
}
