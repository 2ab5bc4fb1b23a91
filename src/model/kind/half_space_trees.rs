//! Half-space trees: how unusual an example is, without labels.
//!
//! Tan, Ting and Liu 2011, "Fast anomaly detection for streaming data". Each tree halves a random work range again and again,
//! each time in a dimension drawn at random, before any example is seen. What is learnt is the number of examples in each
//! part, its mass: of the newest whole window of `window` examples (the reference), and of those after it (the latest). An
//! example is followed down each tree to the last part, or to the first with less than a tenth of all mass:
//! ```text
//! density = mean over trees of (mass of the part / mass of the whole)·2^level,   score = 1/(1 + density)
//! ```
//! This orders examples as the sum of mass·2^level in the paper does. The score is ½ where examples are as dense as if they
//! were spread evenly over the work range, and 1 where there were none.
//!
//! Numbers are scaled so that three standard deviations either way become 0 and 1, where they end; a null is at the mean. A
//! category is at a place that its hash draws. Bins only take part in crosses. Labels, if there are any, only score.
//!
//! Shards average all masses.

use std::ops::Range;
use std::sync::Arc;

use super::{Combining, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Task, TrainedBy};
use crate::model::preparation::{Prepared, SlotLayout, mix};
use crate::model::tensor::{self, Tensor};
use crate::model::{AttributionRule, Bounds, ModelError, Parameter, Parameters, Predictions, SparseRow, Tensors};

pub(super) static KIND: ModelKind = ModelKind {
    name: "half_space_trees",
    summary: "predicts how unusual an example is, from 0 to 1, without labels; a label, if there is one, only scores it",
    task: Task::Anomaly,
    label: LabelUse::Optional,
    labels: LabelDomain::Truth,
    parameters: &[
        Parameter { name: "trees", default: 25.0, bounds: Bounds::Whole(1, 100), summary: "number of trees" },
        Parameter {
            name: "depth",
            default: 8.0,
            bounds: Bounds::Whole(1, 12),
            summary: "how often a tree halves its work range",
        },
        Parameter {
            name: "window",
            default: 250.0,
            bounds: Bounds::Whole(2, 1_000_000),
            summary: "examples that the masses are of",
        },
    ],
    reads: InputForm::Rows,
    trained_by: TrainedBy::Itself,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: false,
    standardises_label: false,
    attribution: AttributionRule::None,
    build: |layout, parameters, _| Box::new(HalfSpaceTrees::new(layout, parameters)),
    load,
};

/// Standard deviations that become the distance from the middle to an end.
const DEVIATIONS: f64 = 3.0;

/// The share of all mass below which a part is not divided further.
const LEAST_MASS: f64 = 0.1;

const REFERENCE: &str = "reference";
const LATEST: &str = "latest";
const SEEN: &str = "seen";
const MASS: &str = "mass";

/// The division of a part: examples below the threshold in a dimension go to its first half.
#[derive(Clone, Copy, Debug, Default)]
struct HalfSpace {
    dimension: u32,
    threshold: f64,
}

/// The divisions of all trees, and the dimensions of a row.
#[derive(Debug)]
struct SpaceDivision {
    trees: usize,
    depth: u32,
    /// The entries of a row that are numbers, and those that are categories or crosses.
    numbers: Range<usize>,
    categories: Range<usize>,
    /// (trees, 2^depth): by number of the part, the root being 1 and the halves of n being 2n and 2n + 1.
    halves: Vec<HalfSpace>,
}

