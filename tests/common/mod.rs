//! Modules that the test programs share.
//!
//! | module | contents |
//! |---|---|
//! | `certificates` | an authority, and pairs that it has signed |
//! | `classic` | the classic data sets, and prequential scores of models on them |
//! | `clicks` | a small dataflow for runs of the program |
//! | `engine`, `spec`, `topics` | runs of the engine on records in memory, its dataflow, random records |
//! | `naive`, `definitions`, `windows` | the oracle: the same results recomputed from all records |
//! | `program`, `servers` | runs of the program and of real servers as child processes |
//! | `nested` | the flights with lists and maps among the inputs |
//! | `order` | records in the total order, by the definitions |
//! | `shipped` | replays of shipped dataflows on given records, and what they write |
//! | `shop` | an endpoint over a small dataflow, and an HTTP client |
//! | `training` | random rows for models |

#![allow(dead_code, reason = "each program uses a part")]

pub mod certificates;
pub mod classic;
pub mod clicks;
pub mod definitions;
pub mod engine;
pub mod naive;
pub mod nested;
pub mod order;
pub mod program;
pub mod servers;
pub mod shipped;
pub mod shop;
pub mod spec;
pub mod topics;
pub mod training;
pub mod windows;
