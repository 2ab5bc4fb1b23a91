//! Kafka, against Apache Kafka itself: `broker` is one, `reading` tries what reads and writes, `running` the program.

mod broker;
mod reading;
mod running;
