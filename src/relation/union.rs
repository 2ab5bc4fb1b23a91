//! UNION ALL: the records of several streams as one.
//!
//! Ties in time are broken by [`Batch::sort_key`], which must order the records of all inputs alike, whichever worker
//! they come from. Within one source it is key and offset, or content. In a stream of several sources it begins with the
//! rank of the source among the names of the stream's sources; so adding a source elsewhere in the dataflow changes no
//! order. If a source reaches the union by more than one input, its record comes once from each; the number of the input
//! is then appended.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{Array, BinaryArray};

use super::{CanonicalText, DeclaredTexts, RelationOp, Relations, StreamId, TrainingGraph};
use crate::example::ProgramBuilder;
use crate::value::{Batch, Column, Schema, Type};

/// The records of several streams. Columns correspond by position and are of equal types.
#[derive(Debug)]
pub struct Union {
    inputs: Vec<StreamId>,
    /// The change of sort keys, for each input.
    keys: Vec<SortKeyChange>,
}

/// The first column in which an input of a union does not fit the first input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnMismatch {
    /// The numbers of columns differ.
    Count { expected: usize, found: usize },
    /// The types of the columns at a position differ.
    Type { position: usize, expected: Type, found: Type },
}

impl Union {
    /// The union of streams of `relations`, one or more.
    pub fn new(relations: &Relations, inputs: Vec<StreamId>) -> Self {
        let by_name = |mut sources: Vec<usize>| {
            sources.sort_by(|a, b| relations.source_name(*a).cmp(relations.source_name(*b)));
            sources
        };
        let of_each: Vec<Vec<usize>> = inputs.iter().map(|input| by_name(relations.sources(*input))).collect();
        let mut all = of_each.concat();
        let occurrences = all.len();
        all.sort_unstable();
        all.dedup();
        let overlaps = all.len() < occurrences;
        let all = by_name(all);
        let rank = |source: &usize| all.iter().position(|other| other == source).expect("a source of an input") as u16;
        let keys = of_each.iter().zip(0u16..).map(|(sources, input)| SortKeyChange {
            ranks: if all.len() == 1 { Vec::new() } else { sources.iter().map(rank).collect() },
            input: overlaps.then_some(input),
        });
        Union { keys: keys.collect(), inputs }
    }

    /// Returns the first column of `other` that does not correspond to that of `first`, the columns of the first input.
    pub fn mismatch(first: &Schema, other: &Schema) -> Option<ColumnMismatch> {
        if first.len() != other.len() {
            return Some(ColumnMismatch::Count { expected: first.len(), found: other.len() });
        }
        let mut pairs = first.columns.iter().zip(&other.columns).enumerate();
        let (position, (a, b)) = pairs.find(|(_, (a, b))| a.ty != b.ty)?;
        Some(ColumnMismatch::Type { position, expected: a.ty, found: b.ty })
    }
}

impl RelationOp for Union {
    fn inputs(&self) -> Vec<StreamId> {
        self.inputs.clone()
    }

    /// Names are those of the first input. A column may be null if it may be in any input; it keeps its resolution if
    /// all inputs have the same.
    fn schema(&self, inputs: &[&Schema]) -> Schema {
        let column = |position: usize| {
            let mut same = inputs.iter().map(|schema| &schema.columns[position]);
            let first = same.next().expect("a union has an input");
            let (mut nullable, mut resolution) = (first.nullable, first.resolution);
            for other in same {
                nullable |= other.nullable;
                resolution = resolution.filter(|_| resolution == other.resolution);
            }
            Column { resolution, ..Column::new(&first.name, first.ty, nullable) }
        };
        Schema::new((0..inputs[0].len()).map(column).collect())
    }

    fn canonical(&self, inputs: Vec<CanonicalText>, _declared: &DeclaredTexts) -> CanonicalText {
        let texts: Vec<String> = inputs.into_iter().map(CanonicalText::into_text).collect();
        CanonicalText::complete(format!("union({})", texts.join(" ")))
    }

    fn describe(&self, inputs: &[String]) -> String {
        let inputs: Vec<String> = inputs.iter().map(|input| format!("({input})")).collect();
        format!("union of {}", inputs.join(" and "))
    }

    fn render<G: TrainingGraph>(&self, name: &str, inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let keyed = inputs.into_iter().zip(&self.keys).zip(1..).map(|((input, change), number)| {
            if change.is_none() {
                return input;
            }
            let change = change.clone();
            graph.map(input, &format!("{name}.{number}.order"), move |batch, _| change.apply(batch))
        });
        let keyed = keyed.collect();
        graph.concatenate(keyed, name)
    }

