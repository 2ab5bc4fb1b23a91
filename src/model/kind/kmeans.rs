//! K-means: the cluster of an example.
//!
//! MacQueen 1967: each example moves the nearest centre to the mean of its own examples. A centre is kept as the sum S of its
//! examples and their number n, so that c = S/n, and the squared distance of a row x is
//! ```text
//! |x − c|² = |x|² − 2·S·x/n + |S|²/n²
//! S = a·S + x,  n = a·n + 1                               a = 2^(−1/halflife), 1 without
//! ```
//! Numbers are compared in standard deviations, categories by whether they are equal. With `halflife`, an example counts half
//! once so many others have come to its cluster, so that centres follow a drift.
//!
//! The first rows are kept, [`SEEDS`] for each cluster. Then centres start at rows among them that are far apart (k-means++,
//! Arthur and Vassilvitskii 2007), and the rows are learnt. Until then a version has the centres that this would give.
//! A model of several shards starts in the same way from the rows of all shards at its first window's end; later windows
//! average S and n.

use std::ops::Range;

use super::slot_vectors::{FrozenVectors, SlotVectors, VectorStart};
use super::{Combining, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Shard, Task, TrainedBy};
use crate::model::preparation::{Prepared, SlotLayout, mix};
use crate::model::tensor::{self, Tensor};
use crate::model::{
    AttributionRule, Bounds, ModelError, Parameter, Parameters, Predictions, SparseRow, SparseRows, Tensors,
};

pub(super) static KIND: ModelKind = ModelKind {
    name: "kmeans",
    summary: "predicts a cluster, an int from 0, without labels",
    task: Task::Clustering,
    label: LabelUse::None,
    labels: LabelDomain::Value,
    parameters: &[
        Parameter { name: "clusters", default: 5.0, bounds: Bounds::Whole(1, 256), summary: "number of clusters" },
        Parameter {
            name: "halflife",
            default: 0.0,
            bounds: Bounds::AtLeast(0.0),
            summary: "examples of a cluster after which one counts half; 0 for never",
        },
    ],
    reads: InputForm::Rows,
    trained_by: TrainedBy::Itself,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: false,
    standardises_label: false,
    attribution: AttributionRule::None,
    build: |layout, parameters, _| Box::new(KMeans::new(layout, parameters)),
    load,
};

/// Rows for each cluster that are kept to choose the first centres from.
const SEEDS: usize = 20;

const SUMS: &str = "sums";
const COUNTS: &str = "counts";
const SQUARES: &str = "squares";
const CLUSTERS: &str = "clusters";
const SEED_SLOTS: &str = "seeds.slot";
const SEED_VALUES: &str = "seeds.value";

/// The sum and the number of the examples of a cluster.
#[derive(Clone, Copy, Debug, Default)]
struct ClusterSum {
    /// Number of examples, n.
    count: f64,
    /// |S|².
    square: f64,
    /// The number by which the sums that are kept are to be multiplied, which follows the decay.
    scale: f64,
}

/// Clusters, as they learn.
#[derive(Clone)]
struct KMeans {
    /// The factor a.
    decay: f64,
    seed: u64,
    /// The entries of a row that count: all but the bias.
    entries: Range<usize>,
    shards: usize,
    /// S by slot and cluster, each to be multiplied by the cluster's scale.
    sums: SlotVectors,
    /// By cluster; none has examples before the centres are chosen.
    clusters: Vec<ClusterSum>,
    /// The first rows, until the centres are chosen.
    seeds: SparseRows,
    /// S·x by cluster; working memory.
    products: Vec<f64>,
}

