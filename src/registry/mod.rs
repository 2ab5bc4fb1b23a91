//! The registry: a model's versions with their artifacts, the history of its aliases, and the versions in service.
//!
//! ```text
//! {model}/{version}/weights.safetensors   all that a prediction needs
//! {model}/{version}/model.json            the manifest, with the hash of the former; written last
//! {model}/history/{number}.json           one alias move each, append-only; the highest number is current
//! {model}/splits/{number}.json            one split each, append-only; the highest number is current
//! {model}/scores/{first}.json             the scores of a hundred windows each, kept when their versions are deleted
//! ```
//! JSON objects contain a checksum of themselves ([`crate::hash::seal`]). Every write is of a whole object, and a
//! version exists once its `model.json` does, so a crash leaves no half of one. Version numbers come from the trainer's
//! state, so publishing a version again after a crash changes nothing.
//!
//! [`Registry`] reads and writes, blocking. [`Writer`] publishes on a thread of its own for a running dataflow.
//! [`LiveModels`] holds the versions and [`SplitBoard`] the splits that requests read, without a lock. [`Follower`] notices
//! alias moves and splits that are made meanwhile, and [`RampGuard`] takes a ramp back whose arms fall behind.
//!
//! ```
//! use tidemill::registry::{CHAMPION, LiveModels, MoveByHand, Registry, When};
//!
//! let folder = tempfile::tempdir()?;
//! let registry = Registry::scratch(folder.path().to_str().unwrap())?;
//! assert!(registry.models()?.is_empty());
//!
//! // Only a version that exists can be promoted.
//! let when = When { event: 86_400_000, wall: 0 };
//! let by_hand = MoveByHand { alias: CHAMPION, when, reason: "to compare", by: "ann", reverts: None };
//! assert!(registry.promote("late", 1, &by_hand).is_err());
//!
//! // A restart serves what the registry holds: nothing yet.
//! let live = LiveModels::new(["late".to_owned()], 4);
//! assert!(live.restore(&registry, |_| None, when).errors.is_empty());
//! assert!(live.champion("late").is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifact;
mod asked_split;
mod by_hand;
mod champion_period;
mod error;
mod follower;
mod history;
mod live;
mod manifest;
mod objects;
mod publish;
mod ramp_guard;
mod recovery;
mod scores;
mod servable;
mod split;
mod split_board;
mod split_log;
mod started_over;
mod store;
mod writer;

pub use artifact::{decode, encode};
pub use asked_split::AskedSplit;
pub use by_hand::{MoveByHand, SplitByHand};
pub use champion_period::{ChampionPeriod, champion_periods};
pub use error::RegistryError;
pub use follower::{Follower, UnservedChampion};
pub use history::{AliasMove, CHAMPION, EarlierChampion, HistoryEntry, When, version_at};
pub use live::LiveModels;
pub use manifest::{Manifest, Offsets, TimeRange, rfc3339};
pub use publish::Publication;
pub use ramp_guard::{RampGuard, RampRule};
pub use recovery::{Restoration, SavedChampion};
pub use scores::{ArmPoint, DriftPoint, ScorePoint, SegmentMetric, SegmentMetrics, SegmentPoint, SegmentPoints};
pub use servable::Servable;
pub use split::{
    ArmTarget, RampStep, ShadowArm, Split, SplitArm, SplitEntry, arm_seed, choose, draw, percent, split_at,
};
pub use split_board::{ServingArm, ServingSplit, SplitBoard};
pub use store::Registry;
pub use writer::Writer;
