//! Kafka, against Apache Kafka itself: `broker` is one, `reading` tries what reads, `letters` what writes, `bounds` where
//! reading ends, `running` the program, `staying` that it goes on whatever the brokers do, `credentials` who is let in,
//! `pressure` that what is read ahead is bounded, `overtaken` what comes after time has passed it, `journal` where that
//! cannot be taken down, `mirror` what becomes of Redis.

mod bounds;
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod credentials;
mod flights;
mod journal;
mod letters;
mod live;
mod mirror;
mod overtaken;
mod pressure;
mod reading;
mod recovery;
mod replaying;
mod running;
mod sharing;
mod staying;
