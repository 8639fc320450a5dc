//! The lab's microservices: data-producer and data-consumer.
