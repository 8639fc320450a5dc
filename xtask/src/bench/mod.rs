//! `cargo xtask bench`: Millstream and Apache Kafka on this machine, in this run, alternately, under the same load.
//!
//! Kafka comes through Maven, at its defaults, and both are warmed with the same load before anything counts. A whole run
//! writes docs/reference/benchmarks.md and its chart; a run of some rows, or a quick one, writes to target/bench.
//! docs/decisions/0007 says why it is done so.

use std::{fs, path::Path, time::Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use self::{
    contestant::{Contestant, words},
    figures::{Compared, Measured},
    page::{Comparison, Section},
    rows::{Conditions, ROWS, Row, WarmUp},
};
use crate::workspace;

mod chart;
mod contestant;
mod figures;
mod machine;
mod measure;
mod page;
mod pages;
mod rows;

/// Starts are cheap, and their spread is large.
const STARTS: usize = 5;
const IDLE_SECONDS: u64 = 5;
const QUICK_DIVISOR: u64 = 20;

/// What to measure; everything by default, which takes some ten minutes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these rows, by name or by the beginning of names; the page then goes to target/bench
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    rows: Vec<String>,
    /// Runs of each row, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// A twentieth of the load, to see that everything works; the page then goes to target/bench
    #[arg(long)]
    quick: bool,
    /// Whether memory for the page cache is touched before each run that writes
    #[arg(long, value_enum, default_value_t = Pages::Warm)]
    pages: Pages,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pages {
    Warm,
    Cold,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| name.starts_with(row.as_str()))
    }

    fn is_whole(&self) -> bool {
        self.rows.is_empty() && !self.quick
    }

    fn conditions(&self) -> Conditions {
        Conditions { divisor: if self.quick { QUICK_DIVISOR } else { 1 }, warm: self.pages == Pages::Warm }
    }

    /// The command that was given, for the page.
    fn command(&self) -> String {
        let mut line = format!("cargo xtask bench --repetitions {}", self.repetitions);
        if !self.rows.is_empty() {
            line += &format!(" --rows {}", self.rows.join(","));
        }
        if self.quick {
            line += " --quick";
        }
        if self.pages == Pages::Cold {
            line += " --pages cold";
        }
        line
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| args.wants(row.name)).collect();
    let names: Vec<&str> = ["start", "memory"].into_iter().chain(ROWS.iter().map(|row| row.name)).collect();
    let known = |wanted: &String| names.iter().any(|name| name.starts_with(wanted.as_str()));
    ensure!(args.rows.iter().all(known), "the rows are {}", names.join(", "));
    let built = workspace::cargo().args(["build", "--release", "-p", "millstream-cli"]).status()?;
    ensure!(built.success(), "the broker does not build");
    let binary = workspace::target().join("release/millstream");
    let begun = Instant::now();
    let mut pair = Pair { kafka: Contestant::kafka(&binary)?, millstream: Contestant::millstream(&binary)? };
    let mut sections = Vec::new();
    let mut report = |section: Section| {
        print!("{section}");
        sections.push(section);
    };
    if args.wants("start") {
        report(pair.starts(if args.quick { 1 } else { STARTS })?);
    }
    pair.each(|broker| broker.start().map(drop))?;
    if !rows.is_empty() {
        pair.each(|broker| warm_up(broker, args.conditions()))?;
    }
    for row in rows {
        report(pair.row(row, args)?);
    }
    if args.wants("memory") {
        report(pair.memory()?);
    }
    pair.each(Contestant::stop)?;
    let machine = machine::Machine::look(&binary)?;
    let Conditions { warm, .. } = args.conditions();
    let warmed = args.conditions().warm_up();
    let comparison = Comparison { command: args.command(), machine, warm, warmed, sections };
    write(&comparison, args.is_whole())?;
    pair.each(|broker| Ok(fs::remove_dir_all(&broker.data)?))?;
    println!("done in {} s", begun.elapsed().as_secs());
    Ok(())
}

fn write(comparison: &Comparison, whole: bool) -> Result<()> {
    let folder = if whole { workspace::root().join("docs/reference") } else { workspace::target().join("bench") };
    let put = |name: &str, text: String| -> Result<()> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        println!("wrote {}", path.strip_prefix(workspace::root()).unwrap_or(Path::new(name)).display());
        Ok(())
    };
    put("benchmarks.md", page::render(comparison))?;
    put("benchmarks.svg", chart::render(comparison))
}

