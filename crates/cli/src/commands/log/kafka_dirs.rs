//! The log directories of a Kafka node that does not run, as their own files tell of them: whose they are, whether they were
//! closed cleanly, which partitions lie in them. Nothing is written there; a lock keeps Kafka from starting meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use millstream_metadata::kafka::METADATA_DIR;
use millstream_model::{Offset, PartitionIndex, TopicId};
use rustix::fs::{FlockOperation, fcntl_lock};

const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const LOCK: &str = ".lock";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// The newest version of `meta.properties`, and that of a node of ZooKeeper's era.
const META_VERSION: u32 = 1;
const META_VERSION_ZOOKEEPER: u32 = 0;
/// What the name of a directory that counts no more, or not yet, ends with.
const PASSING: [&str; 3] = ["-delete", "-future", "-stray"];

/// A topic's partition by name.
pub(super) type Name = (String, PartitionIndex);

/// The directories of one node.
#[derive(Debug)]
pub(super) struct KafkaDirs {
    /// The node belonged to ZooKeeper's era: its metadata is not in these directories.
    pub(super) is_zookeeper: bool,
    pub(super) cluster_id: Option<String>,
    pub(super) node_id: i32,
    /// Where each partition lies.
    pub(super) partitions: BTreeMap<Name, PathBuf>,
    pub(super) log_starts: HashMap<Name, Offset>,
    /// Below, Kafka had synced the log; without an entry all of a log counts as not synced.
    pub(super) recovery_points: HashMap<Name, Offset>,
    /// All were closed cleanly.
    pub(super) is_clean: bool,
    /// The directory of the cluster's metadata.
    pub(super) metadata: Option<PathBuf>,
    /// Ids of the directories (KIP-858).
    pub(super) directory_ids: Vec<String>,
    /// Directories that are of no use here, and why.
    pub(super) left_out: Vec<String>,
    _locks: Vec<File>,
}

impl KafkaDirs {
    /// Reads what the directories of one node say of themselves.
    pub(super) fn open(paths: &[PathBuf], unclean: bool) -> Result<Self> {
        let (first, others) = paths.split_first().context("no directory was named")?;
        let mut dirs = Self::read(first, unclean)?;
        for path in others {
            dirs.join(path, Self::read(path, unclean)?)?;
        }
        Ok(dirs)
    }

    fn read(path: &Path, unclean: bool) -> Result<Self> {
        let meta = Meta::read(path)?;
        let lock = lock(path)?;
        let is_clean = path.join(CLEAN_SHUTDOWN).exists();
        ensure!(
            is_clean || unclean,
            "{} was not closed cleanly ({CLEAN_SHUTDOWN} is missing): start Kafka on it and stop it cleanly, or say \
             --unclean to scan its logs and cut off what was not written whole",
            path.display()
        );
        let metadata = Some(path.join(METADATA_DIR)).filter(|dir| dir.is_dir());
        let mut dirs = Self {
            is_zookeeper: meta.version == META_VERSION_ZOOKEEPER,
            cluster_id: meta.cluster_id,
            node_id: meta.node_id,
            partitions: BTreeMap::new(),
            log_starts: offsets(&path.join(LOG_STARTS))?,
            recovery_points: offsets(&path.join(RECOVERY_POINTS))?,
            is_clean,
            metadata,
            directory_ids: meta.directory_id.into_iter().collect(),
            left_out: Vec::new(),
            _locks: lock.into_iter().collect(),
        };
        dirs.find_partitions(path)?;
        Ok(dirs)
    }

    fn find_partitions(&mut self, path: &Path) -> Result<()> {
        let failed = || format!("{} cannot be read", path.display());
        for entry in fs::read_dir(path).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type().with_context(failed)?.is_dir() || name == METADATA_DIR {
                continue;
            }
            if PASSING.iter().any(|suffix| name.ends_with(suffix)) {
                self.left_out.push(format!("{}: Kafka had done with it", entry.path().display()));
                continue;
            }
            match partition_name(&name) {
                Some(name) => {
                    self.partitions.insert(name, entry.path());
                }
                None => self.left_out.push(format!("{}: no name of a partition", entry.path().display())),
            }
        }
        Ok(())
    }

    /// Adds another directory of the same node.
    fn join(&mut self, path: &Path, other: Self) -> Result<()> {
        let same = (self.is_zookeeper, self.node_id, &self.cluster_id)
            == (other.is_zookeeper, other.node_id, &other.cluster_id);
        ensure!(same, "{} belongs to another node or cluster: the data of one node is imported", path.display());
        ensure!(
            self.metadata.is_none() || other.metadata.is_none(),
            "two directories have a {METADATA_DIR}: name the one that metadata.log.dir names"
        );
        for (name, dir) in other.partitions {
            if let Some(twice) = self.partitions.insert(name, dir.clone()) {
                bail!("{} and {} are the same partition", twice.display(), dir.display());
            }
        }
        self.log_starts.extend(other.log_starts);
        self.recovery_points.extend(other.recovery_points);
        self.is_clean &= other.is_clean;
        self.metadata = self.metadata.take().or(other.metadata);
        self.directory_ids.extend(other.directory_ids);
        self.left_out.extend(other.left_out);
        self._locks.extend(other._locks);
        Ok(())
    }
}

