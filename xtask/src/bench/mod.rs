//! `cargo xtask bench`: Millstream and Apache Kafka on this machine, in this run, alternately, under the same load.
//!
//! Kafka comes through Maven, at its defaults and tuned, and all are warmed with the same load before anything counts. A
//! whole run writes docs/reference/benchmarks.md and its chart; a run of some rows, or a quick one, writes to target/bench.
//! docs/decisions/0007 says why it is done so.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use self::{
    contestant::{Contestant, Who, words},
    figures::Measured,
    page::{Comparison, Section},
    rows::{Conditions, ROWS, Row, Runs, Topic, WarmUp},
};
use crate::workspace;

mod chart;
mod contestant;
mod figures;
mod growth;
mod idle;
mod java;
mod loads;
mod machine;
mod measure;
mod neighbours;
mod page;
mod pages;
mod partitions;
mod rows;
mod surroundings;
mod targets;
mod tuning;

const QUICK_DIVISOR: u64 = 20;

/// What to measure; everything but the long rows by default, which takes some two hours.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these rows, by name or by the beginning of names; the page then goes to target/bench
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    rows: Vec<String>,
    /// Runs of each row, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// A twentieth of the load, to see that everything works; the page then goes to target/bench
    #[arg(long)]
    quick: bool,
    /// The rows as well that take many minutes and 40 GB of disk
    #[arg(long)]
    long: bool,
    /// Who takes part; with fewer than all the page goes to target/bench
    #[arg(long, value_name = "WHO,…", value_delimiter = ',', value_enum, default_values_t = Who::ALL)]
    contestants: Vec<Who>,
    /// Compare this binary instead of a release build of this checkout; the page then goes to target/bench
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| name.starts_with(row.as_str()))
    }

    fn is_whole(&self) -> bool {
        self.rows.is_empty() && !self.quick && self.binary.is_none() && self.is_everybody()
    }

    fn is_everybody(&self) -> bool {
        Who::ALL.iter().all(|who| self.contestants.contains(who))
    }

    fn conditions(&self) -> Conditions {
        Conditions { divisor: if self.quick { QUICK_DIVISOR } else { 1 } }
    }

    /// The command that was given, for the page.
    fn command(&self) -> String {
        let mut line = format!("cargo xtask bench --repetitions {}", self.repetitions);
        if !self.rows.is_empty() {
            line += &format!(" --rows {}", self.rows.join(","));
        }
        if !self.is_everybody() {
            let names = self.contestants.iter().filter_map(|who| Some(who.to_possible_value()?.get_name().to_owned()));
            line += &format!(" --contestants {}", names.collect::<Vec<_>>().join(","));
        }
        for (given, option) in
            [(self.quick, " --quick"), (self.long, " --long"), (self.binary.is_some(), " --binary …")]
        {
            line += if given { option } else { "" };
        }
        line
    }

    fn binary(&self) -> Result<PathBuf> {
        if let Some(binary) = &self.binary {
            return Ok(binary.canonicalize()?);
        }
        let built = workspace::cargo().args(["build", "--release", "-p", "millstream-cli"]).status()?;
        ensure!(built.success(), "the broker does not build");
        Ok(workspace::target().join("release/millstream"))
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| args.wants(row.name)).collect();
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    let known = |wanted: &String| names.iter().any(|name| name.starts_with(wanted.as_str()));
    ensure!(args.rows.iter().all(known), "the rows are {}", names.join(", "));
    let binary = args.binary()?;
    let begun = Instant::now();
    let priority = surroundings::prepare()?;
    let mut comparison = Comparison {
        command: args.command(),
        machine: machine::Machine::look(&binary, args.binary.is_none())?,
        priority,
        warmed: args.conditions().warm_up(),
        sections: Vec::new(),
    };
    let mut field = Field::prepare(args, &binary)?;
    let scratch = workspace::target().join("bench");
    for row in rows {
        let section = field.row(row, args)?;
        print!("{section}");
        comparison.sections.push(section);
        // A run that is broken off has not been for nothing.
        write(&comparison, &scratch)?;
    }
    field.each(Contestant::stop)?;
    let folder = if args.is_whole() { workspace::root().join("docs/reference") } else { scratch };
    write(&comparison, &folder)?;
    println!("wrote {}", folder.strip_prefix(workspace::root()).unwrap_or(&folder).join("benchmarks.md").display());
    field.each(|broker| Ok(fs::remove_dir_all(&broker.data)?))?;
    println!("done in {} s", begun.elapsed().as_secs());
    Ok(())
}

