//! What the tools' tests share: a line read by a table, and streams that can be looked at.

use super::{
    Streams,
    options::{Line, OptionSpec},
};

/// Reads words that are a legal line of the table.
pub(crate) fn line(table: &'static [OptionSpec], words: &[&str]) -> Line {
    Line::read(table, words.iter().map(|&word| word.to_owned()).collect()).unwrap()
}

/// What `run` gives, and what it wrote to stdout.
pub(crate) fn with_streams<T>(run: impl FnOnce(&mut Streams<'_>) -> T) -> (T, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let given = run(&mut Streams { out: &mut out, err: &mut err });
    (given, String::from_utf8(out).unwrap())
}
