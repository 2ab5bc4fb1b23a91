//! Recovery after an interruption.
//!
//! | file | covers |
//! |---|---|
//! | `replay` | the whole program: replays and live runs give the same hashes |
//! | `backup` | a copy of a run's files that goes on elsewhere |
//! | `boundary` | checkpoints that are triggered while all entities leave |
//! | `classes` | the same for models of all tasks, from file to endpoint |
//! | `snapshot` | state that is saved and loaded on another number of workers |
//! | `registry` | versions of models |
//! | `champion` | a run whose champion is damaged |
//! | `damage` | files on disk that are not as they were written |
//! | `hostile` | saved state that no run has written |
//! | `lists` | lists and maps as inputs of a model |
//! | `locks` | two owners of one folder |
//! | `models_verb` | the verbs on models, on a registry and through a running job |
//! | `disk_full` | places that cannot be written |
//! | `inputs` | mostly bad inputs; a run that is started from an earlier checkpoint |
//! | `redis` | a mirror that goes down and comes back |
//! | `redis_hangs` | a mirror that never answers a write |
//! | `redis_refuses` | a mirror that refuses some keys, or all |
//! | `reload` | SIGHUP |
//! | `rollout` | arms that are scored, and ramps that go back |
//! | `united` | streams of several sources |
//!
//! Interruptions by a broker are in `tests/kafka`.

mod backup;
mod boundary;
mod champion;
mod classes;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod disk_full;
mod hostile;
mod inputs;
mod lists;
mod locks;
mod models_verb;
mod redis;
mod redis_hangs;
mod redis_refuses;
mod registry;
mod reload;
mod replay;
mod rollout;
mod snapshot;
mod united;
