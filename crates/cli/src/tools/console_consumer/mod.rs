//! `console-consumer`, Kafka's kafka-console-consumer.sh: prints the records of topics as they come.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    time::Duration,
};

use formatter::{FormatError, Shown};
use millstream_client::{Consumer, ConsumerRecord, Error, TimestampMs, TimestampType, TopicPartition};
use options::{Asked, Begin, Source};
use tokio::time::Instant;

use super::{Failure, Streams, Tool, admin, bootstrap, interrupt, options::Line, topic_filter::TopicFilter};

mod deserializer;
mod formatter;
mod options;

pub(super) const TOOL: Tool = Tool {
    script: "kafka-console-consumer",
    about: "Reads records and prints them.",
    options: &options::OPTIONS,
    unreadable: Failure::Usage,
    run,
};

/// One wait for records; interrupts and the clock are looked at in between.
const POLL: Duration = Duration::from_millis(500);
/// How often topics that match `--include` are looked for.
const LOOK_FOR_TOPICS_EVERY: Duration = Duration::from_secs(30);

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    // A group's name must differ from other readers' and needs no better chance than a hasher's seed.
    let random = RandomState::new().hash_one(std::process::id()) as u32;
    let asked = Asked::read(line, streams, random)?;
    let systest_events = asked.systest_events;
    admin::runtime()?.block_on(async {
        let consumer = connect(&asked)?;
        let mut reading = Reading { asked, max_messages: None, printed: 0 };
        // Kafka's tool reads this number when everything else stands, and then says how many records there were: none.
        let done = match line.parsed::<i32>("max-messages") {
            Ok(count) => {
                reading.max_messages = count.and_then(|count| u64::try_from(count).ok());
                reading.read_all(consumer, streams).await
            }
            Err(error) => Err(failed(error.to_string())),
        };
        writeln!(streams.err, "Processed a total of {} messages", reading.printed)?;
        if systest_events {
            writeln!(streams.out, "shutdown_complete")?;
        }
        done
    })
}

fn connect(asked: &Asked) -> Result<Consumer, Failure> {
    bootstrap::resolve(&asked.client["bootstrap.servers"])
        .map_err(|reason| failed(format!("Failed to construct kafka consumer: {reason}")))?;
    Consumer::new(&admin::config(&asked.client)).map_err(|error| failed(error.to_string()))
}

struct Reading {
    asked: Asked,
    max_messages: Option<u64>,
    /// Records handed to the formatter.
    printed: u64,
}

/// Why reading ends.
enum End {
    /// Everything that was asked for is there, or the user has had enough.
    Done,
    /// Kafka's tool says this and ends well nevertheless.
    Said(String),
    Failed(Failure),
}

impl Reading {
    async fn read_all(&mut self, mut consumer: Consumer, streams: &mut Streams<'_>) -> Result<(), Failure> {
        let end = match self.begin(&mut consumer) {
            Ok(()) => match self.ask_for_topic(&mut consumer).await {
                Ok(()) => self.read(&mut consumer, streams).await,
                Err(error) => End::Said(error.to_string()),
            },
            Err(error) => End::Failed(failed(error.to_string())),
        };
        streams.out.flush()?;
        let closed = consumer.close().await;
        match end {
            End::Done => closed.map_err(|error| failed(error.to_string())),
            End::Failed(failure) => Err(failure),
            End::Said(message) => {
                writeln!(streams.err, "ERROR Error processing message, terminating consumer process: {message}")?;
                Ok(())
            }
        }
    }

    /// Java's consumer asks for its topic before it joins its group, and a broker that creates topics on demand makes
    /// it then, however soon reading ends. Fails when there can be no such topic; what time may mend comes again when
    /// records are waited for.
    async fn ask_for_topic(&self, consumer: &mut Consumer) -> Result<(), Error> {
        let Source::Topic(topic) = &self.asked.source else { return Ok(()) };
        match tokio::time::timeout(POLL, consumer.partitions_for(topic)).await {
            Ok(Err(error)) if !error.is_retriable() => Err(error),
            _ => Ok(()),
        }
    }

    fn begin(&self, consumer: &mut Consumer) -> Result<(), Error> {
        match &self.asked.source {
            Source::Topic(topic) => consumer.subscribe(&[topic]),
            Source::Include(_) => Ok(()),
            Source::Partition(topic, index, begin) => {
                let partition = TopicPartition::new(topic.as_str(), *index);
                consumer.assign([partition.clone()])?;
                match begin {
                    Begin::Earliest => consumer.seek_to_beginning(&[partition]),
                    Begin::Latest => consumer.seek_to_end(&[partition]),
                    Begin::At(offset) => consumer.seek(&partition, *offset),
                }
            }
        }
    }

