//! Ops: the kinds of aggregates that dataflow files name, one a file.
//!
//! A kind says what it takes and answers, and its family makes the answer. Those whose family has no other member have
//! it in their file.
//!
//! ```
//! use tidemill::aggregate::KINDS;
//! let mean = KINDS.iter().find(|kind| kind.name == "mean").unwrap();
//! assert!(mean.parameters.is_empty());
//! ```

mod approx_distinct;
mod bottom_k;
mod correlation;
mod count;
mod covariance;
mod decayed_sum;
mod distinct;
mod distinct_values;
mod entropy;
mod ewma;
mod first;
mod first_k;
mod histogram;
mod kurtosis;
mod last;
mod last_distinct;
mod last_k;
mod max;
mod mean;
mod min;
mod mode;
mod quantile;
mod range;
mod rate;
mod skew;
mod stddev;
mod stddev_pop;
mod sum;
mod time_between;
mod time_since_first;
mod time_since_last;
mod top_k;
mod variance;
mod variance_pop;

use super::AggregateKind;

pub use approx_distinct::Sketched;
pub use quantile::{QuantileBucket, RELATIVE_ERROR};

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
