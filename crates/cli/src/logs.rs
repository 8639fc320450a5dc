//! Logs: everything that is not the answer to what was asked goes to stderr, as text or as JSON lines.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::up::progress::beside_line;

/// `--log-level` and `--log-format`, understood by every command.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// What to log: error, warn, info, debug, trace, off, or a filter such as `info,millstream_broker=debug`.
    /// Default: info for what keeps running, warn for what answers and ends.
    #[arg(long, global = true, value_name = "LEVEL", env = "MILLSTREAM_LOG", value_parser = parse_filter)]
    log_level: Option<String>,
    /// How a log line looks.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line of text for a human.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

fn parse_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Starts logging for the whole process, once; `default_level` holds where the user asked for none.
pub(crate) fn init(options: &Options, default_level: &str) {
    let level = options.log_level.as_deref().unwrap_or(default_level);
    let filter = EnvFilter::try_new(level).expect("parse_filter accepted this level");
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(beside_line);
    match options.log_format {
        Format::Text => lines.with_ansi(stderr().is_terminal()).init(),
        Format::Json => lines.json().init(),
    }
}
