//! Sources: from the bytes of a partition to records with an effective time.
//!
//! A transport ([`Partition`]) delivers records one by one in offset order; a format decodes each into the columns of
//! an [`Intake`], which decides there and then what becomes of it: a place in the next batch, at its event time or,
//! if it is late, at the partition's watermark; *filtered*; or a [`DeadLetter`] with its reason. What an intake
//! decides depends on the log alone, never on arrival, batch sizes or other partitions; but a record below the time that
//! is closed, as after an idle partition wakes, takes effect there, and that is told.
//!
//! The [`Board`] is what partitions know of each other: watermarks, ends, and the clock that files are played by.

mod ahead;
mod board;
mod crossings;
mod dead_letter;
mod file;
mod format;
mod intake;
pub mod kafka;
mod ledger;
mod order;
mod position;
mod unshown;
mod watermark;

pub use ahead::Ahead;
pub use board::{Board, IdleRule, Lane, Pace, Standing};
pub use crossings::{Crossings, Grid};
pub use dead_letter::{DeadLetter, DeadLetterFile, Header, Raw, Reason};
pub use file::{FileBinding, FilePartition};
pub use format::{FILE_FORMATS, FileFormat, FileSchema};
pub use intake::{DELETED, Intake, Intaken, TopicReader};
pub use ledger::{InFlight, Outcome, Tally};
pub use position::{Marks, Position};
pub use unshown::Unshown;
pub use watermark::Watermark;

/// One partition of a topic, read in offset order.
pub trait Partition: Send {
    /// Hands up to `max` records to the intake.
    ///
    /// # Errors
    /// If the transport fails for good; what is wrong with a record is the intake's to say.
    fn read(&mut self, max: usize, intake: &mut Intake) -> Result<Progress, SourceError>;

    /// Whether records come as they are made, if any come.
    fn is_live(&self) -> bool {
        false
    }

    /// How many records there are beyond those read, where the transport knows.
    fn behind(&self) -> Option<u64> {
        None
    }
}

/// What a partition has after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More, now.
    More,
    /// Nothing now, perhaps later.
    Idle,
    /// Nothing ever again.
    End,
}

/// Why a partition cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{path}: {what}")]
    File { path: String, what: String },
    #[error("{path}: cannot be read")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: cannot be written")]
    Unwritten {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("topic {topic:?}, partition {partition}: {what}")]
    Partition { topic: String, partition: u32, what: String },
    #[error(transparent)]
    Kafka(#[from] kafka::Fault),
}