impl KMeans {
    fn new(layout: &SlotLayout, parameters: &Parameters) -> Self {
        let clusters = parameters.get("clusters") as usize;
        let halflife = parameters.get("halflife");
        KMeans {
            decay: if halflife > 0.0 { libm::exp2(-1.0 / halflife) } else { 1.0 },
            seed: layout.options().seed,
            entries: 1..layout.width(),
            shards: layout.options().shards,
            sums: SlotVectors::new(layout.slots(), clusters, VectorStart { seed: 0, spread: 0.0 }),
            clusters: vec![ClusterSum { scale: 1.0, ..ClusterSum::default() }; clusters],
            seeds: SparseRows::default(),
            products: Vec::new(),
        }
    }

    fn has_centres(&self) -> bool {
        self.clusters.iter().any(|cluster| cluster.count > 0.0)
    }

    /// Learns a row, or keeps it until there are centres.
    fn learn_row(&mut self, row: SparseRow<'_>) {
        if self.has_centres() {
            return self.add_to_nearest(row);
        }
        let most = SEEDS * self.clusters.len();
        if self.seeds.len() < most {
            self.seeds.push(row);
        }
        // A shard must wait for the others, so that their clusters are the same.
        if self.shards == 1 && self.seeds.len() == most {
            self.choose_centres();
        }
    }

    /// Chooses the centres from the rows that were kept, and learns those. Does nothing if there are none.
    fn choose_centres(&mut self) {
        let seeds = std::mem::take(&mut self.seeds);
        let rows: Vec<SparseRow<'_>> = seeds.iter().map(|row| part(row, &self.entries)).collect();
        for (cluster, chosen) in far_apart(&rows, self.clusters.len(), self.seed).into_iter().enumerate() {
            self.add(cluster, rows[chosen]);
        }
        if self.has_centres() {
            seeds.iter().for_each(|row| self.add_to_nearest(row));
        }
    }

    fn add_to_nearest(&mut self, row: SparseRow<'_>) {
        let row = part(row, &self.entries);
        self.products.clear();
        self.products.resize(self.clusters.len(), 0.0);
        for (slot, x) in row.index.iter().zip(row.value) {
            let position = self.sums.position(*slot);
            let sums = self.sums.vector(position).iter().zip(&self.clusters);
            self.products.iter_mut().zip(sums).for_each(|(product, (sum, own))| *product += sum * own.scale * x);
        }
        let distances = self.clusters.iter().zip(&self.products).map(|(cluster, product)| cluster.distance(*product));
        self.add(nearest(distances), row);
    }

    /// Adds a row to a cluster.
    fn add(&mut self, cluster: usize, row: SparseRow<'_>) {
        let square = square(row);
        let mut product = 0.0;
        for (slot, x) in row.index.iter().zip(row.value) {
            let position = self.sums.position(*slot);
            product += self.sums.vector(position)[cluster] * self.clusters[cluster].scale * x;
        }
        let own = &mut self.clusters[cluster];
        own.square = self.decay * self.decay * own.square + 2.0 * self.decay * product + square;
        own.count = self.decay * own.count + 1.0;
        own.scale *= self.decay;
        if own.scale < LEAST_SCALE {
            self.sums.scale(cluster, own.scale);
            own.scale = 1.0;
        }
        let per_scale = 1.0 / own.scale;
        for (slot, x) in row.index.iter().zip(row.value) {
            let position = self.sums.position(*slot);
            self.sums.add(position, cluster, x * per_scale);
        }
    }
}

impl ClusterSum {
    /// Returns the squared distance of a row x from the centre, less |x|², given S·x. Infinite without examples.
    fn distance(&self, product: f64) -> f64 {
        if self.count > 0.0 {
            self.square / (self.count * self.count) - 2.0 * product / self.count
        } else {
            f64::INFINITY
        }
    }
}

/// The scale at which sums are multiplied by it.
const LEAST_SCALE: f64 = 1e-100;

/// Returns |x|² of a row. Entries that share a slot are counted apart.
fn square(row: SparseRow<'_>) -> f64 {
    row.value.iter().fold(0.0, |sum, x| sum + x * x)
}