impl SpaceDivision {
    fn new(layout: &SlotLayout, parameters: &Parameters) -> Self {
        let (trees, depth) = (parameters.get("trees") as usize, parameters.get("depth") as u32);
        let mut division = SpaceDivision {
            trees,
            depth,
            numbers: 1..1 + layout.number_count(),
            categories: layout.categories().start..layout.width(),
            halves: vec![HalfSpace::default(); trees << depth],
        };
        let dimensions = division.numbers.len() + division.categories.len();
        for tree in 0..trees {
            let seed = mix(layout.options().seed, tree as u64);
            // A work range covers [0, 1] from wherever its middle is.
            let range = |dimension: usize| {
                let middle = share(mix(mix(seed, WORK_RANGE), dimension as u64));
                let reach = 2.0 * middle.max(1.0 - middle);
                [middle - reach, middle + reach]
            };
            let mut ranges: Vec<[f64; 2]> = (0..dimensions).map(range).collect();
            division.divide(tree, seed, 1, &mut ranges);
        }
        division
    }

    /// Divides a part, and its halves in turn. `ranges` are those of the part.
    fn divide(&mut self, tree: usize, seed: u64, part: usize, ranges: &mut [[f64; 2]]) {
        if part >> self.depth > 0 {
            return;
        }
        let dimension = (share(mix(seed, part as u64)) * ranges.len() as f64) as usize;
        let range = ranges[dimension];
        let threshold = (range[0] + range[1]) / 2.0;
        self.halves[(tree << self.depth) + part] = HalfSpace { dimension: dimension as u32, threshold };
        for (half, own) in [[range[0], threshold], [threshold, range[1]]].into_iter().enumerate() {
            ranges[dimension] = own;
            self.divide(tree, seed, 2 * part + half, ranges);
        }
        ranges[dimension] = range;
    }

    /// The number of masses of a tree; the first is not used.
    fn parts(&self) -> usize {
        2 << self.depth
    }

    /// Replaces `place` by the coordinates of a row, each from 0 to 1.
    fn locate(&self, row: SparseRow<'_>, place: &mut Vec<f64>) {
        place.clear();
        for entry in self.numbers.clone() {
            // Of a null, the entry is its indicator, which has an even slot.
            let deviations = if row.index[entry] % 2 == 1 { row.value[entry] } else { 0.0 };
            place.push(((deviations / DEVIATIONS + 1.0) / 2.0).clamp(0.0, 1.0));
        }
        place.extend(self.categories.clone().map(|entry| share(mix(entry as u64, u64::from(row.index[entry])))));
    }

    /// Returns the half of a part that a place is in.
    fn next(&self, tree: usize, part: usize, place: &[f64]) -> usize {
        let half = self.halves[(tree << self.depth) + part];
        2 * part + usize::from(place[half.dimension as usize] >= half.threshold)
    }
}

/// Distinguishes the numbers that are drawn for work ranges.
const WORK_RANGE: u64 = 1 << 32;

/// Returns a hash as a number from 0 up to 1.
fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Half-space trees, as they learn.
#[derive(Clone)]
struct HalfSpaceTrees {
    division: Arc<SpaceDivision>,
    window: f64,
    /// Masses by tree and part: of the newest whole window, and of the examples since.
    reference: Vec<f64>,
    latest: Vec<f64>,
    /// Examples since; a float, so that shards can be averaged.
    seen: f64,
    place: Vec<f64>,
}

impl HalfSpaceTrees {
    fn new(layout: &SlotLayout, parameters: &Parameters) -> Self {
        let division = SpaceDivision::new(layout, parameters);
        let none = vec![0.0; division.trees * division.parts()];
        let (division, window) = (Arc::new(division), parameters.get("window"));
        HalfSpaceTrees { division, window, reference: none.clone(), latest: none, seen: 0.0, place: Vec::new() }
    }

    fn learn_row(&mut self, row: SparseRow<'_>) {
        let HalfSpaceTrees { division, latest, place, .. } = self;
        division.locate(row, place);
        for (tree, masses) in latest.chunks_exact_mut(division.parts()).enumerate() {
            let mut part = 1;
            masses[part] += 1.0;
            for _ in 0..division.depth {
                part = division.next(tree, part, place);
                masses[part] += 1.0;
            }
        }
        self.seen += 1.0;
        if self.seen >= self.window {
            std::mem::swap(&mut self.reference, &mut self.latest);
            self.latest.fill(0.0);
            self.seen = 0.0;
        }
    }
}

