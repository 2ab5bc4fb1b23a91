//! Kafka, against Apache Kafka itself: `broker` is one, `reading` tries what reads and writes, `running` the
//! program, `staying` that it goes on whatever the brokers do, `credentials` who is let in,
//! `pressure` that what is read ahead is bounded, `journal` what cannot be taken down.

mod broker;
mod credentials;
mod flights;
mod journal;
mod live;
mod pressure;
#[path = "../program/mod.rs"]
mod program;
mod reading;
mod recovery;
mod running;
mod staying;
