//! Health in MicroProfile's form: live while the process serves, ready while the broker can be reached as well.
//!
//! Liveness does not ask for the broker: restarting a service does not bring a broker back, and both reconnect.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

/// The name under which the lab's services report their connection to Kafka.
const CHECK: &str = "SmallRye Reactive Messaging";
/// The name of the channel in the lab's configuration (`mp.messaging.outgoing.data.…`).
const CHANNEL: &str = "data";

/// Whether the broker can be reached; down until it has been.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connectivity(Arc<watch::Sender<bool>>);

impl Connectivity {
    pub(crate) fn set(&self, is_up: bool) {
        self.0.send_replace(is_up);
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when the broker can be reached.
    pub(crate) async fn wait_until_up(&self) {
        // The sender is held by `self`: there is always somebody who may say so.
        let _ = self.0.subscribe().wait_for(|&is_up| is_up).await;
    }
}

/// The answer of a health endpoint; a service without messaging has nothing to check.
pub(crate) fn answer(messaging: Option<&Connectivity>) -> (StatusCode, Json<Value>) {
    let is_up = messaging.is_none_or(Connectivity::is_up);
    let status = if is_up { "UP" } else { "DOWN" };
    let channel = if is_up { "[OK]" } else { "[KO]" };
    let checks: Vec<Value> =
        messaging.map(|_| json!({"name": CHECK, "status": status, "data": {CHANNEL: channel}})).into_iter().collect();
    let code = if is_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({"status": status, "checks": checks})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_follows_the_broker_in_the_labs_words() {
        let connectivity = Connectivity::default();
        let (code, Json(body)) = answer(Some(&connectivity));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["status"], "DOWN");
        connectivity.set(true);
        let (code, Json(body)) = answer(Some(&connectivity));
        assert_eq!(code, StatusCode::OK);
        assert_eq!(
            body.to_string(),
            r#"{"status":"UP","checks":[{"name":"SmallRye Reactive Messaging","status":"UP","data":{"data":"[OK]"}}]}"#
        );
    }

    #[test]
    fn without_messaging_there_is_nothing_to_check() {
        let (code, Json(body)) = answer(None);
        assert_eq!((code, body.to_string().as_str()), (StatusCode::OK, r#"{"status":"UP","checks":[]}"#));
    }
}