fn write(comparison: &Comparison, folder: &Path) -> Result<()> {
    fs::write(folder.join("benchmarks.md"), page::render(comparison))?;
    Ok(fs::write(folder.join("benchmarks.svg"), chart::render(comparison))?)
}

/// All contestants of a run.
struct Field {
    contestants: Vec<Contestant>,
    /// Whether they run and have been warmed: before the first row that does not start them itself.
    running: bool,
}

impl Field {
    fn prepare(args: &Args, binary: &Path) -> Result<Self> {
        let wanted = Who::ALL.into_iter().filter(|who| args.contestants.contains(who));
        let contestants = wanted.map(|who| Contestant::prepare(who, binary)).collect::<Result<_>>()?;
        Ok(Self { contestants, running: false })
    }

    fn each(&mut self, act: impl FnMut(&mut Contestant) -> Result<()>) -> Result<()> {
        self.contestants.iter_mut().try_for_each(act)
    }

    /// Runs a row; what somebody could not run is said in the section and fails nothing else.
    fn row(&mut self, row: &Row, args: &Args) -> Result<Section> {
        let Row { name, title, note, .. } = *row;
        let mut section = Section { name, title, note, compared: Vec::new(), failures: Vec::new() };
        if row.long && !args.long {
            section.failures.push((None, "it takes `--long`.".to_owned()));
            return Ok(section);
        }
        if !self.running && row.load.needs_running() {
            self.each(|broker| broker.start().map(drop))?;
            self.each(|broker| warm_up(broker, args.conditions()))?;
            self.running = true;
        }
        let runs = self.runs(row, args, &mut section.failures);
        section.compared = figures::compare(&runs);
        let failed: Vec<Who> = section.failures.iter().filter_map(|(who, _)| *who).collect();
        for broker in self.contestants.iter_mut().filter(|broker| failed.contains(&broker.who)) {
            if self.running { broker.recover(name)? } else { broker.kill() }
        }
        Ok(section)
    }

    /// All repetitions, in turn, another one first each time. Who fails is out of this row.
    fn runs(
        &mut self,
        row: &Row,
        args: &Args,
        failures: &mut Vec<(Option<Who>, String)>,
    ) -> [Vec<Measured>; Who::ALL.len()] {
        let conditions = args.conditions();
        let mut runs = Who::ALL.map(|_| Vec::new());
        let mut failed = |who: Who, error: &anyhow::Error| {
            eprintln!("WARNING: {}, {}: {error:#}", row.name, who.name());
            failures.push((Some(who), without_paths(&format!("{error:#}"))));
        };
        let mut able: Vec<&mut Contestant> = Vec::new();
        for broker in self.contestants.iter_mut().filter(|broker| row.has(broker.who)) {
            match row.prepare(broker, conditions) {
                Ok(()) => able.push(broker),
                Err(error) => failed(broker.who, &error),
            }
        }
        let repetitions = if row.runs == Runs::Repeated { args.repetitions } else { 1 };
        for _ in 0..repetitions {
            able.retain_mut(|broker| match row.run(broker, conditions) {
                Ok(measured) => {
                    runs[broker.who as usize].push(measured);
                    true
                }
                Err(error) => {
                    failed(broker.who, &error);
                    false
                }
            });
            if !able.is_empty() {
                able.rotate_left(1);
            }
        }
        for broker in able {
            if let Err(error) = row.clear(broker) {
                failed(broker.who, &error);
            }
        }
        runs
    }
}

/// The page goes to other machines.
fn without_paths(text: &str) -> String {
    let root = workspace::root().display().to_string();
    text.replace(&root, "…").replace(&workspace::target().display().to_string(), "…/target").replace('\n', " ")
}

/// The same for all: Kafka's virtual machine compiles what is used often, and is slow before.
fn warm_up(broker: &mut Contestant, conditions: Conditions) -> Result<()> {
    let WarmUp { bytes, requests } = conditions.warm_up();
    let (bytes, requests) = (bytes.to_string(), requests.to_string());
    println!("warming {}", broker.who.name());
    let topic = ["--topic", "warm"];
    Topic::PAGE_CACHE.create("warm", 4, broker)?;
    let run = |line: &[&str]| broker.load(&words(&[line, &topic[..]].concat())).map(drop);
    run(&["produce", "--acks", "1", "--connections", "4", "--bytes", &bytes])?;
    run(&["fetch", "--connections", "4"])?;
    run(&["produce", "--acks", "1", "--batch-size", "1", "--record-size", "100", "--requests", &requests])?;
    run(&["e2e", "--requests", "5000"])?;
    broker.settle()?;
    broker.delete("warm")
}
