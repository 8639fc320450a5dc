//! `broker-api-versions`, Kafka's kafka-broker-api-versions.sh: which versions of which APIs each broker serves.

use std::ops::RangeInclusive;

use millstream_client::{ApiKey, Broker};

use super::{
    Failure, Streams, Tool,
    admin::Session,
    bootstrap,
    options::{HELP, Line, OptionSpec, VERSION, value},
};

pub(super) const TOOL: Tool = Tool {
    script: "kafka-broker-api-versions",
    about: "Shows which versions of which APIs the brokers serve.",
    options: &OPTIONS,
    unreadable: Failure::Message,
    run,
};

static OPTIONS: [OptionSpec; 4] = [
    HELP,
    VERSION,
    value("bootstrap-server", "HOST:PORT,…", "REQUIRED: a server of the cluster, or several."),
    value("command-config", "file", "Property file with settings for the client."),
];

/// APIs that brokers and controllers use among themselves: not told of when they are absent.
const NOT_FOR_CLIENTS: [i16; 16] = [4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];

fn run(line: &Line, streams: &mut Streams<'_>) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    let session = Session::open(&bootstrap::admin_settings(line)?).map_err(|error| Failure::Message(error.reason))?;
    let brokers = session.run(async |admin| admin.api_versions().await)?;
    for (broker, versions) in brokers.map_err(|error| Failure::Message(error.to_string()))? {
        match versions {
            Ok(versions) => write!(streams.out, "{}", described(&broker, &versions))?,
            Err(error) => writeln!(streams.out, "{} -> ERROR: {error}", named(&broker))?,
        }
    }
    Ok(())
}

fn named(broker: &Broker) -> String {
    let rack = broker.rack.as_deref().unwrap_or("null");
    format!("{}:{} (id: {} rack: {rack} isFenced: false)", broker.host, broker.port, broker.id)
}

fn described(broker: &Broker, served: &[(ApiKey, RangeInclusive<i16>)]) -> String {
    let lines: Vec<String> = (0..=i16::MAX)
        .map_while(ApiKey::from_code)
        .filter_map(|api| {
            let versions = served.iter().find(|(served, _)| *served == api).map(|(_, versions)| versions);
            let text = match versions {
                Some(versions) => range(api, versions),
                None if NOT_FOR_CLIENTS.contains(&api.code()) => return None,
                None => "UNSUPPORTED".to_owned(),
            };
            Some(format!("{}({}): {text}", api.name(), api.code()))
        })
        .collect();
    format!("{} -> (\n\t{}\n)\n", named(broker), lines.join(",\n\t"))
}

/// What the broker serves, and the newest of it that this client speaks.
fn range(api: ApiKey, served: &RangeInclusive<i16>) -> String {
    let (first, last) = (served.start(), served.end());
    let text = if first == last { first.to_string() } else { format!("{first} to {last}") };
    let usable = match api.versions() {
        None => return text,
        Some(ours) if last < ours.start() => "unusable: node too old".to_owned(),
        Some(ours) if first > ours.end() => "unusable: node too new".to_owned(),
        Some(ours) => format!("usable: {}", last.min(ours.end())),
    };
    format!("{text} [{usable}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_what_is_usable_and_what_is_missing() {
        let broker = Broker { id: 1, host: "127.0.0.1".to_owned(), port: 19092, rack: None };
        let served = [(ApiKey::Produce, 0..=13), (ApiKey::OffsetDelete, 0..=0), (ApiKey::Metadata, 0..=99)];
        let text = described(&broker, &served);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "127.0.0.1:19092 (id: 1 rack: null isFenced: false) -> (");
        assert_eq!(
            lines[1..4],
            ["\tProduce(0): 0 to 13 [usable: 13],", "\tFetch(1): UNSUPPORTED,", "\tListOffsets(2): UNSUPPORTED,"]
        );
        assert!(lines[4].starts_with("\tMetadata(3): 0 to 99 [usable: 1"), "{}", lines[4]);
        assert_eq!(lines[5], "\tOffsetCommit(8): UNSUPPORTED,");
        assert!(lines.contains(&"\tOffsetDelete(47): 0 [usable: 0],"));
        assert_eq!(lines.last(), Some(&")"));
    }
}
