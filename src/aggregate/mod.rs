//! The algebra of features: aggregate x window x provisional.
//!
//! A feature is made of three factors, each of which knows nothing of the others:
//!
//! - an **aggregate** ([`Aggregate`]): what is kept of a set of records, and how two such accumulators are merged;
//!   [`Invertible`] ones can take records out again. Moments are exact sums, extrema keep one record, tallies count
//!   records by value, decaying sums add up by half-lives.
//! - a **window** ([`Window`]): which closed records count as of an asking time. Each kind is one file, generic in the
//!   accumulator.
//! - the **provisional** records: those that have arrived and are not closed. Written once, for all of them.
//!
//! A [`Family`] puts them together and turns accumulators into features. Either way a feature is a function of the set
//! of records, and of their total order where the family says so: never of batches, workers or arrival.
//!
//! Adding an aggregate of a known family is one file with an [`AggregateKind`] and one line in [`KINDS`]:
//!
//! ```
//! use tidemill::aggregate::{FeatureType, KINDS, Op};
//! use tidemill::value::Type;
//!
//! let mean = Op::parse("mean").unwrap();
//! assert_eq!(mean.output(Some(Type::Int)), FeatureType::Scalar(Type::Float));
//! assert!(mean.empty().is_null() && KINDS.iter().any(|kind| kind.name == "mean"));
//! ```

mod algebra;
mod answers;
mod any_aggregate;
mod assumed_records;
mod by;
mod cow_vec;
mod encoded_vector;
mod entities;
mod entity_bound;
mod erasable;
mod estimate;
mod exact;
mod families;
mod family;
mod feature;
mod feature_column;
mod heap;
mod input;
mod layout;
mod members;
mod op;
mod op_input;
mod open_answer;
mod open_window;
mod ops;
mod provisional_entities;
mod recency;
mod requested;
mod snapshot;
mod state;
mod state_codec;
mod step_budget;
mod value_key;
mod window;

use std::any::Any;

use crate::value::Type;

pub use algebra::{Aggregate, Invertible, Observed};
pub use any_aggregate::{AnyAccumulator, AnyAggregate};
pub use assumed_records::{AssumedRecords, RecordLoad};
pub use encoded_vector::{VectorDecoder, encode_vector};
pub use entities::PREFETCHED;
pub use entity_bound::EntityBound;
pub use erasable::Erasable;
pub use estimate::StateEstimate;
pub use exact::{MAX_DIGITS, fixed, quotient};
pub use families::{
    Covariation, CovariationOp, DecayOp, Decayed, ExtentOp, Extremum, HALF_LIFE, HigherMomentOp, HigherMoments,
    IntOverflow, KEPT, Keep, MomentOp, MomentOrder, Moments, NewestOp, PairDigits, STANDARD_ERROR, Span, SpanOp, Tally,
    ValueSketch, ValueTallyOp,
};
pub use family::{Family, OpsInWindow, PlacedOp};
pub use feature::{CountSince, Decaying, Deferred, Feature, FeatureType, OpenFeature, PaneSet};
pub use feature_column::FeatureColumn;
pub use input::{InputColumns, LineInput, Needs, Reads};
pub use layout::{AggregateSpec, GroupLayout};
pub use op::{Op, OpError, OpParameter, OpParameters, ParameterType};
pub use op_input::OpInput;
pub use ops::{KINDS, RELATIVE_ERROR};
pub use requested::{RequestWindows, RequestedAnswer, RequestedWindow};
pub use snapshot::{Encoder, GroupSnapshot, SavedGroup};
pub use state::GroupState;
pub use state_codec::{StateReader, StateWriter};
pub use step_budget::StepBudget;
pub use value_key::ValueKey;
pub use window::{
    ClosedWindow, ContinuedWindow, Cumulative, Cycle, Divisible, Expired, LastN, Lifetime, LineUpdates, OwnBase,
    OwnPlace, Series, Session, Single, Sliding, StateLine, StateParts, Tumbling, Update, WINDOWS, Window, WindowForm,
    WindowKind, WindowShape, WindowState,
};

/// One kind of aggregate: how a dataflow file names it, its input and output, and its family.
#[derive(Debug)]
pub struct AggregateKind {
    /// The spelling in `op`.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// Parameters, in the order in which they are written.
    pub parameters: &'static [OpParameter],
    pub input: OpInput,
    /// The type of the answer, given the type of `of`.
    pub output: fn(Option<Type>, &OpParameters) -> FeatureType,
    /// The answer for an entity without records.
    pub empty: fn(&OpParameters) -> Feature,
    pub family: &'static dyn Family,
}

/// The kind of aggregate of this name.
pub fn kind(name: &str) -> Option<&'static AggregateKind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

impl AggregateKind {
    /// Returns whether it may be `of` a column of this type; `None`: without `of`.
    pub fn accepts(&self, of: Option<Type>) -> bool {
        self.input.accepts(of)
    }

    /// The family, as a type that it is known to have.
    ///
    /// # Panics
    /// If it is of another family.
    fn family_as<F: Family>(&self) -> &'static F {
        (self.family as &dyn Any).downcast_ref().expect("a family is asked about its own ops")
    }
}
