//! The dataflow file: read, checked, and turned into a [`Spec`] in which every name is resolved.
//!
//! Three stages: raw TOML with its spans -> checked spec (here) -> plan ([`crate::flow::plan`]). All problems of a
//! file are reported together, each with line, column, what was expected and the nearest valid name, inside SQL too:
//!
//! ```
//! use tidemill::spec;
//! let errors = spec::parse("name = \"demo\"\n[view.v]\nsql = \"SELECT x FROM nowhere\"\n", "demo.toml").unwrap_err();
//! assert_eq!(errors.to_string(), "demo.toml:3:22: error: unknown stream 'nowhere'; expected a source or a view");
//! ```
//!
//! What the keys of a file are is written once, in `keys`: the reader refuses others, and the reference lists them.
//! A declaration that is wrong in a way that matters to those who name it is *broken*: what refers to it is left
//! unchecked, so that one mistake makes one problem.

mod keys;
mod problem;
mod quoted;
mod reader;
mod types;

mod checker;
mod group;
mod input;
mod join;
mod label;
mod learner;
mod model;
mod select;
mod topic;
mod view;
mod window;

mod definition;
mod explain;
mod outline;
mod reference;

pub use checker::{load, parse};
pub use definition::hash;
pub use explain::format_bytes;
pub use problem::{Problem, SpecErrors};
pub use reference::reference;
pub use types::*;
