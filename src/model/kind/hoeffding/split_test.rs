//! The test of a split, and a branch of it.

use serde::{Deserialize, Serialize};

/// A test that sends an example to the left. A null is sent to the heavier side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum SplitTest {
    /// The number is not above this.
    UpTo(f64),
    /// The category is this.
    Is(u64),
}

/// A branch of a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitBranch {
    /// The input that is tested.
    pub input: usize,
    pub test: SplitTest,
    pub is_left: bool,
}