impl Learner for HalfSpaceTrees {
    fn learn(&mut self, batch: &Prepared<'_>) {
        batch.rows().iter().for_each(|row| self.learn_row(row));
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        // Before the first whole window there are only the examples so far.
        let whole = self.reference[1] > 0.0;
        let masses = if whole { self.reference.clone() } else { self.latest.clone() };
        Box::new(FrozenTrees { division: Arc::clone(&self.division), masses })
    }

    fn save(&self) -> Tensors {
        let (reference, latest) = (self.reference.clone(), self.latest.clone());
        Tensors::from([
            (REFERENCE.to_owned(), Tensor::vector(reference)),
            (LATEST.to_owned(), Tensor::vector(latest)),
            (SEEN.to_owned(), Tensor::vector(vec![self.seen])),
        ])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let masses = Some(self.reference.len());
        self.reference = tensor::floats(tensors, REFERENCE, masses)?.to_vec();
        self.latest = tensor::floats(tensors, LATEST, masses)?.to_vec();
        self.seen = tensor::floats(tensors, SEEN, Some(1))?[0];
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }
}

/// Half-space trees that do not change any more.
struct FrozenTrees {
    division: Arc<SpaceDivision>,
    /// By tree and part.
    masses: Vec<f64>,
}

impl FrozenTrees {
    /// Returns the mean density of the parts that a place is in.
    fn density(&self, place: &[f64]) -> f64 {
        let division = &*self.division;
        let densities = self.masses.chunks_exact(division.parts()).enumerate().map(|(tree, masses)| {
            let (mut part, mut parts) = (1, 1.0);
            while part >> division.depth == 0 && masses[part] >= LEAST_MASS * masses[1] {
                part = division.next(tree, part, place);
                parts *= 2.0;
            }
            if masses[1] > 0.0 { masses[part] / masses[1] * parts } else { 1.0 }
        });
        densities.fold(0.0, |sum, density| sum + density) / division.trees as f64
    }
}

impl Scorer for FrozenTrees {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let mut place = Vec::new();
        for row in batch.rows().iter() {
            self.division.locate(row, &mut place);
            predictions.values_mut().push(1.0 / (1.0 + self.density(&place)));
        }
    }

    fn save(&self, tensors: &mut Tensors) {
        tensors.insert(MASS.to_owned(), Tensor::vector(self.masses.clone()));
    }
}

