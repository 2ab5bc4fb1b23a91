//! Tests of a dataflow file: records, and the features that they must make.
//!
//! A float that is written as one (`12.5`, `1e3`) is expected within a relative [`TOLERANCE`]; every other value is
//! expected exactly. TOML has no null, so features that must be null are listed apart.
//!
//! ```
//! use tidemill::aggregate::Feature;
//! use tidemill::spec::ExpectedValue;
//! use tidemill::value::Scalar;
//!
//! let third = Feature::Value(Scalar::Float(1.0 / 3.0));
//! assert!(ExpectedValue::Near(0.3333333333).admits(&third, 0));
//! assert!(!ExpectedValue::Near(0.33).admits(&third, 0));
//! ```

use crate::aggregate::Feature;
use crate::time::EventTime;
use crate::value::Scalar;

/// The largest difference between an expected float and the one found, relative to the larger of both.
pub const TOLERANCE: f64 = 1e-9;

/// A `[[test]]` block.
#[derive(Clone, Debug)]
pub struct TestCase {
    pub name: String,
    /// The line of the file where it begins.
    pub line: usize,
    /// By position of the topic (sources, then tables), the records in order of arrival.
    pub records: Vec<Vec<TestRecord>>,
    /// The time as of which features are asked for.
    pub asof: EventTime,
    pub expectations: Vec<Expectation>,
}

/// A record of a test.
#[derive(Clone, Debug)]
pub struct TestRecord {
    /// The message, in JSON.
    pub json: String,
    /// Its line in the file.
    pub line: usize,
}

/// The features that are expected of one entity.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The group and the entity, as they are written.
    pub path: String,
    /// The position of the group.
    pub group: usize,
    pub entity: Vec<Scalar>,
    pub features: Vec<ExpectedFeature>,
}

/// A feature, by position among all of the group, and its expected value.
#[derive(Clone, Debug)]
pub struct ExpectedFeature {
    pub feature: usize,
    pub value: ExpectedValue,
}

/// An expected value.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedValue {
    Null,
    /// This value.
    Exact(Scalar),
    /// This float, within `TOLERANCE`.
    Near(f64),
    List(Vec<ExpectedValue>),
    /// By key, ascending.
    Map(Vec<(String, ExpectedValue)>),
}

impl ExpectedValue {
    /// Returns whether a feature has this value as of an asking time.
    pub fn admits(&self, found: &Feature, asking: EventTime) -> bool {
        match (self, found) {
            (ExpectedValue::List(expected), Feature::List(items)) => {
                expected.len() == items.len()
                    && expected.iter().zip(items.iter()).all(|(expected, item)| expected.admits_scalar(item))
            }
            (ExpectedValue::Map(expected), Feature::Map(entries)) => {
                let is_entry = |((key, expected), (known, value)): (&(String, ExpectedValue), &(_, Scalar))| {
                    let known: &std::sync::Arc<str> = known;
                    key == known.as_ref() && expected.admits_scalar(value)
                };
                expected.len() == entries.len() && expected.iter().zip(entries.iter()).all(is_entry)
            }
            (_, Feature::List(_) | Feature::Map(_)) => false,
            (expected, scalar) => expected.admits_scalar(&scalar.scalar(asking)),
        }
    }

    fn admits_scalar(&self, found: &Scalar) -> bool {
        match (self, found) {
            (ExpectedValue::Null, found) => found.is_null(),
            (ExpectedValue::Exact(expected), found) => expected == found,
            (ExpectedValue::Near(expected), Scalar::Float(found)) => {
                (expected - found).abs() <= TOLERANCE * expected.abs().max(found.abs())
            }
            (ExpectedValue::Near(_) | ExpectedValue::List(_) | ExpectedValue::Map(_), _) => false,
        }
    }

    /// Returns the value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            ExpectedValue::Null => serde_json::Value::Null,
            ExpectedValue::Exact(value) => value.to_json(),
            ExpectedValue::Near(value) => (*value).into(),
            ExpectedValue::List(items) => items.iter().map(ExpectedValue::to_json).collect(),
            ExpectedValue::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_compared_within_the_tolerance_only_where_they_are_written_as_floats() {
        let found = |x: f64| Feature::Value(Scalar::Float(x));
        let near = ExpectedValue::Near(2.0);
        assert!(near.admits(&found(2.0 + 1e-9), 0) && near.admits(&found(2.0 - 1e-9), 0));
        assert!(!near.admits(&found(2.0 + 1e-8), 0) && !near.admits(&Feature::NULL, 0));
        let exact = ExpectedValue::Exact(Scalar::Float(2.0));
        assert!(exact.admits(&found(2.0), 0) && !exact.admits(&found(2.0 + 1e-12), 0));
        assert!(ExpectedValue::Near(0.0).admits(&found(0.0), 0) && !ExpectedValue::Near(0.0).admits(&found(1e-300), 0));
    }

    #[test]
    fn lists_and_maps_are_compared_whole_and_null_is_only_null() {
        let list = Feature::List([Scalar::Int(1), Scalar::Int(2)].into());
        let expected = |items: &[i64]| {
            ExpectedValue::List(items.iter().map(|item| ExpectedValue::Exact(Scalar::Int(*item))).collect())
        };
        assert!(expected(&[1, 2]).admits(&list, 0));
        assert!(!expected(&[1]).admits(&list, 0) && !expected(&[2, 1]).admits(&list, 0));
        let map = Feature::Map([("a".into(), Scalar::Int(1))].into());
        let of = |key: &str| ExpectedValue::Map(vec![(key.to_owned(), ExpectedValue::Exact(Scalar::Int(1)))]);
        assert!(of("a").admits(&map, 0) && !of("b").admits(&map, 0) && !of("a").admits(&list, 0));
        assert!(ExpectedValue::Null.admits(&Feature::NULL, 0));
        assert!(!ExpectedValue::Null.admits(&list, 0) && !ExpectedValue::Null.admits(&map, 0));
    }
}
