//! The chart: docs/reference/benchmarks.svg, bars for the first figure of each row.
//!
//! The bars of a row share a scale of their own, the longest fills the width: units differ from row to row.

use std::fmt::Write as _;

use super::{
    contestant::Who,
    figures::{Better, number},
    page::Comparison,
};

const ROW_HEIGHT: usize = 74;
const BAR_HEIGHT: usize = 14;
const BAR_LEFT: usize = 100;
const BAR_WIDTH: f64 = 520.0;
const WIDTH: usize = 760;
const HEAD_HEIGHT: usize = 34;
/// Readable on a light and on a dark page.
const STYLE: &str =
    "text{font:12px sans-serif;fill:#808890}.t{font-weight:bold}.k{fill:#9aa2ab}.u{fill:#c8a46b}.m{fill:#2f81f7}";

pub(super) fn render(comparison: &Comparison) -> String {
    let rows: Vec<_> = comparison
        .sections
        .iter()
        .filter_map(|section| section.compared.first().map(|one| (section.title, one)))
        .collect();
    let height = HEAD_HEIGHT + rows.len() * ROW_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"Kafka and Millstream side by side\">\n<style>{STYLE}</style>\n\
         <text x=\"4\" y=\"18\">Each row has a scale of its own. ↓ the shorter bar is better, ↑ the longer.</text>\n"
    );
    for (index, (title, one)) in rows.into_iter().enumerate() {
        let top = HEAD_HEIGHT + index * ROW_HEIGHT;
        let arrow = if one.figure.better == Better::Lower { '↓' } else { '↑' };
        let heading = escape(&format!("{title}: {} {arrow}", one.figure.name));
        let mut put = |line: std::fmt::Arguments<'_>| writeln!(svg, "{line}").expect("a string takes every write");
        put(format_args!("<text class=\"t\" x=\"4\" y=\"{}\">{heading}</text>", top + 12));
        let bars: Vec<(&str, &str, f64)> =
            [("Kafka", "k", Who::Kafka), ("Kafka, tuned", "u", Who::Tuned), ("Millstream", "m", Who::Millstream)]
                .into_iter()
                .filter_map(|(name, class, who)| Some((name, class, one.of(who)?.median)))
                .collect();
        let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
        for (place, (name, class, value)) in bars.into_iter().enumerate() {
            let y = top + 18 + place * (BAR_HEIGHT + 2);
            let width = if most > 0.0 { BAR_WIDTH * value / most } else { 0.0 };
            let (base, behind) = (y + 11, BAR_LEFT as f64 + width + 6.0);
            put(format_args!("<text x=\"14\" y=\"{base}\">{name}</text>"));
            put(format_args!(
                "<rect class=\"{class}\" x=\"{BAR_LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\"/>"
            ));
            let (value, unit) = (number(value), escape(one.figure.unit));
            put(format_args!("<text x=\"{behind:.1}\" y=\"{base}\">{value} {unit}</text>"));
        }
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::page::tests::comparison;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_are_in_proportion() {
        let svg = render(&comparison());
        assert!(svg.contains("class=\"m\" x=\"100\" y=\"84\" width=\"520.0\""), "{svg}");
        assert!(svg.contains("class=\"u\" x=\"100\" y=\"68\" width=\"520.0\""), "{svg}");
        assert!(svg.contains("class=\"k\" x=\"100\" y=\"52\" width=\"260.0\""), "{svg}");
        assert!(svg.contains("Produce &lt;1 MB&gt; &amp; more: throughput ↑"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }
}
