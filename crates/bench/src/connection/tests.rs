use std::io::Read as _;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::*;

/// A peer that answers a request frame with the bytes that `answer` makes of its number, and ends with the connection.
fn peer(mut answer: impl FnMut(usize) -> Vec<u8> + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        for number in 0.. {
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            if stream.write_all(&answer(number)).is_err() {
                return;
            }
        }
    };
    (address, thread::spawn(serve))
}

/// An answer to ApiVersions version 0 that offers nothing, with correlation id 0.
fn no_apis() -> Vec<u8> {
    [&10_u32.to_be_bytes()[..], &[0; 4], &[0; 2], &[0; 4]].concat()
}

fn answer(id: i32, bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes + 4).unwrap();
    [&length.to_be_bytes()[..], &id.to_be_bytes(), &vec![7; bytes]].concat()
}

fn request(connection: &mut Connection) {
    connection.queue(&frame(&ApiVersionsRequest::default(), 0, 0).unwrap());
}

#[test]
fn answers_of_any_size_come_whole_and_in_order() {
    let sizes = [0, 10, 5000, 3_000_000, 3, 100_000, 1, 4092, 4093, 3_000_000];
    // The first question is for the versions, the second is answered with everything at once.
    let (address, served) = peer(move |number| match number {
        0 => no_apis(),
        _ => sizes.iter().zip(0..).flat_map(|(bytes, id)| answer(id, *bytes)).collect(),
    });
    let mut connection = Connection::open(&address).unwrap();
    request(&mut connection);
    for (bytes, id) in sizes.iter().zip(0..) {
        let answer = connection.receive(ApiKey::Fetch).unwrap();
        assert_eq!((answer.correlation_id, answer.bytes.len()), (id, bytes + 4));
        assert!(answer.bytes[4..].iter().all(|byte| *byte == 7));
        connection.recycle(answer);
    }
    drop(connection);
    served.join().unwrap();
}

#[test]
fn a_large_answer_is_read_into_the_memory_of_the_one_before() {
    let (address, served) = peer(|number| if number == 0 { no_apis() } else { answer(1, 1_000_000) });
    let mut connection = Connection::open(&address).unwrap();
    let mut places = Vec::new();
    for _ in 0..5 {
        request(&mut connection);
        let answer = connection.receive(ApiKey::Fetch).unwrap();
        places.push(answer.bytes.as_ptr());
        connection.recycle(answer);
    }
    assert_eq!(places[2..].iter().filter(|place| **place == places[1]).count(), 3, "{places:?}");
    drop(connection);
    served.join().unwrap();
}

#[test]
fn a_large_request_goes_out_in_pieces_without_a_copy() {
    let (address, served) = peer(|_| no_apis());
    let mut connection = Connection::open(&address).unwrap();
    let large = Bytes::from(vec![1; 8_000_000]);
    let prefix = Bytes::from(8_000_000_u32.to_be_bytes().to_vec());
    for _ in 0..3 {
        connection.queue(&Frame { chunks: vec![prefix.clone(), large.clone()], bytes: 8_000_004 });
    }
    for _ in 0..3 {
        connection.receive(ApiKey::Produce).unwrap();
    }
    assert_eq!(connection.unsent_bytes(), 0);
    drop(connection);
    served.join().unwrap();
}

#[test]
fn a_broker_that_goes_away_and_one_that_lies_are_errors() {
    let (address, served) = peer(|number| if number == 0 { no_apis() } else { vec![0xff; 8] });
    let mut connection = Connection::open(&address).unwrap();
    request(&mut connection);
    let lied = connection.receive(ApiKey::Fetch).err().unwrap();
    assert!(lied.to_string().contains("negative"), "{lied}");
    drop(connection);
    served.join().unwrap();
    let refused = Connection::open(&address).err().unwrap();
    assert!(matches!(refused, BenchError::Connect { .. }), "{refused}");
}

#[test]
fn an_api_that_the_broker_does_not_offer_is_named() {
    let (address, served) = peer(|_| no_apis());
    let mut connection = Connection::open(&address).unwrap();
    let error = connection.call(&millstream_protocol::fetch::FetchRequest::default(), 12).err().unwrap();
    assert!(error.to_string().contains("does not serve Fetch"), "{error}");
    drop(connection);
    served.join().unwrap();
}