/// Returns the entries of a row that are in a range.
fn part<'a>(row: SparseRow<'a>, entries: &Range<usize>) -> SparseRow<'a> {
    SparseRow { index: &row.index[entries.clone()], value: &row.value[entries.clone()] }
}

/// Returns the position of the least distance, the first of several.
fn nearest(distances: impl Iterator<Item = f64>) -> usize {
    let least =
        distances.enumerate().fold((0, f64::INFINITY), |least, next| if next.1 < least.1 { next } else { least });
    least.0
}

/// Returns the squared distance of two rows whose entries correspond.
fn distance(one: SparseRow<'_>, other: SparseRow<'_>) -> f64 {
    let entries = one.index.iter().zip(one.value).zip(other.index.iter().zip(other.value));
    entries
        .fold(0.0, |sum, ((slot, x), (other, y))| sum + if slot == other { (x - y) * (x - y) } else { x * x + y * y })
}

/// Chooses rows that are far apart, up to `most`: each with a probability proportional to the squared distance from those
/// chosen before. Fewer, if all rows are at places that were chosen.
fn far_apart(rows: &[SparseRow<'_>], most: usize, seed: u64) -> Vec<usize> {
    let mut distances = vec![1.0; rows.len()];
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let total = distances.iter().fold(0.0, |sum, distance| sum + distance);
        let share = (mix(seed, chosen.len() as u64) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut sum = 0.0;
        let next = distances.iter().position(|distance| {
            sum += distance;
            *distance > 0.0 && sum > share * total
        });
        let Some(next) = next else { break };
        for (nearest, row) in distances.iter_mut().zip(rows) {
            let own = distance(rows[next], *row);
            *nearest = if chosen.is_empty() { own } else { nearest.min(own) };
        }
        chosen.push(next);
    }
    chosen
}

impl Learner for KMeans {
    fn learn(&mut self, batch: &Prepared<'_>) {
        batch.rows().iter().for_each(|row| self.learn_row(row));
    }

    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let mut combined = self.clone();
        combined.reset();
        let mut states: Vec<(Tensors, u64)> = Vec::new();
        for shard in shards {
            let mut own = combined.clone();
            own.load(&shard.learner.save())?;
            if own.has_centres() {
                // The sums of all shards have one scale.
                own.rescale();
                states.push((own.save(), shard.examples));
            } else {
                own.seeds.iter().for_each(|row| combined.seeds.push(row));
            }
        }
        if states.is_empty() {
            combined.choose_centres();
        } else {
            combined.sums.average(SUMS, &states)?;
            states.iter_mut().for_each(|(state, _)| state.retain(|name, _| name == CLUSTERS));
            combined.load_clusters(&tensor::average(&states))?;
        }
        *self = combined;
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let mut chosen = self.clone();
        if !chosen.has_centres() {
            chosen.choose_centres();
        }
        chosen.rescale();
        let (counts, squares) = (chosen.column(|own| own.count), chosen.column(|own| own.square));
        Box::new(Centres { sums: chosen.sums.freeze(), counts, squares, entries: self.entries.clone() })
    }

    fn save(&self) -> Tensors {
        let cells = self.clusters.iter().flat_map(|own| [own.count, own.square, own.scale]);
        let slots = self.seeds.iter().flat_map(|row| row.index).copied();
        let values = self.seeds.iter().flat_map(|row| row.value).copied();
        let mut tensors = Tensors::from([
            (CLUSTERS.to_owned(), Tensor::vector(cells.collect())),
            (SEED_SLOTS.to_owned(), Tensor::indices(slots.collect())),
            (SEED_VALUES.to_owned(), Tensor::vector(values.collect())),
        ]);
        self.sums.save(SUMS, &mut tensors);
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.load_clusters(tensors)?;
        self.sums.load(SUMS, tensors)?;
        let slots = tensor::integers(tensors, SEED_SLOTS, None)?;
        let values = tensor::floats(tensors, SEED_VALUES, Some(slots.len()))?;
        let width = self.entries.end;
        if slots.len() % width != 0 || slots.iter().any(|slot| *slot as usize >= self.sums.slots()) {
            return Err(tensor::misfit(SEED_SLOTS, "its rows do not fit the inputs"));
        }
        self.seeds.clear();
        for (index, value) in slots.chunks_exact(width).zip(values.chunks_exact(width)) {
            self.seeds.push(SparseRow { index, value });
        }
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }
}

