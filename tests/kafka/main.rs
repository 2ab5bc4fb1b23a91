//! Kafka, against Apache Kafka itself: `broker` is one, `reading` tries what reads and writes, `running` the
//! program, `staying` that it goes on whatever the brokers do.

mod broker;
mod flights;
mod reading;
mod recovery;
mod running;
mod staying;