/// Topic and number in the name of a directory.
fn partition_name(name: &str) -> Option<Name> {
    let (topic, index) = name.rsplit_once('-')?;
    let index = index.parse().ok().filter(|_| index.bytes().all(|byte| byte.is_ascii_digit()))?;
    (!topic.is_empty()).then(|| (topic.to_owned(), PartitionIndex(index)))
}

/// What `meta.properties` says.
#[derive(Debug, PartialEq)]
struct Meta {
    version: u32,
    cluster_id: Option<String>,
    node_id: i32,
    directory_id: Option<String>,
}

impl Meta {
    fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(META_PROPERTIES);
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{} is no log directory of a Kafka node: {} cannot be read", dir.display(), file.display())
        })?;
        Self::parse(&text).with_context(|| format!("{} cannot be understood", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value = |name: &str| {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let mut pairs = lines.filter_map(|line| line.split_once('='));
            pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        let number = |name: &str| {
            let text = value(name).with_context(|| format!("it has no {name}"))?;
            text.parse::<i32>().with_context(|| format!("{name}={text} is no number"))
        };
        let version = u32::try_from(number("version")?)?;
        ensure!(version <= META_VERSION, "version={version} is newer than {META_VERSION}: a newer Kafka wrote it");
        let node = if version == META_VERSION_ZOOKEEPER { "broker.id" } else { "node.id" };
        let cluster_id = value("cluster.id");
        if let Some(id) = cluster_id.as_deref().filter(|_| version > META_VERSION_ZOOKEEPER) {
            ensure!(!id.is_empty(), "its cluster.id is empty");
        }
        Ok(Self { version, cluster_id, node_id: number(node)?, directory_id: value("directory.id") })
    }
}

/// A shared lock on the directory's lock file, which a running Kafka holds for itself. None when there is no such file.
fn lock(dir: &Path) -> Result<Option<File>> {
    let file = match File::open(dir.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be locked", dir.display())),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            bail!("{} is in use: stop Kafka first", dir.display())
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be locked", dir.display())),
    }
}

/// One of Kafka's offset checkpoints: version, number of lines, then topic, partition and offset in each.
fn offsets(file: &Path) -> Result<HashMap<Name, Offset>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    };
    parse_offsets(&text).with_context(|| format!("{} cannot be understood", file.display()))
}

fn parse_offsets(text: &str) -> Result<HashMap<Name, Offset>> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some("0"), "its first line is not the version 0");
    let count: usize = lines.next().and_then(|line| line.parse().ok()).context("its second line is no number")?;
    let mut offsets = HashMap::new();
    for (number, line) in lines.enumerate() {
        let entry = || {
            let mut words = line.split(' ');
            let name = (words.next()?.to_owned(), PartitionIndex(words.next()?.parse().ok()?));
            Some((name, Offset(words.next()?.parse().ok()?))).filter(|_| words.next().is_none())
        };
        offsets.extend([entry().with_context(|| format!("its line {} is no offset", number + 3))?]);
    }
    ensure!(offsets.len() == count, "it announces {count} partitions and has {}", offsets.len());
    Ok(offsets)
}

/// A directory's id as Kafka writes it.
pub(super) fn directory_text(id: uuid::Uuid) -> String {
    TopicId(id).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_partitions_by_their_last_hyphen() {
        let name = |text| partition_name(text).map(|(topic, index)| (topic, index.0));
        assert_eq!(name("a-b-12"), Some(("a-b".to_owned(), 12)));
        for none in ["a", "a-", "-1", "a-+1", "a-99999999999", "lost+found"] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn meta_properties_say_whose_directory_it_is() {
        let kraft = Meta::parse("#\nnode.id=1\ndirectory.id=x\nversion=1\ncluster.id=c\n").unwrap();
        let expected = Meta { version: 1, cluster_id: Some("c".into()), node_id: 1, directory_id: Some("x".into()) };
        assert_eq!(kraft, expected);
        let zookeeper = Meta::parse("version=0\nbroker.id=7\n").unwrap();
        assert_eq!(zookeeper, Meta { version: 0, cluster_id: None, node_id: 7, directory_id: None });
        for (text, complaint) in [
            ("node.id=1\n", "it has no version"),
            ("version=2\nnode.id=1\n", "version=2 is newer than 1: a newer Kafka wrote it"),
            ("version=1\nbroker.id=1\n", "it has no node.id"),
            ("version=1\nnode.id=x\n", "node.id=x is no number"),
        ] {
            assert_eq!(Meta::parse(text).unwrap_err().to_string(), complaint);
        }
    }

    #[test]
    fn offset_checkpoints_are_read_whole_or_not_at_all() {
        let read = parse_offsets("0\n2\na-b 0 50\nc 11 7\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[&("a-b".to_owned(), PartitionIndex(0))], Offset(50));
        for text in ["", "1\n0\n", "0\nx\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n", "0\n1\na b c\n"] {
            assert!(parse_offsets(text).is_err(), "{text:?}");
        }
    }
}
