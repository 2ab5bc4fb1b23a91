//! The scores of a model over time, kept as long as the registry, whatever versions are deleted.
//!
//! The scores of each window are a point, numbered by the version that was made at the window's end. A hundred points share
//! an object, so that years of windows are read with few requests, and writing one stays cheap. Writing a point again
//! changes nothing. Points of another definition than that of the first object are left over from an earlier lineage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RegistryError;
use super::manifest::rfc3339;
use super::objects::{read_json, scores_folder, scores_path};
use crate::blob::Blobs;
use crate::error::chain;
use crate::hash::seal;
use crate::model::{ArmWindow, SegmentSummaries, SegmentSummary, Stability, Version};
use crate::time::EventTime;

/// Points in one object.
const POINTS: u64 = 100;

/// The metrics of the predictions of one window, each made before its label was known, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorePoint {
    /// The version that was made at the window's end. It is not among those that are scored.
    pub version: u64,
    #[serde(with = "rfc3339")]
    pub window_end: EventTime,
    /// Predictions that were scored; 0 in the first window.
    pub examples: u64,
    /// Metrics of the champion's predictions.
    pub champion: BTreeMap<String, f64>,
    /// Metrics of the previous champion's predictions.
    pub predecessor: BTreeMap<String, f64>,
    /// Metrics of the newest version's predictions, published or refused.
    pub newest: BTreeMap<String, f64>,
    /// Metrics of predicting the mean label or the class frequencies.
    pub no_skill: BTreeMap<String, f64>,
    /// Metrics of predicting the last known label of the same key, if keys are named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub persistence: BTreeMap<String, f64>,
    /// Metrics by column and value, if columns are named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: SegmentPoints,
    /// Stability indices of the inputs and the predictions.
    #[serde(default, skip_serializing_if = "DriftPoint::is_empty")]
    pub drift: DriftPoint,
    /// Metrics of the arms of a split, except those that are other models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmPoint>,
}

/// The population stability indices of one window, against the training window of the champion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftPoint {
    /// Indices of the inputs, by name.
    pub inputs: BTreeMap<String, f64>,
    /// Index of the predictions; `None` if either window has too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<f64>,
}

impl DriftPoint {
    /// Returns the indices of a window's stability that are finite.
    fn of(stability: &Stability) -> Self {
        let finite = |(input, index): (&String, &f64)| index.is_finite().then(|| (input.clone(), *index));
        DriftPoint {
            inputs: stability.inputs.iter().filter_map(finite).collect(),
            predictions: stability.predictions.filter(|index| index.is_finite()),
        }
    }

    /// Returns whether there is nothing to compare with yet.
    fn is_empty(&self) -> bool {
        *self == DriftPoint::default()
    }
}

/// The metrics of one segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentPoint {
    pub examples: u64,
    pub champion: BTreeMap<String, f64>,
    pub no_skill: BTreeMap<String, f64>,
}

/// The metrics of segments, by column and value.
pub type SegmentPoints = BTreeMap<String, BTreeMap<String, SegmentPoint>>;

impl SegmentPoint {
    /// Returns the metrics of segments. Those that are not finite have no form in JSON and are left out.
    pub fn all(segments: &SegmentSummaries) -> SegmentPoints {
        let point = |summary: &SegmentSummary| SegmentPoint {
            examples: summary.examples,
            champion: named(&summary.champion),
            no_skill: named(&summary.no_skill),
        };
        let of_column = |values: &BTreeMap<String, SegmentSummary>| {
            values.iter().map(|(value, summary)| (value.clone(), point(summary))).collect()
        };
        segments.iter().map(|(column, values)| (column.clone(), of_column(values))).collect()
    }
}

