//! Sources: from the bytes of a partition to batches of records with effective times.
//!
//! One record passes these files in this order:
//!
//! | file | step |
//! |---|---|
//! | `kafka`, `file` | a transport ([`Partition`]) delivers messages in offset order |
//! | `message` | the topic's format decodes each into columns |
//! | `ingest` | the record is accepted at its effective time, refused as a [`DeadLetter`], or skipped |
//! | `growing_batch` | the accepted records of a read become a batch |
//! | `reader` | the batch is counted and queued until it may be emitted; back pressure, positions, acknowledgements |
//!
//! [`Partitions`], [`InputFrontier`], [`EventClock`] and [`PlaybackClock`] are what partitions share: how far each has
//! come, the time that is closed, the clock that closes it while there are no records, and the one by which files are
//! played.
//!
//! Invariant: the outcome of a record depends on the log alone, never on arrival, batch sizes or other partitions. The
//! one exception, a record that arrives below the closed frontier, is counted and journalled as *overtaken*.
//!
//! ```
//! use std::sync::Arc;
//! use tidemill::source::{InputFrontier, PartitionProgress, Partitions};
//! # use tidemill::source::{FORMATS, RecordTime, SourcePlan};
//! # use tidemill::value::{Column, Schema, Type};
//! # let plan = SourcePlan {
//! #     source: "clicks".into(), topic: "clicks".into(), format: FORMATS.first(), key: vec![], time: RecordTime::Column(0), filter: None,
//! #     schema: Schema::new(vec![Column::new("at", Type::Timestamp, false)]), lateness_ms: 0, is_table: false,
//! #     needs_order: false, retention_ms: i64::MAX,
//! # };
//! let partitions = Arc::new(Partitions::default());
//! let frontier = InputFrontier::new(&partitions, None, None);
//! let [fast, slow] = [0, 1].map(|number| partitions.register(&plan, number));
//! partitions.complete_discovery();
//! fast.advance(5_000);
//! slow.advance(2_000);
//! assert_eq!(frontier.advance(|| ()).0, 2_000);
//! ```

mod absent_advice;
mod advice;
mod dead_letter;
mod event_clock;
mod file;
mod file_place;
mod growing_batch;
mod ingest;
mod input_frontier;
mod judge;
pub mod kafka;
mod ledger;
mod message;
mod offset_index;
mod order;
mod outlier;
mod partitions;
mod plan;
mod playback;
mod position;
mod progress;
mod read_ahead;
mod reader;
mod record_time;
mod refusal;
mod sample;
mod unacked;
mod unit_advice;
mod untimed;
mod verdicts;
mod watermark;
mod window_offsets;

pub use absent_advice::AbsentAdvice;
pub use advice::Advice;
pub use dead_letter::{DeadLetter, DeadLetterFile, Header, KeptLetters, RawMessage, Reason};
pub use event_clock::{EventClock, Evidence};
pub use file::{
    FILE_FORMATS, FileBinding, FileFormat, FilePartition, RecordText, RecordsPartition, sample as sample_file,
};
pub use file_place::{FileContent, FilePlace};
pub use growing_batch::{IngestedBatch, OvertakenRecord};
pub use ingest::{DEFAULT_RECORD_BYTES, Ingest, MOST_RECORD_BYTES};
pub use input_frontier::{IdlenessPolicy, InputFrontier};
pub use ledger::{EARLY_RECORDS, EarlyCounts, InFlight, Outcome, RecordCounts};
pub use message::{Csv, DELETED, FORMATS, Format, Json, MessageEncoder, MessageFormat, WithFormat};
pub use offset_index::{OffsetIndex, ReadBatch};
pub use outlier::OutlierRule;
pub use partitions::{Partitions, SlowestPositions};
pub use plan::SourcePlan;
pub use playback::{PlaybackClock, PlaybackSpeed};
pub use position::Position;
pub use progress::{PartitionProgress, PartitionStats};
pub use read_ahead::{ReadAhead, Volume};
pub use reader::{AssignedPartition, PartitionReader, ReadOutcome, ReaderOptions};
pub use record_time::{ComputedTime, RecordTime};
pub use sample::{RecordSample, SampleColumn, SampleValue};
pub use unacked::UnackedOffsets;
pub use unit_advice::UnitAdvice;
pub use watermark::Watermark;
pub use window_offsets::{TumblingWindow, WindowOffsets};

/// One partition of a topic, read in offset order.
pub trait Partition: Send {
    /// Pushes up to `max` records.
    ///
    /// # Errors
    /// If the transport fails for good. A fault of a single record is no error: it becomes a dead letter.
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError>;

    /// Returns whether records come as they are produced. The first may then be long in coming.
    fn is_live(&self) -> bool {
        false
    }

    /// Returns the place in the files that are read, from which a restart can resume; `None` if offsets suffice.
    fn place(&self) -> Option<FilePlace> {
        None
    }

    /// Returns the number of records that have not been read yet; `None` if the transport does not know.
    fn lag(&self) -> Option<u64> {
        None
    }
}

/// The state of a partition after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputStatus {
    /// More records may be there now.
    MoreAvailable,
    /// No record is there now; one may come later.
    NothingAvailable,
    /// No further record will come.
    EndOfInput,
}

/// The reason why a partition cannot be read, or a dead letter not be written.
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
    Kafka(#[from] kafka::KafkaError),
}
