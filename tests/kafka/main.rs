//! Kafka, against a real broker.
//!
//! | file | claim |
//! |---|---|
//! | `reading`, `bounds` | partitions are read in order, from the start to the end of a range |
//! | `letters` | dead letters are delivered with the reason |
//! | `running`, `replaying` | runs and replays on topics equal those on files, in every format |
//! | `recovery`, `sharing`, `overtaken`, `journal` | an interrupted run ends as one that was not |
//! | `staying`, `credentials` | a run survives its brokers and changes of credentials |
//! | `pressure` | records that are read ahead are bounded |
//! | `explain` | features are explained by the records of topics |
//! | `init` | a dataflow is made of the messages of a topic |
//! | `mirror` | Redis never shows older values |
//!
//! `broker`, `flights` and `live` start brokers and runs.

mod bounds;
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod credentials;
mod explain;
mod flights;
mod init;
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
