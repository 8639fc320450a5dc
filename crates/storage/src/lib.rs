//! The lane and the logs of partitions: local disk or memory.
