//! Families: what is kept of a set of records, and how ops answer from it.
//!
//! Each file has an accumulator, its [`Aggregate`](super::Aggregate), and the [`Family`](super::Family) of the ops that are
//! finished from it.

mod covariation;
mod decay;
mod extent;
mod extremum;
mod higher_moments;
mod kept;
mod moments;
mod newest;
mod span;
mod tallies;
mod value_sketch;

pub use covariation::{Covariation, CovariationOp, PairDigits, PairSums};
pub use decay::{Decay, DecayOp, Decayed, HALF_LIFE};
pub use extent::{ExtentOp, Extremes};
pub use extremum::{Extremum, Select};
pub use higher_moments::{HigherMomentOp, HigherMoments, Powers};
pub use kept::{KEPT, Keep, KeepK};
pub use moments::{Count, IntOverflow, MomentOp, MomentOrder, MomentSums, Moments, MomentsOf, Spread, Total};
pub use newest::{Newest, NewestOp};
pub use span::{Span, SpanOp, Spanned};
pub use tallies::{Tallied, Tally, TallyBy, ValueTallyOp};
pub use value_sketch::{STANDARD_ERROR, ValueSketch};
