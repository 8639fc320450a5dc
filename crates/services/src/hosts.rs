//! Names of services where no DNS knows them: a hosts file that the platform writes for its pods.
//!
//! `MILLSTREAM_HOSTS` names the file; its lines are those of /etc/hosts. It is read again for each lookup, because a
//! service may get its address after the pod has started. A name that it does not know is left to the system.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// As much of a hosts file as is read.
const HOSTS_BYTES_MAX: u64 = 1024 * 1024;

/// Where names are looked up before the system is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    file: Option<PathBuf>,
}

impl Hosts {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// `host`, or the address that the file gives for it.
    pub(crate) async fn resolve(&self, host: &str) -> String {
        let Some(file) = self.file.clone() else { return host.to_owned() };
        let read = move || {
            let mut text = String::new();
            File::open(file)?.take(HOSTS_BYTES_MAX).read_to_string(&mut text).map(|_| text)
        };
        let text = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default();
        lookup(&text, host).unwrap_or(host).to_owned()
    }

    /// A list of `host:port`, each host resolved.
    pub(crate) async fn resolve_servers(&self, servers: &str) -> String {
        let mut resolved = Vec::new();
        for server in servers.split(',').map(str::trim) {
            match server.rsplit_once(':') {
                Some((host, port)) => resolved.push(format!("{}:{port}", self.resolve(host).await)),
                None => resolved.push(server.to_owned()),
            }
        }
        resolved.join(",")
    }
}

fn lookup<'a>(hosts: &'a str, name: &str) -> Option<&'a str> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# pods\n127.8.0.1 data-producer data-producer.default.svc # a service\n127.8.0.2\tamm-techlab-kafka-bootstrap\n127.8.0.9\n";

    #[test]
    fn names_are_found_in_any_column() {
        assert_eq!(lookup(FILE, "data-producer"), Some("127.8.0.1"));
        assert_eq!(lookup(FILE, "Data-Producer.default.svc"), Some("127.8.0.1"));
        assert_eq!(lookup(FILE, "amm-techlab-kafka-bootstrap"), Some("127.8.0.2"));
        for unknown in ["127.8.0.1", "service", "#", "other"] {
            assert_eq!(lookup(FILE, unknown), None, "{unknown}");
        }
    }

    #[tokio::test]
    async fn servers_are_resolved_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts");
        let hosts = Hosts::new(Some(file.clone()));
        assert_eq!(hosts.resolve("data-producer").await, "data-producer", "there is no file yet");
        std::fs::write(&file, FILE).unwrap();
        let resolved = hosts.resolve_servers("amm-techlab-kafka-bootstrap:9092, other:9093,[::1]:9094").await;
        assert_eq!(resolved, "127.8.0.2:9092,other:9093,[::1]:9094");
    }
}
