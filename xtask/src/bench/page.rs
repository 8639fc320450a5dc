//! The page: docs/reference/benchmarks.md. Targets first, then how it was measured, then every row.

use std::fmt::{self, Write as _};

use super::{
    contestant::Who,
    figures::{Better, Compared, Figure, Summary, number},
    machine::Machine,
    rows::WarmUp,
    surroundings::Priority,
    targets::{Check, TARGETS, Verdict},
    tuning,
};

pub(super) struct Comparison {
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) priority: Priority,
    pub(super) warmed: WarmUp,
    pub(super) sections: Vec<Section>,
}

/// One row with its figures; the first is the one in the chart.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) name: &'static str,
    pub(super) note: &'static str,
    pub(super) compared: Vec<Compared>,
    /// Who could not run it, or not to the end, and why; nobody's name when it was not tried.
    pub(super) failures: Vec<(Option<Who>, String)>,
}

/// What a terminal shows while the run goes on.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:58} {:>22} {:>22} {:>22}  ratio", self.title, "Apache Kafka", "tuned", "Millstream")?;
        for one in &self.compared {
            let [kafka, tuned, millstream] = Who::ALL.map(|who| cell(one.of(who)));
            let ratio = ratio(one, Who::Kafka);
            writeln!(f, "  {:56} {kafka:>22} {tuned:>22} {millstream:>22}  {ratio}", label(one.figure))?;
        }
        for failure in &self.failures {
            writeln!(f, "  {}", words(failure))?;
        }
        Ok(())
    }
}

const HEAD: &str = "\
# Benchmarks

Millstream and Apache Kafka on one machine, in one run, under the same load. This page is written by the command below; other load on
the machine moves absolute figures, so the ratios are what to look at. ↓: less is better, ↑: more is better. Figures are medians, with the
range of all repetitions behind them; a ratio is Millstream's median by Kafka's.

![Kafka and Millstream side by side](benchmarks.svg)
";

const HOW: &str = "\
## How it is measured

- Kafka is one node, once in its default configuration, with the heap and the collector that its own start script gives it, and once tuned.
  What a single node needs is set (replication factors of its own topics are 1). It removes the files of deleted topics at once
  (`log.segment.delete.delay.ms=100`, `log.initial.task.delay.ms=100`) and looks for what is to be deleted every second, as Millstream does here
  (`log.retention.check.interval.ms=1000`), so that the disk has room. Topics have the configs that their row names.
- All brokers run during the whole comparison with their data on the same disk; one is loaded, the others idle. They take turns, and another one
  goes first each time. Rows that say so have a new broker of their own.
- The load generator is `millstream bench`: batches built beforehand, raw connections, on the same machine. Throughput and latency are of the
  load; CPU and written bytes are counted until the broker has come to rest and the file system is synced, so what is put off is not left out.
  The machine's CPU includes the kernel's own threads, where write-back hides, and whatever else ran.
- Pages are warm, but for the row that says cold. Warm: before each run that writes, memory is touched and then freed as the page cache grows, for
  all alike. Cold: the page cache is dropped and what is free is joined to large pieces, which a virtual machine's host takes back in the five
  seconds that follow.
- 1 MB and 1 GB are powers of ten, of record batches as they travel.
";

pub(super) fn render(comparison: &Comparison) -> String {
    let mut page = format!("{HEAD}\n{}\n{}\n{HOW}", setting(comparison), targets(&comparison.sections));
    page += match comparison.priority {
        Priority::Alike => {
            "- All threads have the same priority: nobody may ask for a better one, as Millstream's I/O threads otherwise do.\n"
        }
        Priority::Asked => {
            "- **Millstream's I/O threads ran at a better priority**, because the right to it could not be given away.\n"
        }
    };
    page += &tuning::words();
    let (gigabytes, requests) = (comparison.warmed.bytes as f64 / 1e9, comparison.warmed.requests as f64);
    let warmed = writeln!(
        page,
        "- Before the first load counts, each broker has taken {gigabytes} GB, given them back, and answered {} small requests.",
        number(requests)
    );
    warmed.expect("a string takes every write");
    page += "\n## Figures\n";
    for section in &comparison.sections {
        page += &table(section);
    }
    page
}

fn setting(comparison: &Comparison) -> String {
    let Machine { cores, processor, memory_gib, kernel, kafka, java, millstream } = &comparison.machine;
    format!(
        "| | |\n|---|---|\n| command | `{}` |\n| machine | {cores} cores ({processor}), {memory_gib:.0} GiB, Linux {kernel} |\n\
         | Apache Kafka | {kafka}, {java} |\n| Millstream | {millstream} |\n",
        comparison.command
    )
}

/// Every condition of every target, in the order of the issue.
fn targets(sections: &[Section]) -> String {
    let mut text = "## Targets\n\nRatios are to Apache Kafka at its defaults; an amount is Millstream's own.\n\n\
                    | target | row: figure | wanted | Apache Kafka | Millstream | ratio | met |\n|---|---|---:|---:|---:|---:|---|\n"
        .to_owned();
    for target in &TARGETS {
        for (index, check) in target.checks.iter().enumerate() {
            let line = if index == 0 { target.line } else { "" };
            let row = writeln!(text, "| {line} | {} |", answer(check, sections));
            row.expect("a string takes every write");
        }
    }
    text
}

