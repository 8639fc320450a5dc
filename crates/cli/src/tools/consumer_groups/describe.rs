//! What `consumer-groups --describe` prints: a group's partitions with lag, its members, or its state.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use millstream_client::{
    Admin, TopicPartition,
    admin::{CommittedOffset, GroupDescription, MemberDescription, OffsetSpec},
    config::IsolationLevel,
};

use super::{Stop, asked_groups};
use crate::tools::{Streams, options::Line};

/// Stands where there is no value.
const MISSING: &str = "-";

pub(super) async fn describe(line: &Line, admin: &Admin, streams: &mut Streams<'_>) -> Result<(), Stop> {
    let groups = asked_groups(line, admin).await?;
    let names: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut described = Vec::new();
    for (_, group) in admin.describe_groups(&names).await? {
        described.push(group?);
    }
    let verbose = line.has("verbose");
    for group in &described {
        if line.has("members") {
            says_state(group, !group.members.is_empty(), streams)?;
            print_members(group, verbose, streams.out)?;
        } else if line.has("state") {
            if says_state(group, true, streams)? {
                print_state(group, verbose, streams.out)?;
            }
        } else {
            let rows = offset_rows(group, admin).await?;
            if says_state(group, !rows.is_empty(), streams)? {
                print_offsets(&group.group_id, &rows, verbose, streams.out)?;
            }
        }
    }
    Ok(())
}

/// Says what is unusual about the group's state; whether there is something to show.
fn says_state(group: &GroupDescription, has_rows: bool, streams: &mut Streams<'_>) -> io::Result<bool> {
    let name = &group.group_id;
    match group.state.as_str() {
        "Dead" => writeln!(streams.out, "\nError: Consumer group '{name}' does not exist.")?,
        "Empty" => writeln!(streams.err, "\nConsumer group '{name}' has no active members.")?,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            writeln!(streams.err, "\nWarning: Consumer group '{name}' is rebalancing.")?;
        }
        _ => {}
    }
    Ok(has_rows && group.state != "Dead")
}

/// A partition's offsets, and the member that reads it.
#[derive(Debug)]
struct OffsetRow {
    partition: TopicPartition,
    leader_epoch: Option<i32>,
    committed: Option<i64>,
    end: Option<i64>,
    member: [String; 3],
}

async fn offset_rows(group: &GroupDescription, admin: &Admin) -> Result<Vec<OffsetRow>, Stop> {
    let committed = admin.list_group_offsets(&group.group_id, None).await?;
    let mut members: Vec<&MemberDescription> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut wanted: Vec<(TopicPartition, [String; 3])> = Vec::new();
    for member in members {
        let mut assignment = member.assignment.clone();
        assignment.sort();
        let columns = [member.member_id.clone(), member.host.clone(), member.client_id.clone()];
        wanted.extend(assignment.into_iter().map(|partition| (partition, columns.clone())));
    }
    let assigned: BTreeSet<TopicPartition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
    let without = committed.keys().filter(|partition| !assigned.contains(*partition));
    wanted.extend(without.map(|partition| (partition.clone(), [MISSING, MISSING, MISSING].map(str::to_owned))));
    let asked: Vec<_> = wanted.iter().map(|(partition, _)| (partition.clone(), OffsetSpec::Latest)).collect();
    let mut ends = BTreeMap::new();
    for (partition, answer) in admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await? {
        // A partition without a leader has no end for now; the others are shown.
        ends.insert(partition, answer.ok().map(|listed| listed.offset));
    }
    Ok(wanted.into_iter().map(|(partition, member)| row(partition, member, &committed, &ends)).collect())
}

fn row(
    partition: TopicPartition,
    member: [String; 3],
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    ends: &BTreeMap<TopicPartition, Option<i64>>,
) -> OffsetRow {
    let held = committed.get(&partition);
    OffsetRow {
        leader_epoch: held.and_then(|held| held.leader_epoch),
        committed: held.map(|held| held.offset),
        end: ends.get(&partition).copied().flatten(),
        member,
        partition,
    }
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or(MISSING.to_owned(), |value| value.to_string())
}

fn print_offsets(group: &str, rows: &[OffsetRow], verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let widest = |of: &dyn Fn(&OffsetRow) -> usize| rows.iter().map(of).max().unwrap_or(0).max(15);
    let (group_width, topic_width) = (group.len().max(15), widest(&|row| row.partition.topic.len()));
    let (id_width, host_width) = (widest(&|row| row.member[0].len()), widest(&|row| row.member[1].len()));
    let mut print = |columns: [&str; 10]| {
        let [group, topic, partition, epoch, committed, end, lag, id, host, client] = columns;
        write!(out, "\n{group:group_width$} {topic:topic_width$} {partition:10} ")?;
        if verbose {
            write!(out, "{epoch:15} ")?;
        }
        write!(out, "{committed:15} {end:15} {lag:15} {id:id_width$} {host:host_width$} {client}")
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])?;
    for row in rows {
        let lag = row.committed.filter(|offset| *offset != -1).zip(row.end).map(|(offset, end)| end - offset);
        let [id, host, client] = &row.member;
        let (partition, epoch) = (row.partition.partition.to_string(), shown(row.leader_epoch));
        let (committed, end, lag) = (shown(row.committed), shown(row.end), shown(lag));
        print([group, &row.partition.topic, &partition, &epoch, &committed, &end, &lag, id, host, client])?;
    }
    writeln!(out)
}

