//! Advice on columns that no record has.
//!
//! JSON has no header, so a column whose path is misspelt is null in every record and no error. If none of the first
//! records of a partition has a value for a nullable column, the column is named.
//!
//! ```
//! use tidemill::source::AbsentAdvice;
//! use tidemill::value::{Column, Schema, Type};
//! let schema = Schema::new(vec![Column::new("at", Type::Timestamp, false), Column::new("amont", Type::Float, true)]);
//! let mut advice = AbsentAdvice::new("clicks", &schema);
//! (0..1000).for_each(|_| advice.observe(&[true, false]));
//! assert!(advice.take(false).unwrap().contains("amont"));
//! ```

use crate::value::{DELETED, Schema};

/// The records that are looked at, and the fewest that tell anything.
const SAMPLE: u32 = 1000;
const FEWEST: u32 = 100;

/// Looks at the first records of a partition.
#[derive(Debug)]
pub struct AbsentAdvice {
    source: String,
    /// Positions and paths of the nullable columns that no record has had.
    absent: Vec<AbsentColumn>,
    seen: u32,
}

#[derive(Debug)]
struct AbsentColumn {
    index: usize,
    path: String,
}

impl AbsentAdvice {
    /// Returns the advice on the columns of a source.
    pub fn new(source: &str, schema: &Schema) -> Self {
        let columns = schema.columns.iter().enumerate();
        let absent = columns
            .filter(|(_, column)| column.nullable && column.name != DELETED)
            .map(|(index, column)| AbsentColumn { index, path: column.flat_name() });
        AbsentAdvice { source: source.to_owned(), absent: absent.collect(), seen: 0 }
    }

    /// Observes which columns the next record has.
    #[inline]
    pub fn observe(&mut self, present: &[bool]) {
        if self.seen < SAMPLE && !self.absent.is_empty() {
            self.seen += 1;
            self.absent.retain(|column| !present[column.index]);
        }
    }

    /// Returns the advice, once: as soon as enough records have been seen, or all there are.
    pub fn take(&mut self, is_end: bool) -> Option<String> {
        let enough = if is_end { FEWEST } else { SAMPLE };
        if self.seen < enough {
            return None;
        }
        let absent: Vec<AbsentColumn> = std::mem::take(&mut self.absent);
        let paths: Vec<String> = absent.iter().map(|column| format!("{:?}", column.path)).collect();
        let (source, seen, paths) = (&self.source, self.seen, paths.join(", "));
        (!absent.is_empty())
            .then(|| format!("advice: {source}: none of the first {seen} records has a value at the path {paths}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, Type};

    #[test]
    fn only_a_nullable_column_that_no_record_has_is_named() {
        let columns = [("at", false), ("x", true), ("y", true), (DELETED, true)];
        let schema = Schema::new(columns.map(|(name, nullable)| Column::new(name, Type::Bool, nullable)).to_vec());
        let advice = |records: u32, y: u32| {
            let mut advice = AbsentAdvice::new("clicks", &schema);
            (0..records).for_each(|record| advice.observe(&[true, false, record == y, false]));
            assert!(records >= SAMPLE || advice.take(false).is_none(), "there may be more");
            let taken = advice.take(true);
            assert_eq!(advice.take(true), None, "it is given once");
            taken
        };
        let expected = "advice: clicks: none of the first 1000 records has a value at the path \"x\"";
        assert_eq!(advice(1000, 999).as_deref(), Some(expected));
        assert!(advice(100, 1000).is_some_and(|text| text.ends_with("\"x\", \"y\"")));
        assert_eq!(advice(99, 1000), None);
        assert_eq!(advice(0, 0), None);
    }
}
