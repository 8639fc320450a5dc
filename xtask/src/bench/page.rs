//! The page: docs/reference/benchmarks.md.

use std::fmt::{self, Write as _};

use super::{
    figures::{Better, Compared, number},
    machine::Machine,
    rows::WarmUp,
};

pub(super) struct Comparison {
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) warm: bool,
    pub(super) warmed: WarmUp,
    pub(super) sections: Vec<Section>,
}

/// One row with its figures; the first is the one in the chart.
pub(super) struct Section {
    pub(super) title: String,
    name: &'static str,
    note: String,
    pub(super) compared: Vec<Compared>,
}

impl Section {
    pub(super) fn new(name: &'static str, title: &str, note: &str, compared: Vec<Compared>) -> Self {
        Self { title: title.to_owned(), name, note: note.to_owned(), compared }
    }
}

/// What a terminal shows while the run goes on.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:57} {:>24} {:>24}  ratio", self.title, "Apache Kafka", "Millstream")?;
        for one in &self.compared {
            let ratio = one.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{}×", number(ratio)));
            writeln!(
                f,
                "  {:55} {:>24} {:>24}  {ratio}",
                label(one),
                one.kafka.to_string(),
                one.millstream.to_string()
            )?;
        }
        Ok(())
    }
}

const HEAD: &str = "\
# Benchmarks

Millstream and Apache Kafka on one machine, in one run, under the same load. This page is written by the command below; other load on
the machine moves absolute figures, so the ratios are what to look at. ↓: less is better, ↑: more is better. Figures are medians, with the
range of all repetitions behind them; the ratio is Millstream's median by Kafka's.

![Kafka and Millstream side by side](benchmarks.svg)
";

const HOW: &str = "\
## How it is measured

- Kafka is one node in its default configuration, with the heap (`-Xmx1G -Xms1G`) and the collector that its own start script gives it.
  What a single node needs is set (replication factors of its own topics are 1), and it removes the files of deleted topics at once
  (`log.segment.delete.delay.ms=100`, `log.initial.task.delay.ms=100`), so that the disk is free again after each run. Topics have the configs
  that their row names.
- Both brokers run during the whole comparison, in the default scheduling class, with their data on the same disk; one is loaded, the other idle.
  The brokers take turns, and each goes first every other time.
- The load generator is `millstream bench`: batches built beforehand, raw connections, on the same machine. Throughput and latency are of the
  load; CPU and written bytes are counted until the broker has come to rest and the file system is synced, so what is put off is not left out.
  The machine's CPU includes the kernel's own threads, where write-back hides, and whatever else ran.
- 1 MB and 1 GB are powers of ten, of record batches as they travel.
";

pub(super) fn render(comparison: &Comparison) -> String {
    let mut page = format!("{HEAD}\n{}\n{HOW}", setting(comparison));
    let pages = if comparison.warm {
        "- Pages are warm: before each run that writes, memory is touched and then freed as the page cache grows, for both alike.\n"
    } else {
        "- Pages are cold: before each run that writes, five seconds pass in which a virtual machine gives free memory back to its host.\n"
    };
    page += pages;
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

fn table(section: &Section) -> String {
    let mut text = format!("\n### {}\n\n{} (`--rows {}`)\n\n", section.title, section.note, section.name);
    text += "| | Apache Kafka | Millstream | ratio |\n|---|---:|---:|---:|\n";
    for one in &section.compared {
        let ratio = one.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{}×", number(ratio)));
        let row = writeln!(text, "| {} | {} | {} | {ratio} |", label(one), one.kafka, one.millstream);
        row.expect("a string takes every write");
    }
    text
}

fn label(one: &Compared) -> String {
    let arrow = match one.figure.better {
        Better::Lower => '↓',
        Better::Higher => '↑',
    };
    let unit = if one.figure.unit.is_empty() { String::new() } else { format!(", {}", one.figure.unit) };
    format!("{}{unit} {arrow}", one.figure.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::figures::{self, compare};

    pub(in crate::bench) fn comparison() -> Comparison {
        let kafka =
            [vec![(figures::THROUGHPUT, 600.0), (figures::BROKER_CPU, 1.5)], vec![(figures::THROUGHPUT, 620.0)]];
        let millstream = [vec![(figures::THROUGHPUT, 1220.0), (figures::BROKER_CPU, 0.45)]];
        let machine = Machine {
            cores: 2,
            processor: "a processor".to_owned(),
            memory_gib: 24.0,
            kernel: "6.1".to_owned(),
            kafka: "4.4.0".to_owned(),
            java: "a runtime".to_owned(),
            millstream: "millstream 0.1.0 (abc)".to_owned(),
        };
        let section = Section::new("produce-1", "Produce <1 MB> & more", "As it is.", compare(&kafka, &millstream));
        let warmed = WarmUp { bytes: 5_000_000_000, requests: 100_000 };
        Comparison { command: "cargo xtask bench".to_owned(), machine, warm: true, warmed, sections: vec![section] }
    }

    #[test]
    fn a_page_has_the_setting_and_a_table_with_ratios() {
        let page = render(&comparison());
        for line in [
            "| command | `cargo xtask bench` |",
            "| machine | 2 cores (a processor), 24 GiB, Linux 6.1 |",
            "| throughput, MB/s ↑ | 610 (600–620) | 1,220 | 2.00× |",
            "| broker CPU, s/GB ↓ | 1.50 | 0.450 | 0.300× |",
            "- Before the first load counts, each broker has taken 5 GB, given them back, and answered 100,000 small requests.",
        ] {
            assert!(page.lines().any(|found| found == line), "`{line}` is not in\n{page}");
        }
    }
}
