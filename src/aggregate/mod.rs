//! The algebra of features: what each aggregate keeps, how it merges, and what it answers.
//!
//! An aggregate is an identity, an insert, a merge and a finish. Two families cover those that tidemill has, and the
//! family decides how a window slides:
//!
//! - **moments** ([`Family::Moments`]) add up exact integers, so records that leave are subtracted: a running total
//!   an entity, and one bucket of subtractions a pane ([`totals`](self)).
//! - **picks** ([`Family::Pick`]) keep the one record that beats the others, so a pane whose record is beaten by a
//!   later pane's is dropped at once and the answer is always the oldest pane left.
//!
//! Either way the answer is a function of the set of records, and of their total order where the aggregate says so:
//! never of batches, workers or arrival.
//!
//! Adding an aggregate is one file with a [`Kind`] and one line in [`KINDS`].

mod by_slot;
mod count;
mod entities;
mod exact;
mod first;
mod input;
mod last;
mod max;
mod mean;
mod min;
mod moments;
mod open;
mod pick;
mod snapshot;
mod state;
mod stddev;
mod sum;
mod totals;
mod variance;
mod winners;

use crate::value::{Scalar, Type};

pub use exact::{MAX_DIGITS, fixed};
pub use input::LineInput;
pub use moments::{Keeps, Moments};
pub use pick::Rank;
pub use snapshot::{Encoder, GroupSnapshot, SavedGroup};
pub use state::{Arrival, GroupState, Layout, Left, LineLayout, SlidingWindow, WindowState, accepts};

/// One aggregate: how a dataflow file names it, what it takes and gives, and its family.
#[derive(Debug)]
pub struct Kind {
    /// The spelling in `op`.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    pub input: Input,
    /// The type of the answer, given the type of `of`.
    pub output: fn(Option<Type>) -> Type,
    /// Whether an entity without records has an answer that is not null.
    pub nullable: bool,
    pub family: Family,
}

/// What an aggregate may be `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `of` may be left out; with it, nulls do not count.
    Optional,
    /// An int or a float.
    Numeric,
    /// Whatever has an order: numbers, times, bools.
    Ordered,
    /// Any type.
    Any,
}

/// How an aggregate's state behaves in a window.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    /// A function of exact counts and sums, of which it needs those up to `keeps`.
    Moments { keeps: Keeps, finish: fn(&Moments) -> Scalar },
    /// The value of the record that ranks highest.
    Pick(Rank),
}

/// Every aggregate, in the order of the reference.
pub static KINDS: &[&Kind] = &[
    &count::COUNT,
    &sum::SUM,
    &mean::MEAN,
    &variance::VARIANCE,
    &stddev::STDDEV,
    &min::MIN,
    &max::MAX,
    &first::FIRST,
    &last::LAST,
];

/// The aggregate of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
