//! Names of Services for pods: a file per namespace in the form of /etc/hosts, which built-in programs read through the
//! variable `MILLSTREAM_HOSTS`. Foreign programs do not see it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kinds::{ENDPOINTS, SERVICE};
use crate::object::{self, list, text};
use crate::store::{Key, Store};

/// Writes the files of one folder, when they change. Owned by the task that watches Services.
#[derive(Debug)]
pub(super) struct Hosts {
    folder: PathBuf,
    written: BTreeMap<String, String>,
}

impl Hosts {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: BTreeMap::new() }
    }

    /// Brings the files to the present Services. Blocks on the disk.
    pub(super) fn write(&mut self, store: &Store) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for (namespace, text) in render(store) {
            if self.written.get(&namespace) == Some(&text) {
                continue;
            }
            // A reader sees the old file or the new one, never half of it.
            let draft = self.folder.join(format!(".{namespace}.new"));
            std::fs::write(&draft, &text)?;
            std::fs::rename(&draft, self.folder.join(&namespace))?;
            self.written.insert(namespace, text);
        }
        Ok(())
    }
}

/// The text of each namespace's file: its own Services by short name too, all others by qualified names.
fn render(store: &Store) -> BTreeMap<String, String> {
    let services = store.list(&SERVICE, None).objects;
    let namespaces = store.list(&crate::kinds::NAMESPACE, None).objects;
    let mut files = BTreeMap::new();
    for (own, _) in namespaces {
        let mut text = String::from("127.0.0.1 localhost\n");
        for (key, service) in &services {
            let (name, namespace) = (&key.name, &key.namespace);
            let short = if *namespace == own.name { format!(" {name}") } else { String::new() };
            for address in addresses(store, service) {
                let full = format!("{name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local");
                let _ = writeln!(text, "{address}{short} {full}");
            }
        }
        files.insert(own.name, text);
    }
    files
}

/// Where a Service is: at its own address, or, if it has none, wherever its pods are.
fn addresses(store: &Store, service: &Value) -> Vec<String> {
    match text(service, "/spec/clusterIP") {
        "" => Vec::new(),
        "None" => {
            let key = Key::new(&ENDPOINTS, object::namespace(service), object::name(service));
            let Some(endpoints) = store.get(&key) else { return Vec::new() };
            let subsets = list(&endpoints, "/subsets").iter();
            subsets
                .flat_map(|subset| list(subset, "/addresses"))
                .map(|address| text(address, "/ip").to_owned())
                .collect()
        }
        address => vec![super::services::listen_ip(address).map_or_else(|| address.to_owned(), |ip| ip.to_string())],
    }
}
