//! A data directory that cannot be used: one clear sentence, exit code 1, and nothing in it was touched.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_client::{Producer, ProducerRecord};
use tokio_util::sync::CancellationToken;

use crate::broker::Starter;
use crate::gate::Gate;
use crate::reading::everything;
use crate::workload::Scene;

/// A directory that a broker has closed, with a record in it.
struct Directory {
    scene: Scene,
    gate: Gate,
    starter: Starter,
    data: PathBuf,
}

impl Directory {
    async fn new(place: &Path) -> Self {
        let gate = Gate::open().await;
        let address = gate.address.to_string();
        let starter = Starter::new(place).with(&["--advertised", &address]);
        let scene = Scene { address, history: Default::default(), stop: CancellationToken::new() };
        let directory = Self { scene, gate, starter, data: place.join("data") };
        let broker = directory.starter.start().await;
        directory.gate.lead_to(Some(broker.address));
        directory.scene.make_topics().await;
        let producer = Producer::new(&directory.scene.config()).unwrap();
        let record = ProducerRecord::new("one", "kept").with_partition(0);
        producer.send(record).await.unwrap().wait().await.unwrap();
        assert!(broker.stop().await.success());
        directory
    }

    /// Expects a start to be refused with one sentence that holds these words, and the directory to be as it was.
    async fn refuses(&self, words: &[&str]) {
        let before = self.files();
        let said = self.starter.refusal().await;
        let sentences: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(matches!(sentences[..], [one] if words.iter().all(|word| one.contains(word))), "{words:?} in {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(self.files() == before, "the refused start has changed something: {words:?}");
    }

    /// Damages a file, expects the refusal, and mends the file again.
    async fn refuses_with(&self, file: &str, damage: impl FnOnce(&mut Vec<u8>), words: &[&str]) {
        let path = self.data.join(file);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damage(&mut damaged);
        fs::write(&path, damaged).unwrap();
        self.refuses(words).await;
        fs::write(path, whole).unwrap();
    }

    /// Files with their content, but for the metadata store's, which has a format of its own.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut dirs = vec![self.data.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_none_or(|extension| extension != "redb") {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    /// Starts, and finds the record.
    async fn serves(&self) {
        let broker = self.starter.start().await;
        self.gate.lead_to(Some(broker.address));
        let found = everything(&self.scene).await;
        assert_eq!(found.logs.values().map(Vec::len).sum::<usize>(), 1);
        assert!(broker.stop().await.success());
    }
}

fn run(test: impl AsyncFnOnce(Directory)) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Directory::new(place.path()).await).await });
}

#[expect(clippy::ptr_arg, reason = "one of several ways to damage a file, some of which cut it")]
fn garble(bytes: &mut Vec<u8>) {
    bytes.fill(0x5a);
}

/// Sets a number in a file that ends with the CRC of what is before, and mends the CRC.
fn set_version(at: usize, crc_at: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| {
        bytes[at] = 9;
        let crc = crc32c(&bytes[..crc_at]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn a_directory_in_use_is_refused() {
    run(async |directory| {
        let broker = directory.starter.start().await;
        let said = directory.starter.refusal().await;
        assert!(said.lines().last().is_some_and(|line| line.starts_with("error: ")), "{said}");
        assert!(said.contains("is in use by another process"), "{said}");
        assert!(broker.stop().await.success());
        directory.serves().await;
    });
}

#[test]
fn a_damaged_directory_is_refused_and_not_touched() {
    run(async |directory| {
        directory.refuses_with("lane/session", garble, &["lane/session is damaged", "restore it from a backup"]).await;
        let checkpoint = "checkpoint/partitions";
        directory
            .refuses_with(checkpoint, garble, &["checkpoint/partitions", "is damaged", "rounds are missing"])
            .await;
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(512);
        directory.refuses_with(checkpoint, cut, &["checkpoint/partitions", "is damaged", "rounds are missing"]).await;
        directory.refuses_with("metadata.redb", garble, &["metadata.redb", "is damaged"]).await;
        directory.refuses_with("metadata.redb", Vec::clear, &["metadata.redb", "is damaged"]).await;
        let properties = "kafka/meta.properties";
        directory.refuses_with(properties, garble, &["meta.properties is damaged"]).await;
        let foreign = |bytes: &mut Vec<u8>| {
            let text = String::from_utf8(bytes.clone()).unwrap().replace("node.id=", "node.id=7");
            *bytes = text.into_bytes();
        };
        directory.refuses_with(properties, foreign, &["the data directory has node.id=7"]).await;
        directory.serves().await;
    });
}

#[test]
fn a_directory_that_a_newer_version_wrote_is_refused_and_not_touched() {
    run(async |directory| {
        let session = set_version(9, 44);
        directory
            .refuses_with("lane/session", session, &["lane/session has version 9", "start the version that"])
            .await;
        let round = |bytes: &mut Vec<u8>| {
            let end = 32 + u32::from_be_bytes(bytes[24..28].try_into().unwrap()) as usize;
            bytes[13] = 9;
            let crc = crc32c(&bytes[12..end]);
            bytes[8..12].copy_from_slice(&crc.to_be_bytes());
        };
        directory.refuses_with("checkpoint/partitions", round, &["checkpoint/partitions", "has version 9"]).await;
        let properties = |bytes: &mut Vec<u8>| {
            let text = String::from_utf8(bytes.clone()).unwrap().replace("version=1", "version=9");
            *bytes = text.into_bytes();
        };
        directory.refuses_with("kafka/meta.properties", properties, &["meta.properties has version 9"]).await;
        directory.serves().await;
    });
}

#[test]
fn a_directory_that_is_none_or_belongs_to_somebody_else_is_refused() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = place.path().join("file");
        fs::write(&file, "not a directory").unwrap();
        let said = Starter::new(place.path()).on(file).refusal().await;
        assert!(said.starts_with("error: the data directory") && said.lines().count() == 1, "{said}");
        let kafka = place.path().join("kafka-logs");
        fs::create_dir(&kafka).unwrap();
        fs::write(kafka.join("meta.properties"), "version=1\nnode.id=1\n").unwrap();
        let said = Starter::new(place.path()).on(kafka).refusal().await;
        assert!(said.contains("holds a Kafka broker's own logs") && said.lines().count() == 1, "{said}");
    });
}
