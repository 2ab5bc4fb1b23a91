//! Memory: the state of a feature group is as large as it measures and as large as was estimated, by what the allocator
//! has handed out.

mod allocator;
#[path = "../common/mod.rs"]
mod common;
mod state;
