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
mod approx_distinct;
mod bottom_k;
mod by;
mod correlation;
mod cost;
mod count;
mod covariance;
mod covariation;
mod cow_vec;
mod decay;
mod decayed_sum;
mod distinct;
mod distinct_values;
mod entities;
mod entropy;
mod ewma;
mod exact;
mod extent;
mod extremum;
mod family;
mod feature;
mod feature_column;
mod first;
mod first_k;
mod higher_moments;
mod histogram;
mod input;
mod kept;
mod kurtosis;
mod last;
mod last_distinct;
mod last_k;
mod layout;
mod max;
mod mean;
mod members;
mod min;
mod mode;
mod moments;
mod newest;
mod op;
mod op_input;
mod open_answer;
mod provisional_entities;
mod quantile;
mod range;
mod rate;
mod skew;
mod snapshot;
mod span;
mod state;
mod stddev;
mod stddev_pop;
mod sum;
mod tallies;
mod time_between;
mod time_since_first;
mod time_since_last;
mod top_k;
mod value_key;
mod value_sketch;
mod variance;
mod variance_pop;
mod window;

use std::any::Any;

use crate::value::Type;

pub use algebra::{Aggregate, Invertible, Observed};
pub use cost::Cost;
pub use covariation::{Covariation, CovariationOp, PairDigits};
pub use decay::{DecayOp, Decayed, HALF_LIFE};
pub use exact::{MAX_DIGITS, fixed};
pub use extent::ExtentOp;
pub use extremum::Extremum;
pub use family::{Family, OpsInWindow, PlacedOp};
pub use feature::{CountSince, Decaying, Deferred, Feature, FeatureType, OpenFeature};
pub use feature_column::FeatureColumn;
pub use higher_moments::{HigherMomentOp, HigherMoments};
pub use input::{InputColumns, LineInput, Needs};
pub use kept::{KEPT, Keep};
pub use layout::{AggregateSpec, GroupLayout};
pub use moments::{IntOverflow, MomentOp, MomentOrder, Moments};
pub use newest::NewestOp;
pub use op::{Op, OpError, OpParameter, OpParameters, ParameterType};
pub use op_input::OpInput;
pub use quantile::RELATIVE_ERROR;
pub use snapshot::{Encoder, GroupSnapshot, SavedGroup};
pub use span::{Span, SpanOp};
pub use state::GroupState;
pub use tallies::{Tally, ValueTallyOp};
pub use value_key::ValueKey;
pub use value_sketch::{STANDARD_ERROR, ValueSketch};
pub use window::{
    ClosedWindow, ContinuedWindow, Cumulative, Cycle, Expired, LastN, Lifetime, LineUpdates, Series, Session, Single,
    Sliding, StateParts, Tumbling, Update, WINDOWS, Window, WindowForm, WindowKind, WindowShape, WindowState,
};

/// One kind of aggregate: how a dataflow file names it, its input and output, and its family.
#[derive(Debug)]
pub struct AggregateKind {
    /// The spelling in `op`.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// In the order in which they are written.
    pub parameters: &'static [OpParameter],
    pub input: OpInput,
    /// The type of the answer, given the type of `of`.
    pub output: fn(Option<Type>, &OpParameters) -> FeatureType,
    /// The answer for an entity without records.
    pub empty: fn(&OpParameters) -> Feature,
    pub family: &'static dyn Family,
}

/// Every kind of aggregate, in the order of the reference.
pub static KINDS: &[&AggregateKind] = &[
    &count::COUNT,
    &sum::SUM,
    &mean::MEAN,
    &variance::VARIANCE,
    &stddev::STDDEV,
    &variance_pop::VARIANCE_POP,
    &stddev_pop::STDDEV_POP,
    &min::MIN,
    &max::MAX,
    &first::FIRST,
    &last::LAST,
    &time_since_last::TIME_SINCE_LAST,
    &skew::SKEW,
    &kurtosis::KURTOSIS,
    &covariance::COVARIANCE,
    &correlation::CORRELATION,
    &range::RANGE,
    &quantile::QUANTILE,
    &distinct::DISTINCT,
    &approx_distinct::APPROX_DISTINCT,
    &mode::MODE,
    &entropy::ENTROPY,
    &rate::RATE,
    &time_since_first::TIME_SINCE_FIRST,
    &time_between::TIME_BETWEEN,
    &ewma::EWMA,
    &decayed_sum::DECAYED_SUM,
    &first_k::FIRST_K,
    &last_k::LAST_K,
    &last_distinct::LAST_DISTINCT,
    &top_k::TOP_K,
    &bottom_k::BOTTOM_K,
    &distinct_values::DISTINCT_VALUES,
    &histogram::HISTOGRAM,
];

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
