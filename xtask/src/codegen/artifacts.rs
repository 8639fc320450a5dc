//! Kafka's jars, brought through Maven into `target/kafka-artifacts` and trusted only by their pinned hash.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// A jar and where message definitions lie in it.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// Group, name and version, as Maven writes them.
    coordinates: &'static str,
    sha256: &'static str,
    folder: &'static str,
}

pub(crate) const CLIENTS: Artifact = Artifact {
    coordinates: "org.apache.kafka:kafka-clients:4.4.0",
    sha256: "1ab07317eb6633241392449d329dbdc5d9251e6ffc4926860f42dd966e88bdf9",
    folder: "common/message/",
};
pub(crate) const GROUP_COORDINATOR: Artifact = Artifact {
    coordinates: "org.apache.kafka:kafka-group-coordinator:4.4.0",
    sha256: "3fc830ace54f6a13f9f536bc0564bf39a68797365a4c4b194bd7db4fb893b2bc",
    folder: "common/message/",
};
pub(crate) const TRANSACTION_COORDINATOR: Artifact = Artifact {
    coordinates: "org.apache.kafka:kafka-transaction-coordinator:4.4.0",
    sha256: "1d5324d59776d6b7f324cfdc87647b1e88f9823332201c0324e7ae9f210d915d",
    folder: "common/message/",
};
pub(crate) const SHARE_COORDINATOR: Artifact = Artifact {
    coordinates: "org.apache.kafka:kafka-share-coordinator:4.4.0",
    sha256: "6969a7961ca98d37a039bbe0af0fe761d6b0dd07ca9666802f47821167afbb6e",
    folder: "common/message/",
};
pub(crate) const METADATA: Artifact = Artifact {
    coordinates: "org.apache.kafka:kafka-metadata:4.4.0",
    sha256: "6c52de74ecd670332e1e1324f5d40311275ac49b22699b6722e5fb07dd266fcb",
    folder: "common/metadata/",
};
/// What Kafka's code logs through.
pub(crate) const SLF4J: Artifact = Artifact {
    coordinates: "org.slf4j:slf4j-api:1.7.36",
    sha256: "d3ef575e3e4979678dc01bf1dcce51021493b4d11fb7f1be8ad982877c16a1c0",
    folder: "",
};

impl Artifact {
    /// The text of every definition in the jar, in the order of their names.
    pub(crate) fn definitions(&self, root: &Path) -> Result<Vec<(String, String)>> {
        let jar = self.jar(root)?;
        let mut archive = zip::ZipArchive::new(File::open(&jar)?).with_context(|| jar.display().to_string())?;
        let mut definitions = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = entry.name()?.into_owned();
            if name.starts_with(self.folder) && name.ends_with(".json") {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                definitions.push((name, text));
            }
        }
        ensure!(!definitions.is_empty(), "no definitions under {} in {}", self.folder, jar.display());
        definitions.sort();
        Ok(definitions)
    }

    /// The jar itself, fetched unless it is there already.
    pub(crate) fn jar(&self, root: &Path) -> Result<PathBuf> {
        let folder = root.join("target/kafka-artifacts");
        let mut parts = self.coordinates.split(':').skip(1);
        let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let jar = folder.join(format!("{name}-{version}.jar"));
        if !jar.exists() {
            self.fetch(&folder)?;
        }
        let digest = Sha256::digest(fs::read(&jar).with_context(|| jar.display().to_string())?);
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(found == self.sha256, "{} has SHA-256 {found}, expected {}; delete it", jar.display(), self.sha256);
        Ok(jar)
    }

    fn fetch(&self, folder: &Path) -> Result<()> {
        let coordinates = self.coordinates;
        let status = Command::new("mvn")
            .args([
                "--quiet",
                "--batch-mode",
                "-Dstyle.color=never",
                "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy",
            ])
            .arg(format!("-Dartifact={coordinates}"))
            .arg(format!("-DoutputDirectory={}", folder.display()))
            .status()
            .context("Maven (mvn) brings Kafka's artifacts and is not installed")?;
        ensure!(status.success(), "Maven could not bring {coordinates}");
        Ok(())
    }
}
