//! Kafka's command-line tools: same options, same stdout, same exit codes as Apache Kafka's scripts; on stderr the same
//! sentences without Java's class names and traces.
//!
//! Started under a script's name (`kafka-topics.sh`, by a link) the binary is that tool; `millstream topics` is the
//! same. A tool is an entry of [`TOOLS`]: a table of options and a function. It reaches a cluster through
//! millstream-client only, so it serves any Kafka.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use options::{Line, OptionError, OptionSpec};

mod admin;
mod bootstrap;
mod broker_api_versions;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod get_offsets;
mod interrupt;
mod java_order;
mod options;
mod properties;
mod renaming;
#[cfg(test)]
mod testing;
mod topic_filter;
mod topics;
mod usage;

/// The release of Apache Kafka whose tools these equal: what `--version` prints, because scripts compare it.
const KAFKA_VERSION: &str = "4.3.1";

/// One tool.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Kafka's script without `.sh`.
    pub(crate) script: &'static str,
    /// What stands above its table of options.
    about: &'static str,
    options: &'static [OptionSpec],
    /// What becomes of a line that cannot be read; the scripts differ.
    unreadable: fn(String) -> Failure,
    run: fn(&Line, &mut Streams<'_>) -> Result<(), Failure>,
}

pub(crate) static TOPICS: Tool = topics::TOOL;
pub(crate) static CONSUMER_GROUPS: Tool = consumer_groups::TOOL;
pub(crate) static CONSOLE_PRODUCER: Tool = console_producer::TOOL;
pub(crate) static CONSOLE_CONSUMER: Tool = console_consumer::TOOL;
pub(crate) static CONFIGS: Tool = configs::TOOL;
pub(crate) static GET_OFFSETS: Tool = get_offsets::TOOL;
pub(crate) static BROKER_API_VERSIONS: Tool = broker_api_versions::TOOL;

/// Every tool there is.
pub(crate) static TOOLS: [&Tool; 7] =
    [&TOPICS, &CONSOLE_PRODUCER, &CONSOLE_CONSUMER, &CONSUMER_GROUPS, &CONFIGS, &GET_OFFSETS, &BROKER_API_VERSIONS];

/// Where a tool writes, so that a test can look at it.
pub(crate) struct Streams<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
}

/// Why a tool ends with exit code 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The line is wrong: this sentence, then the table of options, on stderr.
    Usage(String),
    /// This sentence on stderr.
    Message(String),
    /// The tool has said why.
    Said,
    /// Nobody reads what we write.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A value that is missing, doubled or of the wrong type is noticed while the tool runs; Kafka's tools then print the
/// sentence alone.
impl From<OptionError> for Failure {
    fn from(error: OptionError) -> Self {
        Self::Message(error.to_string())
    }
}

/// The tool whose script's name this process was started under.
pub(crate) fn started_as(program: &Path) -> Option<&'static Tool> {
    let name = program.file_name()?.to_str()?;
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.into_iter().find(|tool| tool.script == name)
}

/// Runs a tool with what stands behind its name on the command line.
pub(crate) fn run(tool: &'static Tool, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let code = answer(tool, words, &mut Streams { out: &mut out, err: &mut err });
    ExitCode::from(code)
}

/// Reads the line, runs the tool, says what went wrong; the exit code.
fn answer(tool: &'static Tool, words: Vec<String>, streams: &mut Streams<'_>) -> u8 {
    let done = match Line::read(tool.options, words) {
        Err(error) => Err((tool.unreadable)(error.to_string())),
        Ok(line) if line.words.is_empty() || line.has("help") => Err(Failure::Usage(tool.about.to_owned())),
        Ok(line) if line.has("version") => writeln!(streams.out, "{KAFKA_VERSION}").map_err(Failure::Output),
        Ok(line) => (tool.run)(&line, streams),
    };
    let done = done.and_then(|()| streams.out.flush().map_err(Failure::Output));
    let Err(failure) = done else { return 0 };
    // When stderr is gone too there is nobody left to tell.
    let _ = streams.out.flush();
    let _ = match failure {
        Failure::Usage(message) => write!(streams.err, "{message}\n{}", usage::render(tool.options)),
        Failure::Message(message) => writeln!(streams.err, "{message}"),
        Failure::Output(error) if error.kind() != io::ErrorKind::BrokenPipe => writeln!(streams.err, "{error}"),
        Failure::Output(_) | Failure::Said => Ok(()),
    };
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from each script's --help.
    #[test]
    fn every_tool_has_kafkas_options_and_no_others() {
        for line in include_str!("../../tests/golden/options.txt").lines() {
            let (command, names) = line.split_once(": ").unwrap();
            let script = format!("kafka-{command}");
            let tool = TOOLS.into_iter().find(|tool| tool.script == script).unwrap();
            let mut ours: Vec<&str> = tool.options.iter().map(|option| option.name).collect();
            ours.sort_unstable();
            assert_eq!(ours, names.split(' ').collect::<Vec<_>>(), "{command}");
        }
    }

    #[test]
    fn help_and_no_words_print_the_table_on_stderr() {
        for words in [&[][..], &["--help"]] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let words = words.iter().map(|&word: &&str| word.to_owned()).collect();
            let code = answer(&TOPICS, words, &mut Streams { out: &mut out, err: &mut err });
            assert_eq!((code, out.len()), (1, 0));
            let text = String::from_utf8(err).unwrap();
            assert!(text.starts_with(TOPICS.about) && text.contains("\n--under-min-isr-partitions "), "{text}");
        }
    }
}
