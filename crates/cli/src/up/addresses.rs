//! Where everything is reached, as `up` prints it before the logs. Pure.

use serde_json::Value;

/// One thing that can be reached, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    what: String,
    at: String,
}

impl Address {
    pub(crate) fn new(what: impl Into<String>, at: impl Into<String>) -> Self {
        Self { what: what.into(), at: at.into() }
    }
}

/// The bootstrap servers of the Kafkas.
pub(crate) fn of_kafkas(kafkas: &[Value]) -> Vec<Address> {
    let mut found = Vec::new();
    for kafka in kafkas {
        for listener in kafka["status"]["listeners"].as_array().into_iter().flatten() {
            let servers = listener["bootstrapServers"].as_str().unwrap_or_default();
            // The broker listens on both loopback addresses: the name is what people type.
            let servers = servers.replace("127.0.0.1:", "localhost:");
            found.push(Address::new(format!("kafka {} ({})", name(kafka), text(&listener["name"])), servers));
        }
    }
    found
}

/// The ports of the Services, but for those that stand for a Kafka's brokers.
pub(crate) fn of_services(services: &[Value]) -> Vec<Address> {
    let mut found = Vec::new();
    for service in services.iter().filter(|s| s["metadata"]["labels"]["strimzi.io/kind"] != "Kafka") {
        let address = text(&service["spec"]["clusterIP"]);
        if address.is_empty() || address == "None" {
            continue;
        }
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            found.push(Address::new(format!("service {}", name(service)), format!("{address}:{}", port["port"])));
        }
    }
    found
}

/// The Routes, behind the port at which all of them answer.
pub(crate) fn of_routes(routes: &[Value], port: u16) -> Vec<Address> {
    let url = |route: &Value| {
        let path = route["spec"]["path"].as_str().unwrap_or("/");
        Address::new(format!("route {}", name(route)), format!("http://{}.localhost:{port}{path}", name(route)))
    };
    routes.iter().map(url).collect()
}

/// The list in two columns, a line each.
pub(crate) fn render(addresses: &[Address]) -> String {
    let width = addresses.iter().map(|address| address.what.chars().count()).max().unwrap_or(0);
    addresses.iter().map(|address| format!("{:width$}   {}\n", address.what, address.at)).collect()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_that_can_be_reached_is_listed() {
        let kafka = json!({"metadata": {"name": "amm"}, "status": {"listeners": [{"name": "plain", "bootstrapServers": "127.0.0.1:9092"}]}});
        let service = json!({"metadata": {"name": "data-producer"}, "spec": {"clusterIP": "127.8.0.1", "ports": [{"port": 8080}]}});
        let brokers = json!({"metadata": {"name": "b", "labels": {"strimzi.io/kind": "Kafka"}}, "spec": {"clusterIP": "127.8.0.2", "ports": [{"port": 9092}]}});
        let headless = json!({"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}});
        let route = json!({"metadata": {"name": "data-consumer"}, "spec": {"path": "/"}});
        let mut all = of_kafkas(&[kafka]);
        all.extend(of_services(&[service, brokers, headless]));
        all.extend(of_routes(&[route], 8000));
        let expected = "kafka amm (plain)       localhost:9092\n\
                        service data-producer   127.8.0.1:8080\n\
                        route data-consumer     http://data-consumer.localhost:8000/\n";
        assert_eq!(render(&all), expected);
    }
}
