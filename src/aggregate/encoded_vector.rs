//! Vectors as bytes, for a process that answers from them without the state that they are of.
//!
//! A vector has more than values: what is finished with the asking time, accumulators that take the record that looks
//! up, and panes. All of it is encoded, so that the decoded vector gives the same answers, to the bit. What an
//! accumulator is of, and how it is finished, is not encoded: it is that of the vector of an entity without records,
//! which the reader makes from the same layout.
//!
//! ```
//! use tidemill::aggregate::{Deferred, Feature, VectorDecoder, encode_vector};
//! use tidemill::value::{Scalar, Type};
//!
//! let vector = [Feature::Value(Scalar::Int(7)), Feature::AsOf(Deferred::SecondsSince(1_000))];
//! let decoder = VectorDecoder::of_columns(&[Type::Int, Type::Float]);
//! assert_eq!(decoder.decode(&encode_vector(&vector)).unwrap(), vector);
//! assert!(decoder.decode(&encode_vector(&vector[..1])).is_err());
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::feature::{CountSince, Decaying, Deferred, Feature, FeatureType};
use super::layout::GroupLayout;
use super::state::GroupState;
use crate::time::EventTime;
use crate::value::{Scalar, Type};

/// A feature in its encoded form.
#[derive(Serialize, Deserialize)]
enum EncodedFeature {
    Scalar(EncodedScalar),
    List(Arc<[Scalar]>),
    Map(Arc<[(Arc<str>, Scalar)]>),
    MapAsOf(Vec<(Arc<str>, EncodedScalar)>),
    Open(Vec<u8>),
    Panes(Vec<u8>),
}

/// A scalar, which may depend on the asking time, in its encoded form.
#[derive(Serialize, Deserialize)]
enum EncodedScalar {
    Value(Scalar),
    SecondsSince(EventTime),
    PerSecond(CountSince),
    Decaying(Decaying),
}

impl EncodedFeature {
    fn of(feature: &Feature) -> Self {
        match feature {
            Feature::List(items) => EncodedFeature::List(items.clone()),
            Feature::Map(entries) => EncodedFeature::Map(entries.clone()),
            Feature::MapAsOf(entries) => {
                let entry = |(key, value): &(Arc<str>, Feature)| (key.clone(), EncodedScalar::of(value));
                EncodedFeature::MapAsOf(entries.iter().map(entry).collect())
            }
            Feature::Open(open) => EncodedFeature::Open(open.encode()),
            Feature::Panes(panes) => EncodedFeature::Panes(panes.encode()),
            scalar => EncodedFeature::Scalar(EncodedScalar::of(scalar)),
        }
    }

    /// Returns the feature that this is in place of the one that an entity without records has.
    fn decoded(self, empty: &Feature) -> Result<Feature, postcard::Error> {
        Ok(match (self, empty) {
            (EncodedFeature::Open(bytes), Feature::Open(empty)) => Feature::Open(empty.decode(&bytes)?),
            (EncodedFeature::Panes(bytes), Feature::Panes(empty)) => Feature::Panes(empty.decode(&bytes)?),
            (EncodedFeature::Open(_) | EncodedFeature::Panes(_), _) | (_, Feature::Open(_) | Feature::Panes(_)) => {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            (EncodedFeature::Scalar(scalar), _) => scalar.decoded(),
            (EncodedFeature::List(items), _) => Feature::List(items),
            (EncodedFeature::Map(entries), _) => Feature::Map(entries),
            (EncodedFeature::MapAsOf(entries), _) => {
                Feature::MapAsOf(entries.into_iter().map(|(key, value)| (key, value.decoded())).collect())
            }
        })
    }
}

impl EncodedScalar {
    fn of(feature: &Feature) -> Self {
        match feature {
            Feature::AsOf(Deferred::SecondsSince(time)) => EncodedScalar::SecondsSince(*time),
            Feature::AsOf(Deferred::PerSecond(count)) => EncodedScalar::PerSecond(**count),
            Feature::AsOf(Deferred::Decaying(decaying)) => EncodedScalar::Decaying(**decaying),
            other => EncodedScalar::Value(other.scalar(EventTime::MIN)),
        }
    }

    fn decoded(self) -> Feature {
        match self {
            EncodedScalar::Value(value) => Feature::Value(value),
            EncodedScalar::SecondsSince(time) => Feature::AsOf(Deferred::SecondsSince(time)),
            EncodedScalar::PerSecond(count) => Feature::AsOf(Deferred::PerSecond(Arc::new(count))),
            EncodedScalar::Decaying(decaying) => Feature::AsOf(Deferred::Decaying(Arc::new(decaying))),
        }
    }
}

/// Returns a vector as bytes, with the panes behind its features.
pub fn encode_vector(vector: &[Feature]) -> Vec<u8> {
    let encoded: Vec<EncodedFeature> = vector.iter().map(EncodedFeature::of).collect();
    postcard::to_stdvec(&encoded).expect("features have a binary form")
}

/// Decodes the vectors of one group, or the rows of one table.
#[derive(Debug)]
pub struct VectorDecoder {
    /// The vector of an entity without records, with the panes behind its features.
    empty: Vec<Feature>,
    /// The types of the features.
    types: Vec<FeatureType>,
}

impl VectorDecoder {
    /// A decoder of the vectors of a group, whose features are of these types.
    pub fn of_group(layout: &GroupLayout, types: Vec<FeatureType>) -> Self {
        let state = GroupState::new(layout);
        let mut empty = vec![Feature::NULL; state.published_width()];
        state.published_into(None, None, &mut empty);
        VectorDecoder { empty, types }
    }

    /// A decoder of rows with columns of these types.
    pub fn of_columns(types: &[Type]) -> Self {
        let types: Vec<FeatureType> = types.iter().map(|ty| FeatureType::Scalar(*ty)).collect();
        VectorDecoder { empty: vec![Feature::NULL; types.len()], types }
    }

    /// Decodes a vector that [`encode_vector`] encoded.
    ///
    /// # Errors
    /// If the bytes are none of a vector of the group, or of a row of the table.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<Feature>, postcard::Error> {
        let encoded: Vec<EncodedFeature> = postcard::from_bytes(bytes)?;
        if encoded.len() != self.empty.len() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        let decoded = encoded.into_iter().zip(&self.empty).map(|(feature, empty)| feature.decoded(empty));
        let vector = decoded.collect::<Result<Vec<Feature>, _>>()?;
        // Open answers have been checked by their aggregate, and panes by their window.
        let fits = |(feature, ty): (&Feature, &FeatureType)| {
            matches!(feature, Feature::Open(_) | Feature::Panes(_)) || ty.admits(feature)
        };
        if vector.iter().zip(&self.types).all(fits) { Ok(vector) } else { Err(postcard::Error::DeserializeBadEncoding) }
    }
}