impl KMeans {
    /// Returns one number of each cluster.
    fn column(&self, of: fn(&ClusterSum) -> f64) -> Vec<f64> {
        self.clusters.iter().map(of).collect()
    }

    /// Multiplies all sums by their scales.
    fn rescale(&mut self) {
        for cluster in 0..self.clusters.len() {
            let scale = std::mem::replace(&mut self.clusters[cluster].scale, 1.0);
            self.sums.scale(cluster, scale);
        }
    }

    /// Forgets everything.
    fn reset(&mut self) {
        self.sums.clear();
        self.clusters.fill(ClusterSum { scale: 1.0, ..ClusterSum::default() });
        self.seeds.clear();
    }

    fn load_clusters(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let cells = tensor::floats(tensors, CLUSTERS, Some(3 * self.clusters.len()))?;
        for (cluster, cells) in self.clusters.iter_mut().zip(cells.chunks_exact(3)) {
            *cluster = ClusterSum { count: cells[0], square: cells[1], scale: cells[2] };
        }
        Ok(())
    }
}

/// Clusters that do not change any more.
struct Centres {
    /// S by slot and cluster.
    sums: FrozenVectors,
    /// Number of examples by cluster.
    counts: Vec<f64>,
    /// |S|² by cluster.
    squares: Vec<f64>,
    entries: Range<usize>,
}

fn load(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let clusters = ModelKind::parameters_of(layout.options())?.get("clusters") as usize;
    let column = |name: &str| -> Result<Vec<f64>, ModelError> {
        let cells = tensor::floats(tensors, name, Some(clusters))?;
        let finite = cells.iter().all(|cell| cell.is_finite());
        if finite { Ok(cells.to_vec()) } else { Err(tensor::misfit(name, "a number is not finite")) }
    };
    let sums = FrozenVectors::load(SUMS, tensors, clusters, layout.slots())?;
    Ok(Box::new(Centres { sums, counts: column(COUNTS)?, squares: column(SQUARES)?, entries: 1..layout.width() }))
}

