//! Everything incremental or vectorised against something slow and obvious that it must equal: `engine` the features,
//! examples and labels of a whole dataflow, `expr` the evaluation of expressions, `ledger` the count of records on their
//! way, `serving` the answers of the endpoint, `skew` those answers against the examples of a replay.

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod expr;
mod ledger;
mod serving;
mod skew;
