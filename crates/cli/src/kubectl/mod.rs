//! What kubectl does, as a client of the Kubernetes API: discovery, apply's three-way merge, tables and YAML.
//!
//! Used by the commands `up`, `apply`, `get`, `delete` and `logs`. Its texts are kubectl's own, so that scripts that read
//! them work with both.

pub(crate) mod apply;
pub(crate) mod merge;
pub(crate) mod resources;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod yaml;
