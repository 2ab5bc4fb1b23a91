//! The algebra of features: what each aggregate keeps, how it merges, and what it answers.

/// One aggregate: how a dataflow file names it and what it takes and gives.
pub struct Kind {
    /// The spelling in `op`.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// Whether it needs `of`.
    pub input: Input,
    /// The type of the answer, given the type of `of`.
    pub output: fn(Option<crate::value::Type>) -> crate::value::Type,
}

/// What an aggregate may be `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `of` may be left out.
    Optional,
    /// Numbers only.
    Numeric,
    /// Anything that has an order or can be kept.
    Any,
}

/// Every aggregate, in the order of the reference.
pub static KINDS: &[&Kind] = &[];