fn answer(check: &Check, sections: &[Section]) -> String {
    let section = sections.iter().find(|section| section.name == check.row);
    let measured = section.and_then(|section| section.compared.iter().find(|one| one.figure == check.figure));
    let median = |who| measured.and_then(|one| one.of(who)).map_or_else(|| "–".to_owned(), |one| number(one.median));
    let met = match check.verdict(measured) {
        Verdict::Met => "yes",
        Verdict::Missed => "**no**",
        Verdict::Unknown if section.is_some() => "not measured: see the row",
        Verdict::Unknown => "not part of this run",
        Verdict::Shown => "–",
    };
    let ratio = measured.map_or_else(|| "–".to_owned(), |one| ratio(one, Who::Kafka));
    let (kafka, millstream) = (median(Who::Kafka), median(Who::Millstream));
    format!("`{}`: {} | {} | {kafka} | {millstream} | {ratio} | {met}", check.row, label(check.figure), check.wanted())
}

fn table(section: &Section) -> String {
    let mut text = format!("\n### {}\n\n{} (`--rows {}`)\n", section.title, section.note, section.name);
    let mut put = |line: fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes every write");
    if !section.compared.is_empty() {
        put(format_args!(
            "\n| | Apache Kafka | tuned | Millstream | ratio | to the tuned |\n|---|---:|---:|---:|---:|---:|"
        ));
    }
    for one in &section.compared {
        let [kafka, tuned, millstream] = Who::ALL.map(|who| cell(one.of(who)));
        let (to_kafka, to_tuned) = (ratio(one, Who::Kafka), ratio(one, Who::Tuned));
        let label = label(one.figure);
        put(format_args!("| {label} | {kafka} | {tuned} | {millstream} | {to_kafka} | {to_tuned} |"));
    }
    for failure in &section.failures {
        put(format_args!("\n{}", words(failure)));
    }
    text
}

fn words((who, why): &(Option<Who>, String)) -> String {
    match who {
        Some(who) => format!("**{} could not run it:** {why}", who.name()),
        None => format!("**Not run:** {why}"),
    }
}

fn cell(summary: Option<Summary>) -> String {
    summary.map_or_else(|| "–".to_owned(), |summary| summary.to_string())
}

fn ratio(one: &Compared, other: Who) -> String {
    one.ratio(other).map_or_else(|| "–".to_owned(), |ratio| format!("{}×", number(ratio)))
}

fn label(figure: Figure) -> String {
    let arrow = match figure.better {
        Better::Lower => '↓',
        Better::Higher => '↑',
    };
    let unit = if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
    format!("{}{unit} {arrow}", figure.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::figures::{self, compare};

    pub(in crate::bench) fn comparison() -> Comparison {
        let kafka =
            vec![vec![(figures::THROUGHPUT, 600.0), (figures::BROKER_CPU, 1.5)], vec![(figures::THROUGHPUT, 620.0)]];
        let tuned = vec![vec![(figures::THROUGHPUT, 1220.0)]];
        let millstream = vec![vec![(figures::THROUGHPUT, 1220.0), (figures::BROKER_CPU, 0.45)]];
        let machine = Machine {
            cores: 2,
            processor: "a processor".to_owned(),
            memory_gib: 24.0,
            kernel: "6.1".to_owned(),
            kafka: "4.4.0".to_owned(),
            java: "a runtime".to_owned(),
            millstream: "millstream 0.1.0 (abc)".to_owned(),
        };
        let measured = Section {
            name: "produce-1",
            title: "Produce <1 MB> & more",
            note: "As it is.",
            compared: compare(&[kafka, tuned, millstream]),
            failures: vec![(Some(Who::Tuned), "it broke".to_owned())],
        };
        let unmeasured = Section {
            name: "growth",
            title: "A partition that grows",
            note: "Once.",
            compared: Vec::new(),
            failures: vec![(None, "only with `--long`.".to_owned())],
        };
        Comparison {
            command: "cargo xtask bench".to_owned(),
            machine,
            priority: Priority::Alike,
            warmed: WarmUp { bytes: 5_000_000_000, requests: 100_000 },
            sections: vec![measured, unmeasured],
        }
    }

    #[test]
    fn a_page_has_the_setting_targets_and_a_table_with_ratios() {
        let page = render(&comparison());
        for line in [
            "| command | `cargo xtask bench` |",
            "| machine | 2 cores (a processor), 24 GiB, Linux 6.1 |",
            "| throughput, MB/s ↑ | 610 (600–620) | 1,220 | 1,220 | 2.00× | 1.00× |",
            "| broker CPU, s/GB ↓ | 1.50 | – | 0.450 | 0.300× | – |",
            "| produce throughput, 1 and 4 connections, 1 MB batches, `os` | `produce-1`: throughput, MB/s ↑ | ≥ 1.7× | 610 | 1,220 | 2.00× | yes |",
            "|  | `produce-4`: throughput, MB/s ↑ | ≥ 1.7× | – | – | – | not part of this run |",
            "|  | `growth`: CPU per record read at the end, last by first ↓ | ≤ 1.10 | – | – | – | not measured: see the row |",
            "**Apache Kafka, tuned could not run it:** it broke",
            "**Not run:** only with `--long`.",
            "- Before the first load counts, each broker has taken 5 GB, given them back, and answered 100,000 small requests.",
        ] {
            assert!(page.lines().any(|found| found == line), "`{line}` is not in\n{page}");
        }
    }
}
