//! Kafka's `listeners` and `advertised.listeners`: where the broker listens and what it tells clients. Read once, at
//! start; the server binds what stands here.
//!
//! Without a config the broker listens on loopback only. An address beyond it is honoured when it was asked for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use millstream_metadata::configs::StaticConfig;

/// Kafka's port.
const PORT: u16 = 9092;
const PLAINTEXT: &str = "PLAINTEXT";

/// Why listeners cannot be had as the configs say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    #[error("{config}: `{text}` is not of the form NAME://HOST:PORT")]
    Form { config: &'static str, text: String },
    #[error("{config}: two listeners are called {name}")]
    Twice { config: &'static str, name: String },
    #[error("listener {name} asks for {protocol}; this release serves PLAINTEXT only")]
    Protocol { name: String, protocol: String },
    #[error("listeners: the host of {name}, `{host}`, has no address: {reason}")]
    Host { name: String, host: String, reason: String },
    #[error("advertised.listeners names {0}, which listeners does not")]
    AdvertisedOnly(String),
    #[error("listeners names no listener for clients")]
    None,
}

/// A listener of the first node; node n has its ports n higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerSpec {
    pub(crate) name: String,
    /// At least one; all with the same port.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What clients are told; `None` for the address that they have reached.
    pub(crate) advertised: Option<(String, u16)>,
}

impl ListenerSpec {
    /// Whether others than this machine's processes can connect.
    pub(crate) fn is_beyond_loopback(&self) -> bool {
        self.addresses.iter().any(|address| !address.ip().is_loopback())
    }
}

/// One entry of either config.
struct Entry {
    name: String,
    host: String,
    port: u16,
}

/// The listeners for clients that the configs ask for.
pub(crate) fn listeners_of(config: &StaticConfig) -> Result<Vec<ListenerSpec>, ListenerError> {
    let mut advertised: HashMap<String, (String, u16)> = HashMap::new();
    for entry in entries("advertised.listeners", config.get("advertised.listeners").unwrap_or_default())? {
        advertised.insert(entry.name, (entry.host, entry.port));
    }
    let Some(text) = config.get("listeners") else {
        let addresses = crate::settings::LOOPBACK.map(|ip| SocketAddr::new(ip, PORT)).to_vec();
        let advertised = advertised.remove(PLAINTEXT);
        return Ok(vec![ListenerSpec { name: PLAINTEXT.to_owned(), addresses, advertised }]);
    };
    let protocols = protocols(config);
    let for_controllers: Vec<&str> =
        config.get("controller.listener.names").unwrap_or_default().split(',').map(str::trim).collect();
    let mut listeners = Vec::new();
    for entry in entries("listeners", text)? {
        if for_controllers.contains(&entry.name.as_str()) {
            advertised.remove(&entry.name);
            continue;
        }
        let protocol = protocols.get(&entry.name).unwrap_or(&entry.name).clone();
        if protocol != PLAINTEXT {
            return Err(ListenerError::Protocol { name: entry.name, protocol });
        }
        let addresses = addresses(&entry)?;
        listeners.push(ListenerSpec { advertised: advertised.remove(&entry.name), name: entry.name, addresses });
    }
    if let Some((name, _)) = advertised.into_iter().next() {
        return Err(ListenerError::AdvertisedOnly(name));
    }
    if listeners.is_empty() { Err(ListenerError::None) } else { Ok(listeners) }
}

fn entries(config: &'static str, text: &str) -> Result<Vec<Entry>, ListenerError> {
    let mut entries: Vec<Entry> = Vec::new();
    for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let entry = entry(text).ok_or_else(|| ListenerError::Form { config, text: text.to_owned() })?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(ListenerError::Twice { config, name: entry.name });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(text: &str) -> Option<Entry> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok()?;
    (!name.is_empty()).then(|| Entry { name: name.to_owned(), host: host.to_owned(), port })
}

/// `listener.security.protocol.map`: a listener that it does not name is called after its protocol.
fn protocols(config: &StaticConfig) -> HashMap<String, String> {
    let map = config.get("listener.security.protocol.map").unwrap_or_default();
    let pairs = map.split(',').filter_map(|pair| pair.trim().split_once(':'));
    pairs.map(|(name, protocol)| (name.to_owned(), protocol.to_owned())).collect()
}

fn addresses(entry: &Entry) -> Result<Vec<SocketAddr>, ListenerError> {
    match entry.host.as_str() {
        // Kafka binds every interface when the host is left out.
        "" | "0.0.0.0" => Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), entry.port)]),
        "localhost" => Ok(crate::settings::LOOPBACK.map(|ip| SocketAddr::new(ip, entry.port)).to_vec()),
        "::" => Ok(vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), entry.port)]),
        host => {
            let failed =
                |reason: String| ListenerError::Host { name: entry.name.clone(), host: host.to_owned(), reason };
            let found = (host, entry.port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
            let first = found.into_iter().next().ok_or_else(|| failed("no address found".to_owned()))?;
            Ok(vec![first])
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_metadata::configs::Origin;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> StaticConfig {
        let mut config = StaticConfig::default();
        for (name, value) in pairs {
            config.set(*name, *value, Origin::Option("--set"));
        }
        config
    }

    #[test]
    fn without_configs_only_this_machine_is_served() {
        let listeners = listeners_of(&config(&[])).unwrap();
        assert_eq!(listeners[0].addresses.len(), 2);
        assert!(!listeners[0].is_beyond_loopback());
    }

    #[test]
    fn controllers_listeners_are_left_out() {
        let listeners = listeners_of(&config(&[
            ("listeners", "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"),
            ("advertised.listeners", "PLAINTEXT://kafka:29092,CONTROLLER://kafka:29093"),
            ("controller.listener.names", "CONTROLLER"),
            ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ]));
        let address = "127.0.0.1:19092".parse().unwrap();
        let advertised = Some(("kafka".to_owned(), 29092));
        assert_eq!(
            listeners,
            Ok(vec![ListenerSpec { name: "PLAINTEXT".to_owned(), addresses: vec![address], advertised }])
        );
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let refused = listeners_of(&config(&[
            ("listeners", "EXTERNAL://:9094"),
            ("listener.security.protocol.map", "EXTERNAL:SSL"),
        ]));
        let (name, protocol) = ("EXTERNAL".to_owned(), "SSL".to_owned());
        assert_eq!(refused, Err(ListenerError::Protocol { name, protocol }));
        let form = listeners_of(&config(&[("listeners", "localhost:9092")]));
        assert_eq!(form, Err(ListenerError::Form { config: "listeners", text: "localhost:9092".to_owned() }));
        let only = listeners_of(&config(&[("listeners", "PLAINTEXT://:1"), ("advertised.listeners", "OTHER://a:1")]));
        assert_eq!(only, Err(ListenerError::AdvertisedOnly("OTHER".to_owned())));
    }
}
