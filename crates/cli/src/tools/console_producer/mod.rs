//! `console-producer`, Kafka's kafka-console-producer.sh: a record per line of stdin.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use millstream_client::{Error, Producer, ProducerRecord, RecordMetadata};
use options::Asked;
use reader::{LineReader, ReadRecord};
use tokio::sync::mpsc;

use super::{Failure, Streams, Tool, admin, bootstrap, interrupt, options::Line};

mod options;
mod reader;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-console-producer",
    about: "Reads lines from standard input and sends each as a record.",
    options: &options::OPTIONS,
    unreadable: Failure::Usage,
    run,
};

/// Lines read ahead of what is being sent.
const LINES_AHEAD: usize = 1024;
/// Records whose answer is awaited; reading pauses beyond. The client's buffer memory bounds their bytes.
const UNANSWERED_MAX: usize = 100_000;
/// As long as Java's producer waits at most for the answers to what it has sent.
const CLOSE_MAX: Duration = Duration::from_secs(120);

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let asked = Asked::read(line, streams)?;
    let reader = LineReader::new(&asked.reader).map_err(Failure::Message)?;
    bootstrap::resolve(&asked.client["bootstrap.servers"])
        .map_err(|reason| Failure::Message(format!("Failed to construct kafka producer: {reason}")))?;
    admin::runtime()?.block_on(send_all(asked, reader, streams))
}

async fn send_all(asked: Asked, mut reader: LineReader, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let told = |error: Error| Failure::Message(error.to_string());
    let producer = Producer::new(&admin::config(&asked.client)).map_err(told)?;
    let mut lines = read_lines();
    let mut answers = FuturesUnordered::new();
    let mut interrupted = std::pin::pin!(interrupt::wait());
    let done = loop {
        let line = tokio::select! {
            line = lines.recv(), if answers.len() < UNANSWERED_MAX => line,
            Some(answer) = answers.next() => {
                report(&answer, streams.err)?;
                continue;
            }
            () = &mut interrupted => None,
        };
        let Some(line) = line.transpose()? else { break Ok(()) };
        let record = match reader.read(&line) {
            Ok(read) => record(&asked.topic, read),
            Err(message) => break Err(Failure::Message(message)),
        };
        let sizes = (asked.topic.clone(), record.key.as_ref().map(Bytes::len), record.value.as_ref().map(Bytes::len));
        match producer.send(record).await {
            Ok(delivery) if asked.sync => {
                if let Err(error) = delivery.wait().await {
                    break Err(told(error));
                }
            }
            Ok(delivery) => answers.push(async move { Answer { sizes, result: delivery.wait().await } }),
            Err(error) if asked.sync => break Err(told(error)),
            Err(error) => report(&Answer { sizes, result: Err(error) }, streams.err)?,
        }
    };
    let closed = producer.close(CLOSE_MAX).await;
    while let Some(answer) = answers.next().await {
        report(&answer, streams.err)?;
    }
    done.and(closed.map_err(told))
}

/// Topic, length of key and value.
type Sizes = (String, Option<usize>, Option<usize>);

/// What became of a record.
struct Answer {
    sizes: Sizes,
    result: Result<RecordMetadata, Error>,
}

/// A record that was lost is told of; the others are sent nevertheless, as Kafka's tool does.
fn report(answer: &Answer, err: &mut dyn Write) -> io::Result<()> {
    let Err(error) = &answer.result else { return Ok(()) };
    let (topic, key, value) = &answer.sizes;
    let bytes = |length: &Option<usize>| length.map_or("null".to_owned(), |length| format!("{length} bytes"));
    let (key, value) = (bytes(key), bytes(value));
    writeln!(
        err,
        "ERROR Error when sending message to topic {topic} with key: {key}, value: {value} with error: {error}"
    )
}

fn record(topic: &str, read: ReadRecord) -> ProducerRecord {
    let headers = read.headers.into_iter().map(|(key, value)| (key, value.map(Bytes::from)));
    ProducerRecord {
        topic: topic.into(),
        partition: None,
        timestamp: None,
        key: read.key.map(Bytes::from),
        value: read.value.map(Bytes::from),
        headers: headers.collect(),
    }
}

/// Standard input, line by line. A thread of its own reads, because a line may be long in coming and what has been
/// sent must not wait for it; it ends with the process.
fn read_lines() -> mpsc::Receiver<io::Result<String>> {
    let (lines, read) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let prompts = io::stdin().is_terminal() && io::stdout().is_terminal();
        let mut stdin = io::stdin().lock();
        loop {
            if prompts {
                let _ = io::stderr().write_all(b">");
            }
            let Some(line) = next_line(&mut stdin).transpose() else { break };
            if lines.blocking_send(line).is_err() {
                break;
            }
        }
    });
    read
}

/// The next line without its end; what is not UTF-8 in it is replaced, as Java does.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_on_any_system() {
        let mut input: &[u8] = b"a\r\nb\n\nc\xff";
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["a", "b", "", "c\u{fffd}"]);
    }

    #[test]
    fn a_lost_record_is_told_of() {
        let mut err = Vec::new();
        let answer = Answer { sizes: ("t".to_owned(), None, Some(3)), result: Err(Error::Closed) };
        report(&answer, &mut err).unwrap();
        let expected = "ERROR Error when sending message to topic t with key: null, value: 3 bytes with error: the client was closed\n";
        assert_eq!(String::from_utf8(err).unwrap(), expected);
    }
}
