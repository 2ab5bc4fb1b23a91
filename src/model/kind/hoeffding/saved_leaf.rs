//! The saved form of a leaf.

use serde::{Deserialize, Serialize};

use super::leaf::LeafStatistics;
use super::leaf_inputs::{BINS, LeafInputs};

/// A leaf as it is saved.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedLeaf {
    totals: Vec<f64>,
    /// One for each input of the tree; none before the tree has cuts.
    inputs: Vec<SavedInput>,
    losses: [f64; 2],
    inherited: f64,
    searched: f64,
}

/// The statistics of an input.
#[derive(Serialize, Deserialize)]
struct SavedInput {
    grid: SavedGrid,
    /// A cell for each bin; or for each category, and one for all others.
    cells: Vec<f64>,
    /// The cell of all targets whose value is not null.
    known: Vec<f64>,
    nulls: Vec<f64>,
}

/// The values of an input that are told apart.
#[derive(Serialize, Deserialize)]
enum SavedGrid {
    /// A number: bins between cuts, which belong to the bin below, and the least and the largest value seen.
    Cuts { cuts: Vec<f64>, low: f64, high: f64 },
    /// A category: hashes in the order in which they came; further ones share a cell.
    Keys(Vec<u64>),
}

impl From<LeafStatistics> for SavedLeaf {
    fn from(leaf: LeafStatistics) -> Self {
        let input = |input: super::leaf_inputs::InputCells<'_>| {
            let [low, high] = input.range();
            let grid = match input.is_number() {
                true => SavedGrid::Cuts { cuts: input.cuts().to_vec(), low, high },
                false => SavedGrid::Keys(input.keys().collect()),
            };
            let [cells, known, nulls] = [input.all(), input.known(), input.nulls()].map(<[f64]>::to_vec);
            SavedInput { grid, cells, known, nulls }
        };
        SavedLeaf {
            inputs: leaf.inputs.iter().map(input).collect(),
            totals: leaf.totals,
            losses: leaf.losses,
            inherited: leaf.inherited,
            searched: leaf.searched,
        }
    }
}

impl TryFrom<SavedLeaf> for LeafStatistics {
    type Error = &'static str;

    fn try_from(leaf: SavedLeaf) -> Result<Self, Self::Error> {
        let SavedLeaf { totals, inputs: saved, losses, inherited, searched } = leaf;
        let width = totals.len();
        let mut inputs = LeafInputs::new(width);
        for SavedInput { grid, cells, known, nulls } in &saved {
            let (bins, range) = match grid {
                SavedGrid::Cuts { cuts, low, high } if cuts.len() < BINS && !inputs.has_categories() => {
                    inputs.push_cuts(cuts);
                    (cuts.len() + 1, [*low, *high])
                }
                SavedGrid::Keys(keys) if keys.len() <= BINS => {
                    inputs.push_keys(keys.iter().copied());
                    (BINS + 1, [0.0; 2])
                }
                _ => return Err("the inputs of a leaf do not fit a tree"),
            };
            if cells.len() != bins * width || known.len() != width || nulls.len() != width {
                return Err("the cells of a leaf do not fit its targets");
            }
            inputs.restore_last(range, [known, nulls, cells]);
        }
        Ok(LeafStatistics { totals, inputs, losses, inherited, searched })
    }
}
