//! Services and Routes as sockets of this machine: a listener per Service port (`services`), one for all Routes (`routes`),
//! and files in which pods find Services by name (`hosts`), all on addresses that are ours alone (`claim`). Backends are looked up in the Endpoints when a connection
//! comes, so nothing here holds a copy of them that could grow old.

mod claim;
mod hosts;
mod routes;
mod services;

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

pub(crate) use claim::{Claim, is_ours_or_anothers};
pub(crate) use routes::Routes;
pub use routes::RoutesAddress;
pub(crate) use services::Services;

use crate::kinds::{ENDPOINTS, SERVICE};
use crate::object::{integer, list, text};
use crate::store::{Key, Store};

/// Which port of a Service is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PortChoice {
    /// By the name of the Service's port; empty for the only, unnamed one.
    Named(String),
    /// By name or number of the target, as a Route says it.
    Target(Value),
    /// The first.
    Any,
}

/// The ready addresses behind a port of a Service.
fn backends(store: &Store, namespace: &str, service: &str, choice: &PortChoice) -> Vec<SocketAddr> {
    let Some(endpoints) = store.get(&Key::new(&ENDPOINTS, namespace, service)) else { return Vec::new() };
    let name = match choice {
        PortChoice::Named(name) => Some(name.clone()),
        PortChoice::Target(target) => service_port_name(store, namespace, service, target),
        PortChoice::Any => None,
    };
    let mut found = Vec::new();
    for subset in list(&endpoints, "/subsets") {
        let ports = list(subset, "/ports");
        let port = match (&name, choice) {
            (Some(name), _) => ports.iter().find(|port| text(port, "/name") == name),
            (None, PortChoice::Any) => ports.first(),
            (None, _) => None,
        };
        let number = port.and_then(|port| integer(port, "/port")).and_then(|number| u16::try_from(number).ok());
        let Some(number) = number else { continue };
        let addresses =
            list(subset, "/addresses").iter().filter_map(|address| text(address, "/ip").parse::<IpAddr>().ok());
        found.extend(addresses.map(|address| SocketAddr::new(address, number)));
    }
    found
}

/// The name of the Service's port that a Route's `targetPort` means: its name, its target's name, or its target's number.
fn service_port_name(store: &Store, namespace: &str, service: &str, target: &Value) -> Option<String> {
    let service = store.get(&Key::new(&SERVICE, namespace, service))?;
    let port = list(&service, "/spec/ports").iter().find(|port| {
        port.get("name") == Some(target) || port.get("targetPort") == Some(target) || port.get("port") == Some(target)
    })?;
    Some(text(port, "/name").to_owned())
}

#[cfg(test)]
mod tests;
