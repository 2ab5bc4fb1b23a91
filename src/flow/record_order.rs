//! The total order between the records of two streams that share a source.
//!
//! A sort key begins with the rank of the record's source if its stream has several sources, goes on with the record's
//! place in its source, and ends with the numbers of the inputs of unions that it came by, if one source reaches them in
//! several ways. Places in one source are prefix-free, so keys of different records compare as their places do, and one
//! key begins with the other's place only if both are of one record.

use arrow_array::Array;
use arrow_schema::ArrowError;

use crate::relation::{Relations, StreamId};
use crate::value::Batch;

/// The order of the records of two streams, by their sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOrder {
    one: Ranks,
    other: Ranks,
}

/// By the rank of a source in a stream, the same in both streams together. A stream of one source has no ranks in its
/// sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranks(Vec<usize>);

impl RecordOrder {
    /// Returns the order of the records of two streams, `None` if they share no source. A source that they share must reach
    /// one of them in one way only.
    pub fn of(relations: &Relations, one: StreamId, other: StreamId) -> Option<Self> {
        let names = |stream| {
            let sources = relations.sources(stream).into_iter().map(|source| relations.source_name(source));
            let mut names: Vec<&str> = sources.collect();
            names.sort_unstable();
            names
        };
        let (one, other) = (names(one), names(other));
        if !one.iter().any(|name| other.contains(name)) {
            return None;
        }
        let mut all = [one.as_slice(), other.as_slice()].concat();
        all.sort_unstable();
        all.dedup();
        let ranks = |names: &[&str]| {
            let rank = |name: &&str| all.binary_search(name).expect("all names are there");
            Ranks(names.iter().map(rank).collect())
        };
        Some(RecordOrder { one: ranks(&one), other: ranks(&other) })
    }

    /// The same as [`check_ranks`], of records of the one stream.
    ///
    /// # Errors
    /// If a sort key is none of that stream.
    pub fn check(&self, batch: &Batch) -> Result<(), ArrowError> {
        check_ranks(batch, self.one.0.len())
    }

    /// Returns whether a record of the one stream is before a record of the other, of the same time, by their sort keys.
    /// A record is not before itself.
    pub fn is_before(&self, one: &[u8], other: &[u8]) -> bool {
        let (one, other) = (self.one.place(one), self.other.place(other));
        let is_same = one.0 == other.0 && (one.1.starts_with(other.1) || other.1.starts_with(one.1));
        !is_same && one < other
    }
}

/// Checks the sort keys of saved records of a stream with so many sources: of several, each begins with the rank of one. All
/// are null where no operator needs the order.
///
/// # Errors
/// If one does not.
pub fn check_ranks(batch: &Batch, sources: usize) -> Result<(), ArrowError> {
    let keys = &batch.sort_key;
    if sources < 2 || keys.null_count() == keys.len() {
        return Ok(());
    }
    let rank = |key: Option<&[u8]>| Some(usize::from(u16::from_be_bytes(*key?.first_chunk()?)));
    match keys.iter().all(|key| rank(key).is_some_and(|rank| rank < sources)) {
        true => Ok(()),
        false => Err(ArrowError::ParseError("a sort key does not begin with the rank of a source".to_owned())),
    }
}

impl Ranks {
    /// Returns the rank of the source of a record in both streams together, and the rest of the sort key.
    fn place<'k>(&self, sort_key: &'k [u8]) -> (usize, &'k [u8]) {
        match (self.0.as_slice(), sort_key.split_first_chunk()) {
            ([only], _) => (*only, sort_key),
            (ranks, Some((rank, rest))) => (ranks[usize::from(u16::from_be_bytes(*rank))], rest),
            (_, None) => (0, sort_key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_streams_with_other_ranks_compare_by_source_and_place() {
        // Of sources a and c in the one stream, and of b, c and d in the other.
        let order = RecordOrder { one: Ranks(vec![0, 2]), other: Ranks(vec![1, 2, 3]) };
        let key = |rank: u8, place: &[u8]| [&[0, rank], place].concat();
        assert!(order.is_before(&key(0, b"z"), &key(0, b"a")), "a is before b");
        assert!(!order.is_before(&key(1, b"a"), &key(0, b"z")), "c is behind b");
        assert!(order.is_before(&key(1, b"a"), &key(1, b"b")), "both are of c");
        assert!(!order.is_before(&key(1, b"b"), &key(1, b"a")));
    }

    #[test]
    fn saved_sort_keys_begin_with_the_rank_of_a_source_where_there_are_several() {
        let batch = |keys: &[Option<&[u8]>]| Batch {
            times: (0..keys.len() as i64).collect(),
            event_times: (0..keys.len() as i64).collect(),
            sort_key: keys.iter().copied().collect(),
            ..Batch::default()
        };
        let order = RecordOrder { one: Ranks(vec![0, 2]), other: Ranks(vec![1]) };
        for right in [&[Some(&b"\0\x01a"[..]), Some(b"\0\0")][..], &[None, None], &[]] {
            assert!(order.check(&batch(right)).is_ok(), "{right:?}");
        }
        for wrong in [&[Some(&b"\0\x02a"[..])][..], &[Some(b"\0")], &[Some(b"")], &[Some(b"\0\0a"), None]] {
            assert!(order.check(&batch(wrong)).is_err(), "{wrong:?}");
            assert!(check_ranks(&batch(wrong), 1).is_ok(), "keys of one source have no rank");
        }
    }

    #[test]
    fn a_record_is_not_before_itself_whichever_way_it_came() {
        let order = RecordOrder { one: Ranks(vec![0]), other: Ranks(vec![0]) };
        assert!(!order.is_before(b"a", b"a"));
        assert!(!order.is_before(b"a", b"a\0\x01"));
        assert!(!order.is_before(b"a\0\x01", b"a"));
        assert!(order.is_before(b"a\0\x01", b"b"));
    }
}
