//! `--bootstrap-server` and `--command-config`, which every tool has.

use std::net::ToSocketAddrs;

use super::{Failure, options::Line, properties};

/// The servers, checked as Kafka's console tools check them. Fails with their sentence.
pub(crate) fn servers(line: &Line) -> Result<String, String> {
    let text = line.value("bootstrap-server").map_err(|error| error.to_string())?;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err("Error while validating the bootstrap address\n".to_owned());
    };
    if !text.split(',').all(has_port) {
        return Err("Please provide valid host:port like host1:9091,host2:9092\n".to_owned());
    }
    Ok(text.to_owned())
}

/// Fails with Kafka's sentence when no server's name stands for an address.
pub(crate) fn resolve(servers: &str) -> Result<(), String> {
    let resolves = |server: &str| server.trim().to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
    if servers.split(',').any(resolves) {
        return Ok(());
    }
    Err("No resolvable bootstrap urls given in bootstrap.servers".to_owned())
}

fn has_port(server: &str) -> bool {
    let port = server.trim().rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Settings for the admin client: the file of `--command-config`, with the servers of the line.
pub(crate) fn admin_settings(line: &Line) -> Result<properties::Properties, Failure> {
    let mut settings = properties::of_option(line, "command-config")?;
    if let Some(servers) = line.value("bootstrap-server")? {
        settings.insert("bootstrap.servers".to_owned(), servers.to_owned());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{
        options::{OptionSpec, value},
        testing::line,
    };

    static TABLE: [OptionSpec; 1] = [value("bootstrap-server", "", "")];

    #[test]
    fn every_server_has_a_port() {
        let servers = |text| servers(&line(&TABLE, &["--bootstrap-server", text]));
        assert_eq!(servers("a:1,[::1]:9092"), Ok("a:1,[::1]:9092".to_owned()));
        for wrong in ["localhost", "a:1,b", "a:", "a:x"] {
            assert_eq!(servers(wrong).unwrap_err(), "Please provide valid host:port like host1:9091,host2:9092\n");
        }
        assert!(servers("").is_err());
    }

    #[test]
    fn one_server_that_is_found_suffices() {
        assert_eq!(resolve("no.such.host.invalid:9092, 127.0.0.1:9092"), Ok(()));
        assert!(resolve("no.such.host.invalid:9092").is_err());
    }
}