/// Returns the metrics that are finite, by name.
fn named(metrics: &[(&'static str, f64)]) -> BTreeMap<String, f64> {
    let finite = metrics.iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// The metrics of an arm's predictions of one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmPoint {
    pub name: String,
    /// `None` for the champion.
    pub version: Option<u64>,
    pub scores: BTreeMap<String, f64>,
}

/// An object of points.
#[derive(Debug, Serialize, Deserialize)]
struct ScoreChunk {
    definition: String,
    /// Points, ascending by version.
    points: Vec<ScorePoint>,
}

/// One metric of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMetric {
    pub examples: u64,
    pub champion: Option<f64>,
    pub no_skill: Option<f64>,
}

/// One metric of segments, by column and value.
pub type SegmentMetrics = BTreeMap<String, BTreeMap<String, SegmentMetric>>;

impl ScorePoint {
    /// Returns one metric of its segments.
    pub fn segments_of(&self, metric: &str) -> SegmentMetrics {
        let of = |point: &SegmentPoint| SegmentMetric {
            examples: point.examples,
            champion: point.champion.get(metric).copied(),
            no_skill: point.no_skill.get(metric).copied(),
        };
        let of_column = |values: &BTreeMap<String, SegmentPoint>| {
            values.iter().map(|(value, point)| (value.clone(), of(point))).collect()
        };
        self.segments.iter().map(|(column, values)| (column.clone(), of_column(values))).collect()
    }

    /// Returns the scores of a version's window. Metrics that are not finite have no form in JSON and are left out.
    pub fn of(version: &Version) -> Self {
        let scores = &version.prequential;
        let arm =
            |arm: &ArmWindow| ArmPoint { name: arm.name.clone(), version: arm.version, scores: named(&arm.scores) };
        ScorePoint {
            version: version.number,
            window_end: version.window_end,
            examples: scores.examples,
            champion: named(&scores.champion),
            predecessor: named(&scores.predecessor),
            newest: named(&scores.newest),
            no_skill: named(&scores.no_skill),
            persistence: named(&scores.persistence),
            segments: SegmentPoint::all(&scores.segments),
            drift: DriftPoint::of(&version.stability),
            arms: version.arms.iter().map(arm).collect(),
        }
    }
}

/// Writes a point of a model, unless it is there. `definition` is the hash of what its version was made from.
///
/// # Errors
/// If the store fails.
pub(super) fn write(blobs: &Blobs, model: &str, definition: &str, point: ScorePoint) -> Result<(), RegistryError> {
    let path = scores_path(model, first_of(point.version));
    let stored = match read_json::<ScoreChunk>(blobs, &path) {
        Err(error) if error.is_damage() => {
            tracing::warn!(model, "earlier scores are lost: {}", chain(&error));
            None
        }
        stored => stored?,
    };
    let stored = stored.filter(|chunk| chunk.definition == definition);
    let mut chunk = stored.unwrap_or_else(|| ScoreChunk { definition: definition.to_owned(), points: Vec::new() });
    match chunk.points.binary_search_by_key(&point.version, |known| known.version) {
        Ok(at) if chunk.points[at] == point => return Ok(()),
        Ok(at) => chunk.points[at] = point,
        Err(at) => chunk.points.insert(at, point),
    }
    Ok(blobs.put(&path, seal(&chunk))?)
}

/// Returns the points of a model, ascending by window. Empty for an unknown model; an object that is damaged is skipped
/// with a warning.
///
/// # Errors
/// If the store fails.
pub(super) fn read(blobs: &Blobs, model: &str) -> Result<Vec<ScorePoint>, RegistryError> {
    let (mut points, mut definition): (Vec<ScorePoint>, Option<String>) = (Vec::new(), None);
    for first in firsts(blobs, model)? {
        let Some(chunk) = read_chunk(blobs, model, first)? else { continue };
        if definition.get_or_insert_with(|| chunk.definition.clone()) != &chunk.definition {
            break;
        }
        points.extend(chunk.points);
    }
    Ok(points)
}

/// Returns the newest points of a model, `most` at most, as [`read`] does. Of the objects before theirs only the first is
/// read, which says what definition points are of.
///
/// # Errors
/// If the store fails.
pub(super) fn read_newest(blobs: &Blobs, model: &str, most: usize) -> Result<Vec<ScorePoint>, RegistryError> {
    let firsts = firsts(blobs, model)?;
    let mut definition = None;
    for first in &firsts {
        if let Some(chunk) = read_chunk(blobs, model, *first)? {
            definition = Some(chunk.definition);
            break;
        }
    }
    let mut newest_first: Vec<ScorePoint> = Vec::new();
    for first in firsts.iter().rev() {
        if newest_first.len() >= most {
            break;
        }
        let chunk = read_chunk(blobs, model, *first)?.filter(|chunk| Some(&chunk.definition) == definition.as_ref());
        newest_first.extend(chunk.into_iter().flat_map(|chunk| chunk.points.into_iter().rev()));
    }
    newest_first.truncate(most);
    newest_first.reverse();
    Ok(newest_first)
}

/// Returns the numbers of a model's objects, ascending.
fn firsts(blobs: &Blobs, model: &str) -> Result<Vec<u64>, RegistryError> {
    let names = blobs.list(&scores_folder(model))?.objects;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Reads an object; `None` if it is missing or, with a warning, damaged.
fn read_chunk(blobs: &Blobs, model: &str, first: u64) -> Result<Option<ScoreChunk>, RegistryError> {
    match read_json::<ScoreChunk>(blobs, &scores_path(model, first)) {
        Err(error) if error.is_damage() => {
            tracing::warn!(model, "scores are left out: {}", chain(&error));
            Ok(None)
        }
        chunk => chunk,
    }
}

/// Returns the version of the first point in the object that has the point of a version.
fn first_of(version: u64) -> u64 {
    (version.max(1) - 1) / POINTS * POINTS + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Durability;

    #[test]
    fn the_newest_points_are_the_last_of_all_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&folder.path().display().to_string(), Durability::Process).unwrap();
        let none = BTreeMap::new;
        let point = |version: u64| ScorePoint {
            version,
            window_end: version as i64,
            examples: 1,
            champion: none(),
            predecessor: none(),
            newest: none(),
            no_skill: none(),
            persistence: none(),
            segments: SegmentPoints::new(),
            drift: DriftPoint::default(),
            arms: Vec::new(),
        };
        // Those of an earlier lineage are left over behind.
        for version in (1..=250).chain([301, 302]) {
            let definition = if version > 300 { "earlier" } else { "abc" };
            write(&blobs, "m", definition, point(version)).unwrap();
        }
        let all = read(&blobs, "m").unwrap();
        assert_eq!(all.len(), 250);
        for most in [0, 1, 50, 51, 120, 250, 1_000] {
            assert_eq!(read_newest(&blobs, "m", most).unwrap(), all[all.len().saturating_sub(most)..], "{most}");
        }
        assert_eq!(read_newest(&blobs, "other", 5).unwrap(), []);
    }

    #[test]
    fn drift_is_kept_and_points_of_earlier_programs_have_none() {
        let stability = Stability {
            inputs: [("x".to_owned(), 0.25), ("y".to_owned(), f64::INFINITY)].into(),
            predictions: Some(0.5),
        };
        let drift = DriftPoint::of(&stability);
        assert_eq!(drift, DriftPoint { inputs: [("x".to_owned(), 0.25)].into(), predictions: Some(0.5) });
        let json = r#"{"version":1,"window_end":"2024-01-01T00:00:00.000Z","examples":0,"champion":{},"predecessor":{},"newest":{},"no_skill":{}}"#;
        let earlier: ScorePoint = serde_json::from_str(json).unwrap();
        assert!(earlier.drift.is_empty() && serde_json::to_string(&earlier).unwrap() == json);
        let kept = ScorePoint { drift, ..earlier };
        assert_eq!(serde_json::from_str::<ScorePoint>(&serde_json::to_string(&kept).unwrap()).unwrap(), kept);
    }

    #[test]
    fn a_hundred_versions_share_an_object() {
        assert_eq!([1, 2, 100, 101, 200, 201].map(first_of), [1, 1, 1, 101, 101, 201]);
    }
}
