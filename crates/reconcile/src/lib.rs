//! Strimzi and workload reconcilers, written against the Kubernetes API.
