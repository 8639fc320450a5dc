//! Data directories that earlier releases left (`tests/upgrade`, docs/format/README.md): a broker of today opens a copy, reads
//! what was written, and goes on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::millstream;
use crate::directory::{Broker, consume, produce};

/// What `record.bash` wrote to topic `plain`, whose two partitions are read in any order.
const PLAIN: [&str; 10] =
    ["gzip 1", "gzip 2", "lz4 1", "lz4 2", "none 1", "none 2", "snappy 1", "snappy 2", "zstd 1", "zstd 2"];

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_dir(&path, &to) } else { fs::copy(&path, &to).map(|_| ()).unwrap() }
    }
}

/// The kept directories, as paths.
fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/upgrade");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_broker_of_today_reads_what_earlier_releases_wrote_and_goes_on() {
    let kept = kept();
    assert!(kept.len() >= 2, "{kept:?}");
    for release in kept {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        copy_dir(&release, &data);
        let directory = data.to_str().unwrap();
        let verified = millstream(dir.path(), &["log", "verify", "--data-dir", directory]);
        assert_eq!(verified.code, 0, "{release:?}: {verified:?}");
        let broker = Broker::start(&data, &[]);
        assert_eq!(sorted(&consume(&broker, "plain", PLAIN.len())), PLAIN, "{release:?}");
        assert_eq!(consume(&broker, "compacted", 3), "1\n2\n3\n");
        let words = ["consumer-groups", "--bootstrap-server", &broker.address, "--describe", "--group", "readers"];
        let group = millstream(dir.path(), &words);
        assert!(
            group.stdout.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.starts_with(&["readers", "compacted", "0", "3", "3"])
            }),
            "{release:?}: {group:?}"
        );
        let words = ["configs", "--bootstrap-server", &broker.address, "--describe", "--topic", "plain"];
        let configs = millstream(dir.path(), &words);
        assert!(configs.stdout.contains("retention.ms=-1"), "{release:?}: {configs:?}");
        produce(&broker, "plain", "of today\n");
        assert!(consume(&broker, "plain", PLAIN.len() + 1).contains("of today\n"));
        broker.stop();
        let log = Broker::log(&data);
        assert!(!log.contains("offline") && !log.contains("moved to"), "{release:?}: {log}");
        assert_eq!(millstream(dir.path(), &["log", "verify", "--data-dir", directory]).code, 0);
    }
}
