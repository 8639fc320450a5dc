//! Cluster state: the store and the typed catalog above it.
