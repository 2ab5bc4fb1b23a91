//! Kafka, against Apache Kafka itself: `broker` is one, `reading` tries what reads and writes, `bounds` where reading
//! ends, `running` the program, `staying` that it goes on whatever the brokers do.

mod bounds;
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod flights;
mod journal;
mod reading;
mod recovery;
mod replaying;
mod running;
mod sharing;
mod staying;
