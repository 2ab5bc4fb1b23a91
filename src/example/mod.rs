//! Examples: from a record, table rows and feature vectors to a model's inputs; what training and serving share.
//!
//! In training the graph brings an example's columns together, operator by operator, as of its time. In serving a
//! [`Pipeline`] does it for the instances of a request, as of now: it is compiled from a [`ServingPlan`], which holds
//! the very expressions and look-ups that the graph runs. Either way [`FeatureAssembler`] says what the inputs are.
//!
//! An instance is a record of the stream that drives the example's view. Any column of the view, any feature and any
//! input may be given with it, by name, and is then not looked up or computed; a column that a view passes on under
//! its own name is one value, so giving it counts wherever it is used. The stream's own names go first, then those of
//! views from the outermost in. The event time may be left out: it is then the newest seen. A view's WHERE does not
//! apply, and a JOIN without a row gives nulls: a prediction is about the record that was asked about.

mod assembly;
mod compile;
mod fields;
mod frame;
mod instances;
mod pipeline;
mod plan;

pub use assembly::FeatureAssembler;
pub use frame::Frame;
pub use instances::{InstanceError, InstanceFault, InstancesSeed, MOST_CELLS};
pub use pipeline::{LookupSource, Pipeline};
pub use plan::{GroupLookup, ServingPlan, TableLookup, ViewSteps};
