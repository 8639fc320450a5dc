//! The options of `consumer-groups`, and which of them go together.

use crate::tools::{
    Failure, Streams,
    options::{HELP, Line, OptionSpec, VERSION, flag, maybe, value},
};

pub(super) static OPTIONS: [OptionSpec; 31] = [
    HELP,
    VERSION,
    value(
        "bootstrap-server",
        "HOST:PORT,…",
        "REQUIRED except with --validate-regex: a server of the cluster, or several.",
    ),
    value("command-config", "file", "Property file with settings for the client."),
    flag("list", "List the groups."),
    flag("describe", "Show groups: their partitions with offsets and lag, unless another option says what."),
    flag("delete", "Delete groups with everything they have committed."),
    flag(
        "reset-offsets",
        "Set a group's offsets; the group must have no members. Needs one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime, --by-duration, --from-file, and --topic or --all-topics. Shows only what would be done unless --execute is there.",
    ),
    flag("delete-offsets", "Delete a group's offsets of some topics."),
    value("validate-regex", "regular expression", "Say whether a subscription's pattern is valid."),
    value("group", "group", "The group; may be repeated."),
    flag("all-groups", "Every group."),
    value(
        "topic",
        "topic[:0,1,2]",
        "The topic, or some of its partitions, whose offsets are reset or deleted; may be repeated.",
    ),
    flag("all-topics", "Every topic that the group has committed offsets for."),
    flag("members", "With --describe: the members."),
    flag("offsets", "With --describe: partitions with offsets and lag; the default."),
    maybe(
        "state",
        "states",
        "With --describe: the groups' states. With --list: the same, of groups in these states if any are named.",
    ),
    maybe("type", "types", "With --list: the groups' types, of groups of these types if any are named."),
    flag("verbose", "With --describe: more columns."),
    value("timeout", "ms", "How long to wait for the cluster. Default: 30000."),
    flag("dry-run", "With --reset-offsets: show what would be done."),
    flag("execute", "With --reset-offsets: do it."),
    flag("export", "With --reset-offsets: print the offsets as CSV."),
    value("to-offset", "offset", "Reset to this offset."),
    value(
        "from-file",
        "file",
        "Reset to the offsets in a CSV file: topic,partition,offset or, for several groups, group,topic,partition,offset.",
    ),
    value(
        "to-datetime",
        "datetime",
        "Reset to the first record at or after YYYY-MM-DDThh:mm:ss.sss, with Z or +hh:mm behind it if not UTC.",
    ),
    value("by-duration", "duration", "Reset to the first record that is not older than PnDTnHnMnS."),
    flag("to-earliest", "Reset to the beginning."),
    flag("to-latest", "Reset to the end."),
    flag("to-current", "Reset to the committed offsets, to the end where there are none."),
    value("shift-by", "count", "Move offsets by so many, back if negative."),
];

/// What `consumer-groups` does.
const ACTIONS: [&str; 6] = ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
/// Where offsets may be reset to.
pub(super) const SCENARIOS: [&str; 8] =
    ["to-offset", "shift-by", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "from-file"];

/// Checks what Kafka checks before it connects, in its order and words.
pub(super) fn check(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    if !line.has("validate-regex") {
        line.require(&["bootstrap-server"])?;
    }
    available(line)?;
    check_describe(line)?;
    check_delete(line)?;
    check_reset(line, streams)?;
    line.exclude("group", &["all-groups", "list"])?;
    line.exclude("topic", &["list", "describe"])?;
    if line.count(&ACTIONS) != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
        return usage(format!("Command must include exactly one action: {}", actions.join(", ")));
    }
    Ok(())
}

fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

/// Some options exist only beside others.
fn available(line: &Line) -> Result<(), Failure> {
    let with: [(&str, &[&str]); 5] = [
        ("members", &["describe"]),
        ("verbose", &["describe"]),
        ("offsets", &["describe"]),
        ("state", &["describe", "list"]),
        ("type", &["list"]),
    ];
    let lost: Vec<&str> = with
        .iter()
        .filter(|(option, with)| line.has(option) && line.count(with) == 0)
        .map(|(option, _)| *option)
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::Message(format!(
        "Option(s) [{}] are unavailable given other options on the command line",
        lost.join(", ")
    )))
}

fn check_describe(line: &Line) -> Result<(), Failure> {
    if !line.has("describe") {
        return Ok(());
    }
    if line.count(&["group", "all-groups"]) == 0 {
        return usage("Option [describe] takes one of these options: [group], [all-groups]");
    }
    if line.count(&["members", "offsets", "state"]) > 1 {
        return usage("Option [describe] takes at most one of these options: [members], [offsets], [state]");
    }
    if line.value("state")?.is_some() {
        return usage("Option [describe] does not take a value for [state]");
    }
    Ok(())
}

fn check_delete(line: &Line) -> Result<(), Failure> {
    if line.has("delete") {
        if line.count(&["group", "all-groups"]) == 0 {
            return usage("Option [delete] takes one of these options: [group], [all-groups]");
        }
        if line.has("topic") {
            return usage("The consumer does not support topic-specific offset deletion from a consumer group.");
        }
    }
    if line.has("delete-offsets") && line.count(&["group", "topic"]) < 2 {
        return usage("Option [delete-offsets] takes the following options: [group], [topic]");
    }
    Ok(())
}

fn check_reset(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    if !line.has("reset-offsets") {
        return Ok(());
    }
    match line.count(&["dry-run", "execute"]) {
        2 => return usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]"),
        0 => writeln!(
            streams.err,
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting."
        )?,
        _ => {}
    }
    if line.count(&["group", "all-groups"]) == 0 {
        return usage("Option [reset-offsets] takes one of these options: [group], [all-groups]");
    }
    for scenario in SCENARIOS {
        line.exclude(scenario, &SCENARIOS)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::{line, with_streams};

    fn refused(words: &[&str], message: &str) {
        let words = [&["--bootstrap-server", "h:1"], words].concat();
        let (checked, _) = with_streams(|streams| check(&line(&OPTIONS, &words), streams));
        match checked {
            Err(Failure::Usage(got) | Failure::Message(got)) => assert_eq!(got, message),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn what_does_not_go_together_is_told_in_kafkas_words() {
        refused(
            &[],
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex",
        );
        refused(&["--describe"], "Option [describe] takes one of these options: [group], [all-groups]");
        refused(
            &["--members", "--list"],
            "Option(s) [members] are unavailable given other options on the command line",
        );
        refused(
            &["--describe", "--group", "g", "--members", "--state"],
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        );
        refused(
            &["--delete", "--group", "g", "--topic", "t"],
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        );
        refused(&["--list", "--group", "g"], "Option \"[group]\" can't be used with option \"[list]\"");
        refused(
            &["--reset-offsets", "--group", "g", "--to-latest", "--to-offset", "5"],
            "Option \"[to-offset]\" can't be used with option \"[to-latest]\"",
        );
    }
}