/// Both brokers.
struct Pair {
    kafka: Contestant,
    millstream: Contestant,
}

impl Pair {
    fn each(&mut self, mut act: impl FnMut(&mut Contestant) -> Result<()>) -> Result<()> {
        act(&mut self.kafka)?;
        act(&mut self.millstream)
    }

    /// Runs both, in turn, the other one first each time.
    fn alternately(
        &mut self,
        repetitions: usize,
        mut run: impl FnMut(&mut Contestant) -> Result<Measured>,
    ) -> Result<Vec<Compared>> {
        let (mut of_kafka, mut of_millstream) = (Vec::new(), Vec::new());
        for repetition in 0..repetitions {
            if repetition.is_multiple_of(2) {
                of_kafka.push(run(&mut self.kafka)?);
                of_millstream.push(run(&mut self.millstream)?);
            } else {
                of_millstream.push(run(&mut self.millstream)?);
                of_kafka.push(run(&mut self.kafka)?);
            }
        }
        Ok(figures::compare(&of_kafka, &of_millstream))
    }

    fn starts(&mut self, repetitions: usize) -> Result<Section> {
        let compared = self.alternately(repetitions, |broker| {
            let took = broker.start()?;
            broker.rest()?;
            let (resident, _) = measure::resident(broker.pid()?)?;
            broker.stop()?;
            Ok(vec![(figures::START, took), (figures::IDLE_MEMORY, resident as f64 / 1e6)])
        })?;
        let note = "Without topics. A probe that looks every 0.2 ms sees the answer; memory is read when the broker has \
                    come to rest.";
        Ok(Section::new("start", "Start", note, compared))
    }

    fn row(&mut self, row: &Row, args: &Args) -> Result<Section> {
        let conditions = args.conditions();
        self.each(|broker| row.prepare(broker, conditions))?;
        let compared = self.alternately(args.repetitions.into(), |broker| row.run(broker, conditions))?;
        self.each(|broker| row.clear(broker))?;
        Ok(Section::new(row.name, row.title, row.note, compared))
    }

    /// After everything else.
    fn memory(&mut self) -> Result<Section> {
        let compared = self.alternately(1, |broker| {
            let pid = broker.pid()?;
            let (now, most) = measure::resident(pid)?;
            let (before, from) = (measure::broker_cpu(pid)?, Instant::now());
            while from.elapsed().as_secs() < IDLE_SECONDS {
                std::thread::park_timeout(std::time::Duration::from_secs(IDLE_SECONDS));
            }
            let idle = 100.0 * (measure::broker_cpu(pid)? - before) / from.elapsed().as_secs_f64();
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            Ok(vec![
                (figures::LOADED_MEMORY, megabytes(now)),
                (figures::MOST_MEMORY, megabytes(most)),
                (figures::IDLE_CPU, idle),
            ])
        })?;
        let note = "The process that went through all the loads of this run. CPU over five idle seconds.";
        Ok(Section::new("memory", "Memory after load", note, compared))
    }
}

/// The same for both: Kafka's virtual machine compiles what is used often, and is slow before.
fn warm_up(broker: &mut Contestant, conditions: Conditions) -> Result<()> {
    let WarmUp { bytes, requests } = conditions.warm_up();
    let (bytes, requests) = (bytes.to_string(), requests.to_string());
    println!("warming {}", broker.name);
    let topic = ["--topic", "warm"];
    broker.create("warm", 4, if broker.is_kafka() { &[] } else { &[("millstream.durability", "os")] })?;
    let run = |line: &[&str]| broker.load(&words(&[line, &topic[..]].concat())).map(drop);
    run(&["produce", "--acks", "1", "--connections", "4", "--bytes", &bytes])?;
    run(&["fetch", "--connections", "4"])?;
    run(&["produce", "--acks", "1", "--batch-size", "1", "--record-size", "100", "--requests", &requests])?;
    run(&["e2e", "--requests", "5000"])?;
    broker.settle()?;
    broker.delete("warm")
}
