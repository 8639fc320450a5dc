//! The broker: sockets, request handlers, partitions.
