//! Features, models and predictions from Kafka topics: fresh features, models retrained on every window and a prediction
//! endpoint, in one program.
//!
//! # The life of one record
//!
//! | step | where | type at the edge |
//! |---|---|---|
//! | A dataflow file and a config are read and checked, all mistakes at once | [`spec`], [`run`] | [`spec::Spec`] |
//! | The spec becomes a plan: every name resolved, every expression bound | [`flow::plan`] | [`flow::plan::Plan`] |
//! | A transport delivers bytes of a partition; a format decodes them; the watermark gives each record its effective time or a dead letter | [`source`] | [`value::Batch`] |
//! | A view projects it and reads table rows and features as of its time | [`relation`], [`flow::op`] | [`value::Batch`] |
//! | Feature groups aggregate it by entity, in panes; closed and provisional vectors go to the store | [`aggregate`], [`flow::op`], [`store`] | [`store::Vector`] |
//! | An example visits its groups in a chain, each appending its vector as of the example's time | [`flow::op`] | [`value::Batch`] |
//! | The label joins; the example is scored by the version in force and learnt in its window | [`model`] | [`model::Examples`] |
//! | A window's end makes a version; the gate decides; the registry keeps it; the live cell shows it | [`registry`] | [`registry::LiveModels`] |
//! | A request evaluates the same expressions, look-ups and preparation for one instance | [`relation`], [`example`], [`serve`] | JSON |
//!
//! [`docs/architecture.md`](../docs/architecture.md) follows one event and one request file by file, and
//! [`docs/glossary.md`](../docs/glossary.md) explains the terms.
//! Modules are declared in the order of their dependencies: a module uses only modules declared before it
//! (`tests/house/tidy.rs`).

pub mod error;
pub mod secret;

pub mod blob;
pub mod disk;
pub mod hash;
pub mod metrics;
pub mod padding;
pub mod threads;
pub mod time;
pub mod value;

pub mod aggregate;
pub mod expr;
pub mod model;

pub mod example;

pub mod relation;

pub mod source;
pub mod store;

pub mod checkpoint;
pub mod registry;

pub mod spec;

pub mod flow;

pub mod serve;

pub mod run;
