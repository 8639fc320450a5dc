//! Listeners as Kafka writes them: `NAME://host:port`, with the protocol of each name in a map.

use std::collections::BTreeMap;

/// How a listener's connections are protected. Kafka's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }
}

/// An address to listen on, or to be told to clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In upper case.
    pub name: String,
    /// Empty for every address of the machine. Literal IPv6 addresses stand without their brackets.
    pub host: String,
    /// 0 for one that the system picks.
    pub port: u16,
    pub security_protocol: SecurityProtocol,
}

/// Listeners that cannot be; the messages follow Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListenerError {
    #[error("Unable to parse {0} to a broker endpoint: expected NAME://host:port")]
    Endpoint(String),
    #[error("No security protocol defined for listener {0}")]
    NoProtocol(String),
    #[error("Each listener must have a different name, listeners: {0}")]
    SameName(String),
    #[error("listener.security.protocol.map: {0} is not NAME:PROTOCOL with a protocol of Kafka's")]
    Protocol(String),
}

/// The protocol of each listener name, from `listener.security.protocol.map`.
pub(super) fn protocols(map: &str) -> Result<BTreeMap<String, SecurityProtocol>, ListenerError> {
    let items = map.split(',').map(str::trim).filter(|item| !item.is_empty());
    let parse = |item: &str| {
        let (name, protocol) = item.split_once(':')?;
        Some((name.trim().to_ascii_uppercase(), SecurityProtocol::parse(protocol.trim())?))
    };
    items.map(|item| parse(item).ok_or_else(|| ListenerError::Protocol(item.to_owned()))).collect()
}

/// The listeners of the texts, but those of a controller.
pub(super) fn parse(
    texts: &[String],
    protocols: &BTreeMap<String, SecurityProtocol>,
    controllers: &[String],
) -> Result<Vec<Listener>, ListenerError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for text in texts {
        let (name, host, port) = endpoint(text).ok_or_else(|| ListenerError::Endpoint(text.clone()))?;
        if controllers.iter().any(|controller| controller.eq_ignore_ascii_case(&name)) {
            continue;
        }
        if listeners.iter().any(|listener| listener.name == name) {
            return Err(ListenerError::SameName(texts.join(",")));
        }
        let security_protocol = *protocols.get(&name).ok_or_else(|| ListenerError::NoProtocol(name.clone()))?;
        listeners.push(Listener { name, host, port, security_protocol });
    }
    Ok(listeners)
}

/// Name, host and port.
fn endpoint(text: &str) -> Option<(String, String, u16)> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte);
    let named = !name.is_empty() && host.bytes().all(legal);
    named.then_some(())?;
    Some((name.to_ascii_uppercase(), host.to_owned(), port.parse().ok()?))
}
