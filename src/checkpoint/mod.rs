//! Checkpoints: the state of every operator as of one closed event time.
//!
//! A checkpoint is triggered with a barrier at a time T that no operator has passed. Each operator, when its frontier
//! reaches T, processes what is before T, saves its state, and goes on ([`OperatorCheckpoint`]); so the parts agree without
//! stopping anything (Chandy and Lamport, 1985; Carbone et al., 2015). State that no longer changes is encoded later, by
//! the thread that writes the checkpoint. A [`CheckpointCoordinator`] collects the parts, and distributes them to a graph
//! that starts from them, on any number of workers: inside a part, state is keyed by what the operator exchanges by, and
//! each worker keeps its share. A [`CheckpointStore`] keeps checkpoints on disk, beside the [`Journal`] of overtaken
//! records: those that arrived behind the closed frontier.
//!
//! ```
//! use tidemill::checkpoint::{CheckpointCoordinator, OperatorCheckpoint, SavedPart};
//!
//! let coordinator = CheckpointCoordinator::fresh();
//! let mut counter = OperatorCheckpoint::new(&coordinator, "counter");
//! coordinator.trigger(100);
//! // The operator's frontier is at 250 by now: the barrier lies on the way.
//! for stretch in counter.stretches(250) {
//!     let count = stretch.until / 10; // as many records as there are before this time
//!     if stretch.save_after {
//!         counter.save(stretch.until, SavedPart::encoded(&count));
//!     }
//! }
//! let (time, snapshot) = coordinator.collect().expect("every operator has saved");
//! let restored = CheckpointCoordinator::restoring(time, snapshot.encode().collect());
//! assert_eq!(restored.load::<i64>("counter").unwrap(), [10]);
//! ```

mod coordinator;
mod journal;
mod operator;
mod part;
mod store;

pub use coordinator::{CheckpointCoordinator, PendingSnapshot, SnapshotParts};
pub use journal::{Journal, Overtaken};
pub use operator::{OperatorCheckpoint, Stretch};
pub use part::SavedPart;
pub use store::{CheckpointStore, Fingerprint, NewestCheckpoint, StoredCheckpoint, WrittenCheckpoint};

use crate::blob::BlobError;

/// The part of a snapshot that holds the versions published so far: not an operator's.
pub const JOB_EVENTS: &str = "outputs";

/// The part of a snapshot that holds the ids of Kafka's topics: not an operator's.
pub const TOPIC_IDS: &str = "topic_ids";

/// An error of reading or writing checkpoints or the journal.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "the saved state of operator {operator} cannot be read; delete the checkpoint to resume from the one before"
    )]
    Undecodable {
        operator: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("checkpoint `{path}` cannot be read")]
    Missing {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("checkpoint folder `{path}` cannot be used")]
    Folder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("journal `{path}` cannot be read")]
    Journal {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the checkpoints cannot be used")]
    Store {
        #[from]
        source: BlobError,
    },
    #[error("checkpoint `{path}` is damaged: {detail}")]
    Damaged { path: String, detail: String },
    #[error("checkpoint `{path}` is of another version of tidemill: it has format {format}, expected {expected}")]
    Format { path: String, format: u32, expected: u32 },
    #[error("{path}: not a record of the journal: {detail}")]
    NoRecord { path: String, detail: String },
}
