//! Options that Kafka has given another name: both work, the old one with a warning, and not both at once.

use super::{Failure, Streams, options::Line};

/// How a tool words it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renaming {
    /// The warning's first word.
    pub(crate) warning: &'static str,
    /// Which name stands first where both are refused.
    pub(crate) new_first: bool,
}

impl Renaming {
    /// The name under which the option was given; the new one when it was not.
    pub(crate) fn name(
        self,
        line: &Line,
        streams: &mut Streams<'_>,
        old: &'static str,
        new: &'static str,
    ) -> Result<&'static str, Failure> {
        if !line.has(old) {
            return Ok(new);
        }
        if line.has(new) {
            let (first, second) = if self.new_first { (new, old) } else { (old, new) };
            return Err(Failure::Usage(format!("Options --{first} and --{second} cannot be specified together.")));
        }
        writeln!(
            streams.out,
            "{} --{old} is deprecated and will be removed in a future version. Use --{new} instead.",
            self.warning
        )?;
        Ok(old)
    }
}
