//! Recovery after an interruption.
//!
//! | file | covers |
//! |---|---|
//! | `replay` | the whole program: replays and live runs give the same hashes |
//! | `classes` | the same for models of classes, from file to endpoint |
//! | `snapshot` | state that is saved and loaded on another number of workers |
//! | `registry` | versions of models |
//! | `disk_full` | places that cannot be written |
//! | `inputs` | mostly bad inputs; a run that is started from an earlier checkpoint |
//! | `redis` | a mirror that goes down and comes back |
//! | `redis_hangs` | a mirror that never answers a write |
//!
//! Interruptions by a broker are in `tests/kafka`.

mod classes;
#[path = "../common/mod.rs"]
mod common;
mod disk_full;
mod inputs;
mod redis;
mod redis_hangs;
mod registry;
mod replay;
mod snapshot;
