//! Memory: the state of a feature group is as large as it measures and as large as was estimated, by what the allocator
//! has handed out, and stays within a bound.
//!
//! | file | covers |
//! |---|---|
//! | `allocator` | the allocator that counts |
//! | `bounds` | groups with a bound, against a list of entities |
//! | `cases` | a group of one line, filled with records; `examples/state_budget.rs` has it, too |
//! | `flat` | ten times the records in every kind of window |
//! | `state` | every aggregate in every window, against what is allocated |

mod allocator;
mod bounds;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod flat;
mod state;