    async fn read(&mut self, consumer: &mut Consumer, streams: &mut Streams<'_>) -> End {
        let mut matching = match Matching::of(&self.asked.source) {
            Ok(matching) => matching,
            Err(message) => return End::Failed(Failure::Message(message)),
        };
        let mut interrupted = std::pin::pin!(interrupt::wait());
        let mut heard = Instant::now();
        while self.wants_more() {
            if let Some(matching) = &mut matching
                && let Err(error) = matching.follow(consumer).await
            {
                return End::Said(error.to_string());
            }
            let is_idle = matching.as_ref().is_some_and(|matching| matching.subscribed.is_empty());
            let mut next = async |patience| {
                if is_idle {
                    tokio::time::sleep(patience).await;
                    return Ok(Vec::new());
                }
                consumer.poll(patience).await
            };
            let records = tokio::select! {
                records = next(self.patience(heard)) => records,
                () = &mut interrupted => return End::Done,
            };
            let records = match records {
                Ok(records) => records,
                Err(error) => return End::Said(error.to_string()),
            };
            if !records.is_empty() {
                heard = Instant::now();
            } else if self.asked.timeout_ms.is_some_and(|ms| heard.elapsed() > Duration::from_millis(ms)) {
                return End::Said("no record came in time".to_owned());
            }
            if let Err(end) = self.print(&records, consumer, streams) {
                return end;
            }
        }
        End::Done
    }

    fn wants_more(&self) -> bool {
        self.max_messages.is_none_or(|count| self.printed < count)
    }

    /// How long the next poll may take.
    fn patience(&self, heard: Instant) -> Duration {
        let Some(ms) = self.asked.timeout_ms else { return POLL };
        let left = Duration::from_millis(ms).saturating_sub(heard.elapsed());
        left.clamp(Duration::from_millis(1), POLL)
    }

    fn print(
        &mut self,
        records: &[ConsumerRecord],
        consumer: &mut Consumer,
        streams: &mut Streams<'_>,
    ) -> Result<(), End> {
        for (at, record) in records.iter().enumerate() {
            if !self.wants_more() {
                // What was fetched and not printed must not be committed as read.
                return rewind(&records[at..], consumer).map_err(|error| End::Failed(failed(error.to_string())));
            }
            self.printed += 1;
            match write(&self.asked.formatter, record, streams.out) {
                Ok(()) => {}
                Err(FormatError::Output(_)) => {
                    let _ = writeln!(streams.err, "Unable to write to standard out, closing consumer.");
                    return Err(End::Done);
                }
                Err(FormatError::Deserialize(error)) if self.asked.skip_on_error => {
                    let said = writeln!(streams.err, "ERROR Error processing message, skipping this message: {error}");
                    said.map_err(|error| End::Failed(error.into()))?;
                }
                Err(FormatError::Deserialize(error)) => {
                    return Err(End::Failed(failed(error.to_string())));
                }
            }
        }
        streams.out.flush().map_err(|error| End::Failed(error.into()))
    }
}

/// Puts each partition's position back to its first record here.
fn rewind(records: &[ConsumerRecord], consumer: &mut Consumer) -> Result<(), Error> {
    let mut done: Vec<TopicPartition> = Vec::new();
    for record in records {
        let partition = TopicPartition::new(record.topic.clone(), record.partition);
        if !done.contains(&partition) {
            consumer.seek(&partition, record.offset)?;
            done.push(partition);
        }
    }
    Ok(())
}

fn write(formatter: &formatter::Formatter, record: &ConsumerRecord, out: &mut dyn Write) -> Result<(), FormatError> {
    let headers: Vec<(&str, Option<&[u8]>)> =
        record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let kind = match record.timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    let shown = Shown {
        partition: record.partition,
        offset: record.offset,
        timestamp: (record.timestamp != TimestampMs::NONE).then_some((kind, record.timestamp.0)),
        headers: &headers,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
    };
    formatter.write(&shown, out)
}

/// The topics of `--include`, which come and go.
struct Matching {
    filter: TopicFilter,
    subscribed: Vec<String>,
    looked: Option<Instant>,
}

impl Matching {
    fn of(source: &Source) -> Result<Option<Self>, String> {
        let Source::Include(pattern) = source else { return Ok(None) };
        let filter = TopicFilter::new(pattern)?;
        Ok(Some(Self { filter, subscribed: Vec::new(), looked: None }))
    }

    /// Subscribes to what matches now, if that has changed.
    async fn follow(&mut self, consumer: &mut Consumer) -> Result<(), Error> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_FOR_TOPICS_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let topics = consumer.list_topics().await?.into_iter().filter(|topic| !topic.is_internal);
        let topics: Vec<String> = topics.map(|topic| topic.name).filter(|name| self.filter.allows(name)).collect();
        if topics != self.subscribed {
            consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            self.subscribed = topics;
        }
        Ok(())
    }
}

fn failed(reason: String) -> Failure {
    Failure::Message(format!("ERROR Unknown error when running consumer: {reason}"))
}
