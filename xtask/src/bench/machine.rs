//! What the page says of the machine and of the versions: no names of hosts, no paths.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::measure;
use crate::{brought, workspace};

pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    pub(super) kafka: String,
    pub(super) java: String,
    pub(super) millstream: String,
}

impl Machine {
    /// `built_here`: whether the binary is of this checkout, whose commit is then told.
    pub(super) fn look(binary: &Path, built_here: bool) -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(": "));
        let commit = if built_here { commit()? } else { "another build".to_owned() };
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            memory_gib: measure::memory("MemTotal:")? as f64 / f64::from(1 << 30),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            kafka: kafka_version()?,
            java: java_version()?,
            millstream: format!("{} ({commit})", first_line(Command::new(binary).arg("--version"))?),
        })
    }
}

/// The version in the name of Kafka's own jar, `kafka_2.13-4.4.0.jar`.
fn kafka_version() -> Result<String> {
    for entry in fs::read_dir(brought::jars("kafka/broker.pom.xml")?)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix("kafka_").and_then(|rest| rest.strip_suffix(".jar"));
        if let Some((_, version)) = version.and_then(|rest| rest.split_once('-')) {
            return Ok(version.to_owned());
        }
    }
    anyhow::bail!("there is no jar of Kafka among those that were brought")
}

/// Java tells its version on stderr.
fn java_version() -> Result<String> {
    let output = Command::new("java").arg("-version").output().context("starting java")?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(said.lines().nth(1).unwrap_or_default().trim().to_owned())
}

fn commit() -> Result<String> {
    first_line(Command::new("git").current_dir(workspace::root()).args(["describe", "--always", "--dirty"]))
}

fn first_line(command: &mut Command) -> Result<String> {
    let text = String::from_utf8(workspace::stdout(command)?)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
