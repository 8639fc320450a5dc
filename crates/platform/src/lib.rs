//! A small Kubernetes API and the process runner: one laptop as a cluster.
//!
//! [`Platform`] is what `millstream up` starts. Everybody else speaks to it through the Kubernetes API: in process through
//! [`ApiService`] (a tower service for `kube::Client`), from outside through the port that [`Platform::kubeconfig`] names.
//! Objects live in an embedded store (`store`), rules for them in `resources`, their shapes in `schema`.

mod api;
mod clock;
mod error;
mod kinds;
mod logs;
mod network;
mod object;
mod patch;
mod platform;
mod resources;
mod runner;
mod schema;
mod selector;
mod store;
mod strimzi;
mod table;
mod unserved;

pub use api::{ApiService, ListenError};
pub use clock::Clock;
pub use error::{ApiError, Cause};
pub use kinds::Kind;
pub use network::RoutesAddress;
pub use platform::{Config, Platform, StartError};
pub use runner::{ImageRule, ImageRuleError, RUNS_IN_ANNOTATION};
pub use store::OpenError;
