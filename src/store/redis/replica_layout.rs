//! The layout of what a run writes to Redis for its replicas, beside the fields of features.
//!
//! It is for replicas of the same version of tidemill and may change with each. Below `tidemill:{dataflow}:`
//!
//! | key | contents |
//! |---|---|
//! | `_replica` | a hash: the `definition` of the dataflow file and the `writer`, both there while Redis has everything; the times `watermark` and `newest` as of which it is, in epoch ms; how far the run had `read` by event time when it had last `written`, by its clock |
//! | `_vector:{group}:{key}` | the vector of an entity, with all that an answer is finished from; it expires with the entity's hash |
//! | `_rows:{table}` | a hash: the rows of a table by their encoded keys |
//!
//! A name begins with a letter, so none of these is the key of an entity. Every vector and row begins with a tag of the
//! definition that it was written for: one that an earlier definition has left there is as if it were not.

use redis::{Cmd, Pipeline, cmd};

use super::layout::{escaped, with_key};
use crate::aggregate::encode_vector;
use crate::hash::sha256;
use crate::store::{StoreTimes, Vector};
use crate::time::EventTime;
use crate::value::{Key, Scalar};

/// The fields of the hash `_replica`. Replicas are answered while it has both a definition and a writer.
pub const DEFINITION: &str = "definition";
pub const WATERMARK: &str = "watermark";
pub const NEWEST: &str = "newest";
pub const WRITER: &str = "writer";
pub const READ: &str = "read";
pub const WRITTEN: &str = "written";

/// Bytes of a tag.
const TAG: usize = 8;

/// The definition that vectors and rows are written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDefinition {
    hash: String,
    tag: [u8; TAG],
}

impl ReplicaDefinition {
    /// The definition of a dataflow file with this hash, in this version of tidemill.
    pub fn new(hash: &str) -> Self {
        let hash = sha256(format!("{} {hash}", env!("CARGO_PKG_VERSION")));
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hash.as_bytes()[..TAG]);
        ReplicaDefinition { hash, tag }
    }

    /// The text by which definitions are compared.
    pub fn text(&self) -> &str {
        &self.hash
    }

    /// Returns a vector or row as it is written.
    pub fn encoded(&self, vector: &Vector) -> Vec<u8> {
        [self.tag.as_slice(), &encode_vector(vector)].concat()
    }

    /// Returns the vector or row in a value; `None` if it was written for another definition.
    pub fn untagged<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        value.strip_prefix(&self.tag)
    }
}

/// Returns the key of the hash with the definition and the times.
pub fn state_key(dataflow: &str) -> String {
    format!("tidemill:{}:_replica", escaped(dataflow))
}

/// Returns the key of the hash with the rows of a table.
pub fn rows_key(dataflow: &str, table: &str) -> String {
    format!("tidemill:{}:_rows:{}", escaped(dataflow), escaped(table))
}

/// Returns the key of the vector of an entity.
pub fn vector_key(dataflow: &str, group: &str, key: &[Scalar]) -> String {
    with_key(format!("tidemill:{}:_vector:{}", escaped(dataflow), escaped(group)), key)
}

/// Appends the command that writes the vector of an entity, or deletes it.
pub fn write_vector(
    pipe: &mut Pipeline,
    definition: &ReplicaDefinition,
    key: &str,
    vector: Option<&Vector>,
    ttl_ms: Option<i64>,
) {
    let command = match vector {
        None => of(&["DEL", key]),
        Some(vector) => {
            let mut set = of(&["SET", key]);
            set.arg(definition.encoded(vector));
            ttl_ms.iter().for_each(|ttl_ms| _ = set.arg("PX").arg(*ttl_ms));
            set
        }
    };
    pipe.add_command(command).ignore();
}

/// Appends the command that writes a row of a table, or deletes it.
pub fn write_row(pipe: &mut Pipeline, definition: &ReplicaDefinition, rows: &str, key: &Key, row: Option<&Vector>) {
    let command = match row {
        None => {
            let mut delete = of(&["HDEL", rows]);
            delete.arg(key.as_bytes());
            delete
        }
        Some(row) => {
            let mut set = of(&["HSET", rows]);
            set.arg(key.as_bytes()).arg(definition.encoded(row));
            set
        }
    };
    pipe.add_command(command).ignore();
}

/// Appends the command that writes the times as of which Redis has everything.
pub fn write_times(pipe: &mut Pipeline, state: &str, times: StoreTimes) {
    pipe.cmd("HSET").arg(state).arg(WATERMARK).arg(times.watermark).arg(NEWEST).arg(times.newest).ignore();
}

/// The progress of Redis and of the run, as a replica reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// The times as of which Redis has everything.
    pub times: StoreTimes,
    /// The newest event time of a record that the run had read; the minimum before the first.
    pub read: EventTime,
    /// The time at which the run had read that, in epoch ms by its clock; `None` if it has not said so.
    pub written: Option<i64>,
}

impl RunProgress {
    /// The event time, in ms, by which the run is ahead of what is in Redis: at least 0.
    pub fn behind_ms(&self) -> i64 {
        match (self.times.newest(), self.read) {
            (_, EventTime::MIN) | (None, _) => 0,
            (Some(newest), read) => read.saturating_sub(newest).max(0),
        }
    }
}

/// Appends the command that writes how far the run is, by event time and by the clock.
pub fn write_progress(pipe: &mut Pipeline, state: &str, read: EventTime, wall_ms: i64) {
    pipe.cmd("HSET").arg(state).arg(READ).arg(read).arg(WRITTEN).arg(wall_ms).ignore();
}

/// Returns a time in a field of the hash `_replica`; the minimum if it is missing.
pub fn time_of(text: Option<&str>) -> EventTime {
    text.and_then(|text| text.parse().ok()).unwrap_or(EventTime::MIN)
}

fn of(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    words[1..].iter().for_each(|word| _ = command.arg(*word));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Feature;

    #[test]
    fn keys_for_replicas_are_below_names_that_no_group_has() {
        let key = [Scalar::String("A:B%".into()), Scalar::Int(-7)];
        assert_eq!(vector_key("flights", "route", &key), "tidemill:flights:_vector:route:A%3AB%25:-7");
        assert_eq!(state_key("flights"), "tidemill:flights:_replica");
        assert_eq!(rows_key("flights", "weather"), "tidemill:flights:_rows:weather");
    }

    #[test]
    fn a_replica_is_behind_by_what_the_run_has_read_and_not_written() {
        let behind =
            |newest, read| RunProgress { times: StoreTimes { watermark: 0, newest }, read, written: None }.behind_ms();
        assert_eq!((behind(5, 9), behind(9, 9), behind(9, 5)), (4, 0, 0));
        assert_eq!((behind(EventTime::MIN, 9), behind(9, EventTime::MIN)), (0, 0));
    }

    #[test]
    fn a_value_of_another_definition_is_ignored() {
        let (one, other) = (ReplicaDefinition::new("a"), ReplicaDefinition::new("b"));
        let vector: Vector = [Feature::Value(Scalar::Int(1))].into();
        let value = one.encoded(&vector);
        assert_eq!(one.untagged(&value), Some(encode_vector(&vector).as_slice()));
        assert_eq!((other.untagged(&value), one.untagged(b"")), (None, None));
    }
}
