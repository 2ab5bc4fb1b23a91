//! Training: the windows of one model, in which examples are scored, learnt, and at whose end a version is made.
//!
//! Notation: an example has its own time t, at which its features were looked up, and the time at which its label became
//! known. Windows are `[k·w, (k+1)·w)` of the latter, shifted by an offset.
//!
//! - **Scoring** comes first: by the version that was champion at t, by the champion before it and by the newest.
//! - **Learning** goes along, in a single pass, prepared with the statistics up to the version before. Only the first
//!   window has none: it is buffered, measured, and learnt at its close. One of too few examples is waited out.
//! - **Closing** combines the shards, compares candidate and champion on held-out examples, and accepts or refuses. A
//!   refused version leaves no trace in the lineage: neither in the weights nor in the statistics of later versions. A
//!   version that has diverged is refused, gate or not.
//!
//! Invariant: everything is a function of the sequence of examples. The way in which it is cut into calls of
//! [`Trainer::learn`], and saving and loading in between, change no bit.

mod arms;
mod closing;
mod comparison;
mod divergence;
mod drift;
mod examples;
mod history;
mod learning_memory;
mod lineage;
mod lists;
mod no_skill_counts;
mod paired;
mod persistence;
mod prequential;
mod rollback;
mod rollback_scores;
mod saved;
mod saved_scores;
mod segments;
mod setup;
mod stability;
mod state;
mod totals;
mod trainer;
mod version;
mod waiting;
mod window;
mod window_summary;

pub use arms::{ArmScorer, ArmWindow, SavedArms, ScoredArm, ScoredVersion};
pub use drift::DriftAlarm;
pub use examples::{Examples, Labels, Scored};
pub use prequential::WindowScores;
pub use segments::{SegmentSummaries, SegmentSummary, segment_name};
pub use setup::TrainerConfig;
pub use stability::Stability;
pub use totals::OverallScores;
pub use trainer::Trainer;
pub use version::{Decision, Version};
pub use waiting::WaitingWindow;
