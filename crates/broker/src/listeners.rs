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
    #[error("advertised.listeners: {0} names {1}, which no client can connect to: name an address that clients reach")]
    Unroutable(String, String),
    #[error("listeners names no listener for clients")]
    None,
    #[error("--nodes {nodes}: node {node} would listen {node} ports above {name}'s {port}, which is beyond 65535")]
    PortsEnd { nodes: u32, node: u32, name: String, port: u16 },
    #[error(
        "--nodes {nodes}: node n listens n ports above the first, so {name} and {other} on ports {port} and {other_port} \
         meet: put them {nodes} ports apart"
    )]
    PortsMeet { nodes: u32, name: String, port: u16, other: String, other_port: u16 },
}

/// A listener of the first node; node n has its ports n higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerSpec {
    pub(crate) name: String,
    /// At least one; all with the same port.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What clients are told; `None` for the address that they have reached. Port 0 stands for the one listened on.
    pub(crate) advertised: Option<(String, u16)>,
}

impl ListenerSpec {
    /// As asked for, of the first node; 0 lets the system choose.
    pub(crate) fn port(&self) -> u16 {
        self.addresses[0].port()
    }

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
        if matches!(entry.host.as_str(), "0.0.0.0" | "::") {
            return Err(ListenerError::Unroutable(entry.name, entry.host));
        }
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

/// Checks that the nodes' listeners do not meet: each node has its ports one above those of the node before.
pub(crate) fn check_ports(listeners: &[ListenerSpec], nodes: u32) -> Result<(), ListenerError> {
    let fixed: Vec<&ListenerSpec> = listeners.iter().filter(|listener| listener.port() != 0).collect();
    for (index, listener) in fixed.iter().enumerate() {
        let (name, port) = (listener.name.clone(), listener.port());
        let last = nodes.saturating_sub(1);
        if u32::from(port) + last > u32::from(u16::MAX) {
            let node = u32::from(u16::MAX - port) + 1;
            return Err(ListenerError::PortsEnd { nodes, node, name, port });
        }
        let meets = |other: &&&ListenerSpec| u32::from(other.port().abs_diff(port)) < nodes && nodes > 1;
        if let Some(other) = fixed[index + 1..].iter().find(meets) {
            let (other, other_port) = (other.name.clone(), other.port());
            return Err(ListenerError::PortsMeet { nodes, name, port, other, other_port });
        }
    }
    Ok(())
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
    fn nodes_whose_ports_would_meet_or_end_are_refused() {
        let check = |listeners: &str, nodes| {
            let specs = listeners_of(&config(&[
                ("listeners", listeners),
                ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT"),
            ]));
            check_ports(&specs.unwrap(), nodes).err().map(|error| error.to_string())
        };
        assert_eq!(check("IN://127.0.0.1:9092,OUT://127.0.0.1:9093", 1), None);
        assert_eq!(check("IN://127.0.0.1:9092,OUT://127.0.0.1:9095", 3), None);
        assert_eq!(check("IN://127.0.0.1:0,OUT://127.0.0.1:0", 3), None);
        let meet = "--nodes 3: node n listens n ports above the first, so IN and OUT on ports 9092 and 9094 meet: put \
                    them 3 ports apart";
        assert_eq!(check("IN://127.0.0.1:9092,OUT://127.0.0.1:9094", 3).as_deref(), Some(meet));
        let end = "--nodes 3: node 2 would listen 2 ports above IN's 65534, which is beyond 65535";
        assert_eq!(check("IN://127.0.0.1:65534", 3).as_deref(), Some(end));
        assert_eq!(check("IN://127.0.0.1:65533", 3), None);
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
        let everywhere = listeners_of(&config(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")]));
        assert_eq!(everywhere, Err(ListenerError::Unroutable(PLAINTEXT.to_owned(), "0.0.0.0".to_owned())));
    }
}
