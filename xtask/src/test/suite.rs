//! The clients: what each needs on the machine, how it is brought, how its program is started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use super::tally::{Tally, follow};
use crate::{
    brought::{self, clients},
    cluster::Cluster,
    workspace,
};

/// One program in tests/clients that drives somebody's Kafka client.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// Programs that must be on the PATH.
    needs: &'static [&'static str],
    brought: Brought,
    /// Nodes of the cluster that it is run against; `None` when it starts `millstream up` itself.
    pub(super) nodes: Option<u32>,
    /// Relative to tests/clients; `{venv}` and `{libs}` stand for what was brought.
    program: &'static [&'static str],
}

/// What is fetched through an ordinary package client, once, into the build folder.
enum Brought {
    Nothing,
    /// The jars of a pom, through Maven.
    Jars(&'static str),
    /// The packages of a requirements file, through pip into a venv.
    Python(&'static str),
}

pub(super) static SUITES: [Suite; 9] = [
    Suite {
        name: "rust-client",
        needs: &["bash", "cargo"],
        brought: Brought::Nothing,
        nodes: Some(1),
        program: &["bash", "rust.bash"],
    },
    Suite {
        name: "kcat",
        needs: &["bash", "kcat"],
        brought: Brought::Nothing,
        nodes: Some(1),
        program: &["bash", "kcat.bash"],
    },
    Suite {
        name: "kcat-nodes",
        needs: &["bash", "kcat"],
        brought: Brought::Nothing,
        nodes: Some(3),
        program: &["bash", "kcat.bash"],
    },
    Suite {
        name: "kafka-tools-nodes",
        needs: &["bash", "java", "mvn", "kcat"],
        brought: Brought::Jars("kafka/tools.pom.xml"),
        nodes: Some(3),
        program: &["bash", "kafka/nodes.bash"],
    },
    Suite {
        name: "kafka-tools",
        needs: &["bash", "java", "mvn"],
        brought: Brought::Jars("kafka/tools.pom.xml"),
        nodes: Some(1),
        program: &["bash", "kafka/tools.bash"],
    },
    Suite {
        name: "java",
        needs: &["javac", "mvn"],
        brought: Brought::Jars("kafka/tools.pom.xml"),
        nodes: Some(1),
        program: &["java", "-Xmx256M", "-cp", "{libs}/*", "java/Clients.java"],
    },
    Suite {
        name: "kafka-python",
        needs: &["python3"],
        brought: Brought::Python("python/kafka-python.txt"),
        nodes: Some(1),
        program: &["{venv}/bin/python", "python/kafka_python.py"],
    },
    Suite {
        name: "confluent-kafka",
        needs: &["python3"],
        brought: Brought::Python("python/confluent-kafka.txt"),
        nodes: Some(1),
        program: &["{venv}/bin/python", "python/confluent_kafka_client.py"],
    },
    Suite {
        name: "kubectl",
        needs: &["bash", "kubectl"],
        brought: Brought::Nothing,
        nodes: None,
        program: &["bash", "kubectl.bash"],
    },
];

/// The suites' names, for a message.
pub(super) fn names() -> String {
    SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ")
}

impl Suite {
    /// Looks for what is needed and brings the rest; the folder of what was brought. Fails with what is missing.
    pub(super) fn prepare(&self) -> Result<PathBuf> {
        for need in self.needs {
            ensure!(on_path(need), "`{need}` is not installed ({})", how_to_install(need));
        }
        match self.brought {
            Brought::Nothing => Ok(PathBuf::new()),
            Brought::Jars(pom) => brought::jars(pom),
            Brought::Python(requirements) => brought::venv(requirements),
        }
    }

    /// Runs the program against the cluster, where it needs one, and counts its claims.
    pub(super) fn run(&self, cluster: Option<&Cluster>, brought: &Path) -> Result<Tally> {
        let work = workspace::target().join("clients").join(format!("{}.work", self.name));
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work)?;
        let place = |word: &&str| {
            let brought = brought.to_str().expect("the build folder's path is UTF-8");
            word.replace("{libs}", brought).replace("{venv}", brought)
        };
        let words: Vec<String> = self.program.iter().map(place).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(clients()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("WORK", &work).env("KAFKA_LIBS", brought).env("MILLSTREAM", workspace::binary());
        if let (Some(cluster), Some(nodes)) = (cluster, self.nodes) {
            command.env("BOOTSTRAP", &cluster.bootstrap).env("NODES", nodes.to_string());
        }
        let mut tally = Tally::default();
        let ended = follow(&mut command, |line| tally += Tally::of_claim(line))?;
        if !ended.success() || tally == Tally::default() {
            println!("not ok - {} runs to its end ({ended})", self.name);
            tally.failed += 1;
        }
        if tally.failed == 0 {
            fs::remove_dir_all(&work)?;
        }
        Ok(tally)
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn how_to_install(program: &str) -> String {
    let package = match program {
        "java" | "javac" => "default-jdk-headless",
        "mvn" => "maven",
        "python3" => "python3-venv",
        "kubectl" => return "one binary: kubernetes.io, Install Tools".to_owned(),
        other => other,
    };
    format!("on Debian: {package}")
}