fn print_state(group: &GroupDescription, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let broker = &group.coordinator;
    let coordinator = format!("{}:{}  ({})", broker.host, broker.port, broker.id);
    let (group_width, coordinator_width) = (group.group_id.len().max(15), coordinator.len().max(25));
    let strategy = if group.protocol.is_empty() { MISSING } else { &group.protocol };
    let members = group.members.len().to_string();
    let epochs = group
        .epochs
        .map_or([MISSING, MISSING].map(str::to_owned), |(group, target)| [group.to_string(), target.to_string()]);
    let mut print = |columns: [&str; 5], epochs: [&str; 2]| {
        let [group, coordinator, strategy, state, members] = columns;
        write!(out, "\n{group:group_width$} {coordinator:coordinator_width$} {strategy:20} {state:20} ")?;
        if verbose {
            write!(out, "{:15} {:25} ", epochs[0], epochs[1])?;
        }
        write!(out, "{members}")
    };
    let head = ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"];
    print(head, ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"])?;
    print([&group.group_id, &coordinator, strategy, &group.state, &members], [&epochs[0], &epochs[1]])?;
    writeln!(out)
}

/// The widths of the columns that grow with what stands in them.
struct MemberWidths {
    group: usize,
    id: usize,
    instance: Option<usize>,
    host: usize,
    client: usize,
    current: usize,
    target: usize,
}

fn print_members(group: &GroupDescription, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let widest = |least: usize, of: &dyn Fn(&MemberDescription) -> usize| {
        group.members.iter().map(of).max().unwrap_or(0).max(least)
    };
    let instance_of = |member: &MemberDescription| member.group_instance_id.as_deref().unwrap_or_default().len();
    let has_instance = group.members.iter().any(|member| instance_of(member) > 0);
    let widths = MemberWidths {
        group: group.group_id.len().max(15),
        id: widest(15, &|member| member.member_id.len()),
        instance: has_instance.then(|| widest(17, &instance_of)),
        host: widest(15, &|member| member.host.len()),
        client: widest(15, &|member| member.client_id.len()),
        current: widest(20, &|member| assignment(&member.assignment).len()),
        target: widest(20, &|member| assignment(target(member)).len()),
    };
    let upgraded = |which| group.members.iter().any(|member| member.upgraded == Some(which));
    let migrating = upgraded(true) && upgraded(false);
    writeln!(out)?;
    let head = ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    let detail = ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED"];
    print_member(&widths, head, verbose.then_some(detail), migrating, out)?;
    for member in &group.members {
        let (count, instance) =
            (member.assignment.len().to_string(), member.group_instance_id.clone().unwrap_or_default());
        let columns = [&group.group_id, &member.member_id, &instance, &member.host, &member.client_id, &*count];
        let (current, target) = (assignment(&member.assignment), assignment(target(member)));
        let (epoch, target_epoch) = (shown(member.member_epoch), shown(group.epochs.map(|(_, target)| target)));
        let upgraded = shown(member.upgraded);
        let detail = [&*epoch, &current, &target_epoch, &target, &upgraded];
        print_member(&widths, columns, verbose.then_some(detail), migrating, out)?;
    }
    Ok(())
}

fn print_member(
    widths: &MemberWidths,
    columns: [&str; 6],
    detail: Option<[&str; 5]>,
    migrating: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let [group, id, instance, host, client, count] = columns;
    write!(out, "{group:0$} {id:1$} ", widths.group, widths.id)?;
    if let Some(width) = widths.instance {
        write!(out, "{instance:width$} ")?;
    }
    write!(out, "{host:0$} {client:1$} {count:15} ", widths.host, widths.client)?;
    if let Some([epoch, current, target_epoch, target, upgraded]) = detail {
        write!(out, "{epoch:15} {current:0$} {target_epoch:15} {target:1$}", widths.current, widths.target)?;
        if migrating {
            write!(out, " {upgraded}")?;
        }
    }
    writeln!(out)
}

fn target(member: &MemberDescription) -> &[TopicPartition] {
    member.target_assignment.as_deref().unwrap_or_default()
}

/// `t1:0,1;t2:0`.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    let texts: Vec<String> = topics
        .into_iter()
        .map(|(topic, mut indexes)| {
            indexes.sort_unstable();
            let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
            format!("{topic}:{}", indexes.join(","))
        })
        .collect();
    texts.join(";")
}

#[cfg(test)]
mod tests;