fn load(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let division = SpaceDivision::new(layout, &ModelKind::parameters_of(layout.options())?);
    let masses = tensor::floats(tensors, MASS, Some(division.trees * division.parts()))?.to_vec();
    if masses.iter().any(|mass| !(mass.is_finite() && *mass >= 0.0)) {
        return Err(tensor::misfit(MASS, "a mass is negative or not finite"));
    }
    Ok(Box::new(FrozenTrees { division: Arc::new(division), masses }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InputColumn, ModelOptions};
    use crate::value::Type;

    fn trees() -> HalfSpaceTrees {
        let options = ModelOptions { kind: "half_space_trees".into(), optimizer: None, ..ModelOptions::default() };
        let inputs = ["x", "y", "town"].into_iter().zip([Type::Float, Type::Float, Type::String]);
        let inputs: Vec<InputColumn> = inputs.map(|(name, ty)| InputColumn::new(name, ty)).collect();
        let layout = SlotLayout::new(&inputs, &options).unwrap();
        HalfSpaceTrees::new(&layout, &ModelKind::parameters_of(&options).unwrap())
    }

    fn row(x: &[f64; 2]) -> ([u32; 4], [f64; 4]) {
        ([0, 1, 3, 77], [1.0, x[0], x[1], 1.0])
    }

    /// Rows in a ring of one standard deviation.
    fn ring(count: usize) -> Vec<[f64; 2]> {
        (0..count)
            .map(|at| (at as f64 * 0.7, 0.9 + (at % 7) as f64 / 35.0))
            .map(|(a, r)| [r * a.cos(), r * a.sin()])
            .collect()
    }

    fn learn(trees: &mut HalfSpaceTrees, rows: &[[f64; 2]]) {
        for x in rows {
            let (index, value) = row(x);
            trees.learn_row(SparseRow { index: &index, value: &value });
        }
    }

    #[test]
    fn oracle_a_part_holds_the_rows_within_its_ranges() {
        let mut trees = trees();
        let rows = ring(200);
        learn(&mut trees, &rows);
        let division = &*trees.division;
        for tree in [0, 24] {
            for part in [1, 2, 3, 5, 12, 100, 300, 511] {
                // All conditions on the way to the part.
                let way =
                    (1..usize::BITS).map(|up| (part >> up, (part >> (up - 1)) & 1)).filter(|(above, _)| *above > 0);
                let conditions: Vec<_> = way.collect();
                let holds = |x: &&[f64; 2]| {
                    let (index, value) = row(x);
                    let mut place = Vec::new();
                    division.locate(SparseRow { index: &index, value: &value }, &mut place);
                    conditions.iter().all(|(above, half)| {
                        let space = division.halves[(tree << division.depth) + above];
                        (place[space.dimension as usize] >= space.threshold) == (*half == 1)
                    })
                };
                let expected = rows.iter().filter(holds).count() as f64;
                assert_eq!(trees.latest[tree * division.parts() + part], expected, "{tree} {part}");
            }
        }
    }

    #[test]
    fn oracle_thresholds_halve_what_is_left_of_the_work_range() {
        let division = &*trees().division;
        let half_of = |tree: usize, part: usize| division.halves[(tree << division.depth) + part];
        for tree in [0, 7, 24] {
            // Work ranges cover all places, and each is divided about its middle.
            let mut sizes: Vec<(usize, f64)> = Vec::new();
            for part in 1..1 << division.depth {
                let own = half_of(tree, part);
                // The divisions above in the same dimension, with the halves that the part is in.
                let above =
                    (1..usize::BITS).map(|up| (part >> up, part >> (up - 1) & 1)).take_while(|(above, _)| *above > 0);
                let above: Vec<_> =
                    above.filter(|(above, _)| half_of(tree, *above).dimension == own.dimension).collect();
                for (above, half) in &above {
                    let threshold = half_of(tree, *above).threshold;
                    assert_eq!(own.threshold >= threshold, *half == 1, "{tree}: {part} below {above}");
                }
                // Each step away from the threshold above is half as far as the one before.
                if let [(parent, _), (grandparent, _), ..] = above[..] {
                    let [parent, grandparent] = [parent, grandparent].map(|part| half_of(tree, part).threshold);
                    sizes.push((part, (own.threshold - parent).abs() / (parent - grandparent).abs()));
                }
            }
            assert!(sizes.len() > 20 && sizes.iter().all(|(_, ratio)| (ratio - 0.5).abs() < 1e-9), "{tree}: {sizes:?}");
        }
    }

    #[test]
    fn a_distant_example_is_unusual() {
        let mut trees = trees();
        learn(&mut trees, &ring(600));
        let frozen = FrozenTrees { division: Arc::clone(&trees.division), masses: trees.reference.clone() };
        let score = |x: [f64; 2]| {
            let mut place = Vec::new();
            let (index, value) = row(&x);
            frozen.division.locate(SparseRow { index: &index, value: &value }, &mut place);
            1.0 / (1.0 + frozen.density(&place))
        };
        let usual = ring(50).into_iter().map(score).fold(0.0, f64::max);
        assert!(score([2.8, 2.8]) > usual && score([-2.9, 2.0]) > usual, "{usual} {}", score([2.8, 2.8]));
        assert_eq!(trees.seen, 100.0);
        assert_eq!(trees.reference[1], 250.0);
    }
}
