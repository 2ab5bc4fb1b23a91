//! Memory: the state of a feature group is as large as it measures and as large as was estimated, by what the allocator
//! has handed out, and stays within a bound.
//!
//! | file | covers |
//! |---|---|
//! | `allocator` | the allocator that counts |
//! | `bounds` | groups with a bound, against a list of entities |
//! | `state` | every aggregate in every window, against what is allocated |

mod allocator;
mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod state;
