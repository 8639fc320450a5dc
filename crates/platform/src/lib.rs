//! A small Kubernetes API and the process runner: one laptop as a cluster.