impl Scorer for Centres {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let mut products = vec![0.0; self.counts.len()];
        for row in batch.rows().iter() {
            products.fill(0.0);
            let row = part(row, &self.entries);
            for (slot, x) in row.index.iter().zip(row.value) {
                if let Some(sums) = self.sums.get(*slot) {
                    products.iter_mut().zip(sums).for_each(|(product, sum)| *product += sum * x);
                }
            }
            let clusters = self.counts.iter().zip(&self.squares).zip(&products);
            let distances = clusters.map(|((count, square), product)| {
                ClusterSum { count: *count, square: *square, scale: 1.0 }.distance(*product)
            });
            predictions.values_mut().push(nearest(distances) as f64);
        }
    }

    fn save(&self, tensors: &mut Tensors) {
        self.sums.save(SUMS, tensors);
        tensors.insert(COUNTS.to_owned(), Tensor::vector(self.counts.clone()));
        tensors.insert(SQUARES.to_owned(), Tensor::vector(self.squares.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InputColumn, ModelOptions};
    use crate::value::Type;

    fn kmeans(clusters: f64, halflife: f64) -> KMeans {
        let mut options =
            ModelOptions { kind: "kmeans".into(), optimizer: None, hash_bits: 4, ..ModelOptions::default() };
        options.kind.parameters = vec![("clusters".into(), clusters.into()), ("halflife".into(), halflife.into())];
        let inputs = [InputColumn::new("x", Type::Float), InputColumn::new("y", Type::Float)];
        let layout = SlotLayout::new(&inputs, &options).unwrap();
        KMeans::new(&layout, &ModelKind::parameters_of(&options).unwrap())
    }

    /// Rows around three places, in turn.
    fn rows(count: usize) -> Vec<[f64; 2]> {
        let noise = |at: usize| (mix(at as u64, 7) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
        let place = |at: usize| [[0.0, 0.0], [5.0, 0.0], [0.0, -5.0]][at % 3];
        (0..count).map(|at| [place(at)[0] + noise(at), place(at)[1] + noise(at + 1_000_000)]).collect()
    }

    fn learn(kmeans: &mut KMeans, rows: &[[f64; 2]]) {
        rows.iter().for_each(|[x, y]| kmeans.learn_row(SparseRow { index: &[0, 1, 3], value: &[1.0, *x, *y] }));
    }

    #[test]
    fn oracle_centres_are_means_of_what_was_nearest() {
        for halflife in [0.0, 30.0] {
            let mut kmeans = kmeans(3.0, halflife);
            let rows = rows(2000);
            learn(&mut kmeans, &rows[..60]);
            // The same with the centres themselves, from where the first rows left them.
            let mut centres: Vec<[f64; 2]> = Vec::new();
            for (cluster, own) in kmeans.clusters.iter().enumerate() {
                let sum = |slot: u32| {
                    let at = kmeans.sums.clone().position(slot);
                    kmeans.sums.vector(at)[cluster] * own.scale / own.count
                };
                centres.push([sum(1), sum(3)]);
            }
            let mut counts: Vec<f64> = kmeans.clusters.iter().map(|own| own.count).collect();
            for row in &rows[60..] {
                let distance = |centre: &[f64; 2]| (row[0] - centre[0]).powi(2) + (row[1] - centre[1]).powi(2);
                let at = nearest(centres.iter().map(distance));
                counts[at] = kmeans.decay * counts[at] + 1.0;
                for (centre, x) in centres[at].iter_mut().zip(row) {
                    *centre += (x - *centre) / counts[at];
                }
            }
            learn(&mut kmeans, &rows[60..]);
            for (own, count) in kmeans.clusters.iter().zip(&counts) {
                assert!((own.count - count).abs() < 1e-6);
            }
            kmeans.rescale();
            for (cluster, own) in kmeans.clusters.iter().enumerate() {
                let sums = [1, 3].map(|slot| {
                    let at = kmeans.sums.clone().position(slot);
                    kmeans.sums.vector(at)[cluster]
                });
                let square: f64 = sums.iter().map(|sum| sum * sum).sum();
                assert!((own.square - square).abs() < 1e-9 * square, "{} {square}", own.square);
            }
            for (cluster, centre) in centres.iter().enumerate() {
                for (slot, x) in [1, 3].into_iter().zip(centre) {
                    let at = kmeans.sums.position(slot);
                    let found = kmeans.sums.vector(at)[cluster] / kmeans.clusters[cluster].count;
                    assert!((found - x).abs() < 1e-6, "{found} {x}");
                }
            }
        }
    }

    #[test]
    fn places_far_apart_become_clusters() {
        let mut kmeans = kmeans(3.0, 0.0);
        learn(&mut kmeans, &rows(300));
        let mut counts = kmeans.column(|own| own.count);
        counts.sort_by(f64::total_cmp);
        assert!(counts.iter().all(|count| (99.0..=102.0).contains(count)), "{counts:?}");
    }

    #[test]
    fn equal_rows_are_one_cluster() {
        let mut kmeans = kmeans(3.0, 0.0);
        learn(&mut kmeans, &[[2.0, 1.0]; 200]);
        assert_eq!(kmeans.clusters.iter().filter(|own| own.count > 0.0).count(), 1);
    }
}
