//! Admission of Services and Routes, and the Services' addresses: each has one of its own out of 127.0.0.0/8,
//! which stays with the object as long as its network is ours, so that a client's connection string survives a restart.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Defaults, Target};
use crate::error::{ApiError, Cause};
use crate::kinds::SERVICE;
use crate::network::is_ours_or_anothers;
use crate::object::{self, field_mut, list, text};
use crate::store::Transaction;

/// Addresses in the range of Services.
const SERVICE_ADDRESSES: u32 = 1 << 16;

/// Defaults and rules of a Service.
pub(super) fn admit_service(service: &mut Value, current: Option<&Value>, causes: &mut Vec<Cause>) {
    for port in service.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port.get("targetPort").is_none_or(Value::is_null) {
            port["targetPort"] = port["port"].clone();
        }
    }
    if service.get("spec").is_none() {
        service["spec"] = json!({ "type": "ClusterIP", "sessionAffinity": "None" });
    }
    if service.get("status").is_none() {
        service["status"] = json!({ "loadBalancer": {} });
    }
    let ports = list(service, "/spec/ports");
    if ports.is_empty() && text(service, "/spec/clusterIP") != "None" && text(service, "/spec/type") != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let name = text(port, "/name");
        if ports.len() > 1 && name.is_empty() {
            causes.push(Cause::required(&format!("spec.ports[{index}].name"), ""));
        } else if !names.insert(name) {
            let message = format!("Duplicate value: {}", Value::from(name));
            causes.push(Cause { reason: "FieldValueDuplicate", field: format!("spec.ports[{index}].name"), message });
        }
    }
    let Some(current) = current else { return };
    let address = text(current, "/spec/clusterIP").to_owned();
    if text(service, "/spec/clusterIP").is_empty() {
        keep_address(service, current);
    } else if text(service, "/spec/clusterIP") != address && !address.is_empty() {
        let given = Value::from(text(service, "/spec/clusterIP"));
        causes.push(Cause::invalid("spec.clusterIP", &given, "field is immutable"));
    }
}

fn keep_address(service: &mut Value, current: &Value) {
    let spec = field_mut(service, "spec");
    for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(value) = current.pointer(&format!("/spec/{name}")) {
            spec.insert(name.to_owned(), value.clone());
        }
    }
}

/// Defaults and rules of a Route. A host is generated when none is given: `NAME.localhost`, which browsers and
/// resolvers take for this machine (RFC 6761).
pub(super) fn admit_route(route: &mut Value, causes: &mut Vec<Cause>) {
    if text(route, "/spec/host").is_empty() {
        let (name, namespace) = (object::name(route), object::namespace(route));
        let host =
            if namespace == "default" { format!("{name}.localhost") } else { format!("{name}-{namespace}.localhost") };
        field_mut(route, "spec").insert("host".to_owned(), host.into());
    }
    let path = text(route, "/spec/path");
    if !path.is_empty() && !path.starts_with('/') {
        causes.push(Cause::invalid("spec.path", &Value::from(path), "path must begin with a '/'"));
    }
    if text(route, "/spec/tls/termination") == "passthrough" && !path.is_empty() {
        causes.push(Cause::invalid("spec.path", &Value::from(path), "passthrough termination does not support paths"));
    }
}

/// Gives a new Service its address.
pub(super) fn allocate(
    tx: &Transaction<'_>,
    defaults: &Defaults,
    target: &Target,
    object: &mut Value,
) -> Result<(), ApiError> {
    if target.kind != &SERVICE || text(object, "/spec/type") == "ExternalName" {
        return Ok(());
    }
    let asked = text(object, "/spec/clusterIP").to_owned();
    let address = match asked.as_str() {
        "None" => asked,
        "" => new_address(tx, defaults)?,
        _ => {
            check_address(tx, target, &asked)?;
            asked
        }
    };
    let spec = field_mut(object, "spec");
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), address.into());
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
    Ok(())
}

/// Gives Services that have addresses of a network which another platform has by now new ones of ours.
pub(super) fn move_services(tx: &mut Transaction<'_>, defaults: &Defaults) -> Result<(), ApiError> {
    let first = u32::from(defaults.service_network);
    let is_elsewhere = |service: &Value| {
        let address: Option<Ipv4Addr> = text(service, "/spec/clusterIP").parse().ok();
        address
            .is_some_and(|ip| is_ours_or_anothers(ip) && !(first..first + SERVICE_ADDRESSES).contains(&u32::from(ip)))
    };
    for (key, service) in tx.list(&SERVICE, None) {
        if !is_elsewhere(&service) {
            continue;
        }
        let address = new_address(tx, defaults)?;
        let mut service = service.as_ref().clone();
        service["spec"]["clusterIPs"] = json!([address]);
        service["spec"]["clusterIP"] = address.into();
        tx.put(key, service);
    }
    Ok(())
}

fn new_address(tx: &Transaction<'_>, defaults: &Defaults) -> Result<String, ApiError> {
    let found = free_address(tx, defaults.service_network);
    let found = found.ok_or_else(|| ApiError::internal("no free address for the Service: delete some Services"))?;
    Ok(found.to_string())
}

fn check_address(tx: &Transaction<'_>, target: &Target, asked: &str) -> Result<(), ApiError> {
    let is_loopback = asked.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let why = if !is_loopback {
        "must be an address in 127.0.0.0/8, None or empty"
    } else if taken_addresses(tx).contains(asked) {
        "provided IP is already allocated"
    } else {
        return Ok(());
    };
    let cause = Cause::invalid("spec.clusterIP", &Value::from(asked), why);
    Err(ApiError::invalid(&SERVICE, &target.name, &[cause]))
}

fn taken_addresses(tx: &Transaction<'_>) -> BTreeSet<String> {
    tx.list(&SERVICE, None).iter().map(|(_, service)| text(service, "/spec/clusterIP").to_owned()).collect()
}

fn free_address(tx: &Transaction<'_>, network: Ipv4Addr) -> Option<Ipv4Addr> {
    let taken = taken_addresses(tx);
    let first = u32::from(network);
    // The first and last address of the range look like network and broadcast addresses to some programs.
    let mut candidates = (first + 1..first + SERVICE_ADDRESSES - 1).map(Ipv4Addr::from);
    candidates.find(|address| !taken.contains(&address.to_string()))
}
