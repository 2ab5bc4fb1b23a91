//! What is there after an interruption: `replay` of the whole program, `snapshot` of state, `registry` of versions,
//! `disk_full` where nothing can be written, `redis` where the mirror comes and goes, `redis_hangs` where it never answers.
//! What a broker does to it is in `tests/kafka`.

#[path = "../common/mod.rs"]
mod common;
mod disk_full;
mod redis;
mod redis_hangs;
mod registry;
mod replay;
mod snapshot;
