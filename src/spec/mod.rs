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
//! The keys of a file are declared once, in `keys` and `feature_keys`: the reader refuses others, and the reference
//! lists them. A declaration whose mistake matters to its users is marked *broken*: references to it are not checked,
//! so that one mistake is reported once.

mod feature_keys;
mod keys;
mod preparing;
mod problem;
mod ranked_items;
mod reader;
mod sampling;
mod section;
mod stream_keys;
mod toml_text;
mod types;

mod asked_groups;
mod checker;
mod derived;
mod drafts;
mod group;
mod group_order;
mod input;
mod instance;
mod item;
mod join;
mod label;
mod label_leak;
mod look_up;
mod model;
mod model_options;
mod modifiers;
mod own;
mod ranking;
mod recommend;
mod reports;
mod request_windows;
mod select;
mod test_block;
mod test_case;
mod test_records;
mod topic;
mod vector_form;
mod view;
mod view_parts;
mod view_sql;
mod window;

mod definition;
mod explain;
mod json;
mod reference;
mod reference_prose;
mod schema;

pub use crate::aggregate::Window;
pub use checker::{load, parse};
pub use definition::hash;
pub use explain::{AssumedEntities, format_bytes};
pub use group_order::GroupOrder;
pub use problem::{Problem, Severity, SpecErrors};
pub use ranked_items::{FeatureRef, ItemColumn, Recommend};
pub use reference::reference;
pub use request_windows::FeatureName;
pub use schema::schema;
pub use test_case::{Expectation, ExpectedFeature, ExpectedValue, TestCase, TestRecord};
pub use types::*;