    /// An instance goes through the input that its source reaches; its columns take the union's names.
    fn serve(&self, schema: &Schema, program: &mut ProgramBuilder) {
        program.rename(schema);
    }
}

/// The change of an input's sort keys into those of its union.
#[derive(Clone, Debug)]
struct SortKeyChange {
    /// Ranks in the union of the input's sources, in the order of their names. Empty if the union has one source.
    ranks: Vec<u16>,
    /// The input's number, to be appended.
    input: Option<u16>,
}

/// Bytes of a rank at the beginning of a sort key.
const RANK_BYTES: usize = 2;

impl SortKeyChange {
    fn is_none(&self) -> bool {
        self.ranks.is_empty() && self.input.is_none()
    }

    fn apply(&self, batch: Batch) -> Batch {
        let sort_key = self.change(&batch.sort_key);
        Batch { sort_key, ..batch }
    }

    fn change(&self, keys: &BinaryArray) -> BinaryArray {
        // Null where no operator needs the order.
        if keys.null_count() == keys.len() {
            return keys.clone();
        }
        let mut builder = BinaryBuilder::with_capacity(keys.len(), keys.values().len() + 4 * keys.len());
        let mut bytes = Vec::new();
        for key in keys {
            let mut key = key.unwrap_or_default();
            bytes.clear();
            match self.ranks.as_slice() {
                [] => {}
                [rank] => bytes.extend_from_slice(&rank.to_be_bytes()),
                ranks => {
                    let (rank, rest) =
                        key.split_first_chunk::<RANK_BYTES>().expect("keys of several sources have a rank");
                    bytes.extend_from_slice(&ranks[usize::from(u16::from_be_bytes(*rank))].to_be_bytes());
                    key = rest;
                }
            }
            bytes.extend_from_slice(key);
            bytes.extend(self.input.iter().flat_map(|input| input.to_be_bytes()));
            builder.append_value(&bytes);
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Project, Relation, SourceRecords};
    use super::*;
    use crate::expr::Expr;

    fn keys(keys: &[&[u8]]) -> BinaryArray {
        BinaryArray::from_iter_values(keys)
    }

    /// Sources `b`, `a` and `c`, declared in that order, of one column.
    fn three() -> (Relations, Vec<StreamId>) {
        let mut relations = Relations::default();
        let schema = Schema::new(vec![Column::new("at", Type::Timestamp, false)]);
        let add = |(source, name): (usize, &str)| {
            let schema = schema.clone();
            relations.add_source(SourceRecords { source, name: name.to_owned(), schema, time: Some(0) })
        };
        let streams = ["b", "a", "c"].into_iter().enumerate().map(add).collect();
        (relations, streams)
    }

    #[test]
    fn a_sort_key_begins_with_the_sources_rank_by_name_in_a_union_of_unions_too() {
        let (mut relations, streams) = three();
        let [b, a, c] = streams[..] else { unreachable!() };
        let inner = Union::new(&relations, vec![b, c]);
        let change =
            |union: &Union, input: usize, key: &[u8]| union.keys[input].change(&keys(&[key])).value(0).to_vec();
        assert_eq!([change(&inner, 0, b"x"), change(&inner, 1, b"x")], [b"\0\0x", b"\0\x01x"]);
        let inner = relations.add("inner", Relation::Union(inner));
        let outer = Union::new(&relations, vec![inner, a]);
        assert_eq!([change(&outer, 0, b"\0\0x"), change(&outer, 0, b"\0\x01x")], [b"\0\x01x", b"\0\x02x"]);
        assert_eq!(change(&outer, 1, b"x"), b"\0\0x");
    }

    #[test]
    fn a_source_that_comes_by_two_inputs_is_ordered_by_the_number_of_the_input_at_last() {
        let (mut relations, streams) = three();
        let column = Column::new("at", Type::Timestamp, false);
        let copy = Project::new(streams[0], vec![(column.clone(), Expr::column(0, &column))]);
        let copy = relations.add("copy", Relation::Project(copy));
        let union = Union::new(&relations, vec![streams[0], copy]);
        let changed: Vec<_> = union.keys.iter().map(|change| change.change(&keys(&[b"x"])).value(0).to_vec()).collect();
        assert_eq!(changed, [b"x\0\0", b"x\0\x01"]);
    }

    #[test]
    fn the_key_of_one_source_stays_as_it_is() {
        let (relations, streams) = three();
        assert!(Union::new(&relations, vec![streams[1]]).keys[0].is_none());
    }
}
