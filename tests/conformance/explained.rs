//! Explanations of every kind of model: what they add up to, and what they attribute to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::training::{Row, Trial, examples, generate, inputs, task};
use crate::model::{default_of, prepared};
use tidemill::model::preparation::{Observations, Preparation};
use tidemill::model::{
    AttributionRule, Explanations, InputCell, InputForm, KINDS, ModelKind, ModelOptions, PredictionMemory, Predictions,
    Predictor, SparseRows, Task, Tensor,
};
use tidemill::value::Scalar;

/// The crosses of the models here.
fn crosses() -> Vec<Vec<String>> {
    vec![vec!["x".into(), "town".into()], vec!["hour".into(), "flag".into()]]
}

/// The ways to prepare inputs that a kind has.
fn ways(kind: &ModelKind) -> Vec<ModelOptions> {
    let plain = ModelOptions { hash_bits: 10, ..default_of(kind) };
    let of_rows = ModelOptions { bins: 5, crosses: crosses(), ..plain.clone() };
    let rich = (kind.reads != InputForm::Observations).then_some(of_rows);
    [plain, prepared(kind)].into_iter().chain(rich).collect()
}

fn predictor_of(options: &ModelOptions) -> Arc<Predictor> {
    let outcome = Trial::new(generate(1500, 11, 4)).run(options);
    outcome.versions.last().unwrap().predictor.clone()
}

fn scalars(rows: &[Row]) -> Vec<[Scalar; 5]> {
    let text = |text: &String| Scalar::String(text.as_str().into());
    let of = |row: &Row| {
        let [x, y] = [row.x, row.y].map(|x| x.map_or(Scalar::Null, Scalar::Float));
        let town = row.town.as_ref().map_or(Scalar::Null, text);
        let (hour, flag) = (row.hour.map_or(Scalar::Null, Scalar::Int), row.flag.map_or(Scalar::Null, Scalar::Bool));
        [x, y, town, hour, flag]
    };
    rows.iter().map(of).collect()
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Returns what the link of a kind makes of raw scores, by its definition.
fn linked(options: &ModelOptions, raw: &[f64]) -> Vec<f64> {
    let kind = ModelKind::of(&options.kind).unwrap();
    let odds = |x: f64| 1.0 / (1.0 + libm::exp(-x.clamp(-15.0, 15.0)));
    let shares = |raw: &[f64], bound: &dyn Fn(f64) -> f64, least: f64| {
        let most = raw.iter().fold(least, |most, x| most.max(bound(*x)));
        let powers: Vec<f64> = raw.iter().map(|x| libm::exp((bound(*x) - most).max(-30.0))).collect();
        let total = powers.iter().fold(0.0, |total, power| total + power);
        powers.iter().map(|power| power / total).collect::<Vec<f64>>()
    };
    let apart = |raw: &[f64]| {
        let most = raw.iter().fold(f64::NEG_INFINITY, |most, x| most.max(*x));
        shares(&raw.iter().map(|x| (x - most).max(-15.0)).collect::<Vec<_>>(), &|x| x, f64::NEG_INFINITY)
    };
    let mut linked = match (kind.name, kind.task) {
        ("hoeffding_tree" | "forest", _) | (_, Task::Regression) if kind.name != "poisson" => raw.to_vec(),
        ("poisson", _) => vec![libm::exp(raw[0].clamp(-30.0, 30.0))],
        ("naive_bayes", Task::Binary) => vec![apart(&[0.0, raw[0]])[1]],
        ("naive_bayes", _) => apart(raw),
        (_, Task::Multiclass) => shares(raw, &|x| x.clamp(-15.0, 15.0), -15.0),
        _ => vec![odds(raw[0])],
    };
    if let Some(share) = options.sampling.negative_sampling {
        linked.iter_mut().for_each(|p| *p = *p * share / (*p * share + 1.0 - *p));
    }
    linked
}

/// Asserts that explanations add up to raw scores, in any order and without an error, that the link makes the bits of the
/// predictions of these, and that all explanations of a version have the same base but for what rounding leaves.
pub fn assert_adds_up<'a>(
    options: &ModelOptions,
    predictor: &Predictor,
    rows: usize,
    cell: impl Fn(usize, usize) -> InputCell<'a> + Copy,
) -> Explanations {
    let (mut memory, mut predictions) = (PredictionMemory::default(), Predictions::default());
    predictor.predict_values(rows, cell, &mut memory, &mut predictions);
    let explanations = predictor.explain_values(rows, cell, &mut memory).unwrap();
    let name = &options.kind;
    assert_eq!(explanations.len(), rows);
    for row in 0..rows {
        let raw: Vec<f64> = (0..predictor.width())
            .map(|output| {
                let base = explanations.base(row)[output];
                let contributions: Vec<f64> = explanations.contributions(row).map(|all| all[output]).collect();
                let mut sorted = contributions.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let forward = contributions.iter().fold(base, |sum, own| sum + own);
                let orders = [
                    contributions.iter().rev().fold(0.0, |sum, own| sum + own) + base,
                    sorted.iter().fold(base, |sum, own| sum + own),
                    sorted.iter().rev().fold(base, |sum, own| sum + own),
                ];
                assert!(orders.iter().all(|sum| *sum == forward), "{name:?}: {forward} and {orders:?}");
                let size = contributions.iter().map(|own| own.abs()).sum::<f64>() + base.abs();
                let off = (base - explanations.base(0)[output]).abs();
                assert!(off <= 1e-9 * size.max(1.0), "{name:?}: a base of {base}, {off} from another");
                forward
            })
            .collect();
        let expected = linked(options, &raw);
        assert_eq!(bits(predictions.row(row)), bits(&expected), "{name:?}: {:?} {expected:?}", predictions.row(row));
    }
    explanations
}

/// Asserts that a part that has nothing to do with an input contributes the same without it, for kinds that only add.
pub fn assert_additive<'a>(
    predictor: &Predictor,
    rows: usize,
    cell: impl Fn(usize, usize) -> InputCell<'a> + Copy,
    explanations: &Explanations,
) {
    let mut memory = PredictionMemory::default();
    for (without, input) in predictor.inputs().iter().enumerate() {
        let other = |row, input| if input == without { InputCell::NULL } else { cell(row, input) };
        let other = predictor.explain_values(rows, other, &mut memory).unwrap();
        let (mut own_differ, names) = (false, explanations.parts());
        for row in 0..rows {
            let both = explanations.contributions(row).zip(other.contributions(row)).zip(names);
            for ((one, other), part) in both {
                let size = one.iter().chain(other).map(|own| own.abs()).fold(1.0, f64::max);
                let differ = one.iter().zip(other).any(|(one, other)| (one - other).abs() > 1e-9 * size);
                let is_own = part.split(" x ").any(|name| name == input.name);
                assert!(is_own || !differ, "{}: without {}, {part} changes", predictor.kind().name, input.name);
                own_differ |= is_own && differ;
            }
        }
        assert!(own_differ, "{}: {} contributes nothing", predictor.kind().name, input.name);
    }
}

#[test]
fn every_kind_explains_its_predictions_exactly_or_says_that_it_does_not() {
    for kind in KINDS {
        for options in ways(kind) {
            let predictor = predictor_of(&options);
            let read = Predictor::load(predictor.inputs(), predictor.options(), &predictor.save()).unwrap();
            let rows = generate(40, 12, 1);
            let values = scalars(&rows);
            let cell = |row: usize, input: usize| InputCell::Value(&values[row][input]);
            let none = predictor.explain_values(1, cell, &mut PredictionMemory::default()).is_none();
            assert_eq!(none, kind.attribution == AttributionRule::None, "{} {}", kind.task.name(), kind.name);
            if none {
                continue;
            }
            let explanations = assert_adds_up(&options, &predictor, rows.len(), cell);
            let names: Vec<String> = inputs().into_iter().map(|input| input.name).collect();
            let crossed = options.crosses.iter().map(|cross| cross.join(" x "));
            assert!(explanations.parts().iter().cloned().eq(names.into_iter().chain(crossed)));
            let again = read.explain_values(rows.len(), cell, &mut PredictionMemory::default());
            assert_eq!(again.as_ref(), Some(&explanations), "a version that was read explains the same");
            if kind.attribution == AttributionRule::Terms {
                assert_additive(&predictor, rows.len(), cell, &explanations);
            }
        }
    }
    assert!(ModelKind::explained().contains(&"gbdt") && !ModelKind::explained().contains(&"mlp"));
}

#[test]
fn trees_attribute_predictions_to_the_inputs_that_tell_and_nothing_to_the_others() {
    for (name, task) in [("gbdt", Task::Binary), ("hoeffding_tree", Task::Regression), ("forest", Task::Multiclass)] {
        let kind = KINDS.iter().find(|kind| kind.name == name && kind.task == task).unwrap();
        // The label follows from y alone, and the flag is constant.
        let mut rows = generate(4000, 3, 4);
        for row in &mut rows {
            let is_high = row.y.unwrap() > 5e-4;
            (row.label, row.class, row.flag) =
                (f64::from(u8::from(is_high)), ["low", "high"][usize::from(is_high)], None);
        }
        let options = ModelOptions { hash_bits: 10, ..default_of(kind) };
        let outcome = Trial::new(rows.clone()).run(&options);
        let predictor = &outcome.versions.last().unwrap().predictor;
        let values = scalars(&rows[..200]);
        let cell = |row: usize, input: usize| InputCell::Value(&values[row][input]);
        let explanations = assert_adds_up(&options, predictor, 200, cell);
        let mut sizes = [0.0; 5];
        for row in 0..200 {
            let contributions: Vec<f64> = explanations.contributions(row).map(|own| own[0]).collect();
            sizes.iter_mut().zip(&contributions).for_each(|(size, own)| *size += own.abs());
            assert_eq!(contributions[4], 0.0, "{name}: a constant contributes nothing");
        }
        let [x, y, town, hour, _] = sizes;
        assert!(y > 3.0 * (x + town + hour), "{name}: {sizes:?}");
    }
}

/// Weights by slot, and vectors by slot, as an artifact has them.
struct SavedWeights {
    weights: BTreeMap<u32, f64>,
    vectors: BTreeMap<u32, Vec<f64>>,
    label: [f64; 2],
}

impl SavedWeights {
    fn of(predictor: &Predictor) -> Self {
        let tensors = predictor.save();
        let floats = |name: &str| match tensors.get(name) {
            Some(Tensor::F64(cells)) => cells.iter().copied().collect::<Vec<f64>>(),
            _ => Vec::new(),
        };
        let integers = |name: &str| match tensors.get(name) {
            Some(Tensor::U32(cells)) => cells.iter().copied().collect::<Vec<u32>>(),
            _ => Vec::new(),
        };
        let hashed = integers("weights.slot").into_iter().zip(floats("weights.hashed"));
        let slots = integers("factors.slot");
        let values = floats("factors.value");
        let rank = values.len() / slots.len().max(1);
        SavedWeights {
            weights: (0..).zip(floats("weights.dense")).chain(hashed).collect(),
            vectors: slots.iter().copied().zip(values.chunks(rank.max(1)).map(<[f64]>::to_vec)).collect(),
            label: floats("preparation.label").try_into().unwrap(),
        }
    }

    /// The share of each entry of a row: its term, and half of its product with each other one behind the bias.
    fn shares(&self, slots: &[u32], numbers: &[f64]) -> Vec<f64> {
        let product = |one: usize, other: usize| match (self.vectors.get(&slots[one]), self.vectors.get(&slots[other]))
        {
            (Some(v), Some(w)) if one > 0 && other > 0 && one != other => {
                v.iter().zip(w).map(|(v, w)| v * w).sum::<f64>() * numbers[one] * numbers[other]
            }
            _ => 0.0,
        };
        let term = |at: usize| self.weights.get(&slots[at]).copied().unwrap_or(0.0) * numbers[at];
        let share = |at: usize| term(at) + 0.5 * (0..slots.len()).map(|other| product(at, other)).sum::<f64>();
        (0..slots.len()).map(share).collect()
    }
}

#[test]
fn oracle_contributions_are_those_of_the_weights_in_the_artifact() {
    // The entries of a row with bins and crosses, by docs of the layout.
    const ENTRIES: [&str; 10] = ["", "x", "y", "flag", "x", "y", "town", "hour", "x x town", "hour x flag"];
    for kind in
        KINDS.iter().filter(|kind| ["logistic", "linear", "poisson", "factorization_machine"].contains(&kind.name))
    {
        let options = ModelOptions { hash_bits: 10, bins: 5, crosses: crosses(), ..default_of(kind) };
        let predictor = predictor_of(&options);
        let saved = SavedWeights::of(&predictor);
        let scale = if kind.standardises_label { saved.label[1] } else { 1.0 };
        let rows = generate(60, 13, 1);
        let values = scalars(&rows);
        let cell = |row: usize, input: usize| InputCell::Value(&values[row][input]);
        let explanations = assert_adds_up(&options, &predictor, rows.len(), cell);
        let layout = Arc::new(kind.layout(predictor.inputs(), predictor.options()).unwrap());
        let preparation = Preparation::load(&layout, &predictor.save()).unwrap();
        let seen = Observations::decode(&layout, &examples(task(&options), &rows).columns, rows.len());
        let mut encoded = SparseRows::default();
        preparation.encode(&seen, &(0..rows.len() as u32).collect::<Vec<_>>(), &mut encoded);
        let mut distinct = 0.0;
        for row in 0..rows.len() {
            let entries = encoded.row(row);
            let mut expected: BTreeMap<&str, f64> = BTreeMap::new();
            for (name, share) in ENTRIES.iter().zip(saved.shares(entries.index, entries.value)) {
                *expected.entry(name).or_default() += scale * share;
            }
            for (part, found) in explanations.parts().iter().zip(explanations.contributions(row)) {
                let expected = expected[part.as_str()];
                assert!((found[0] - expected).abs() < 1e-9, "{} {part}: {found:?}, not {expected}", kind.name);
                distinct += expected.abs();
            }
        }
        assert!(distinct > 1.0, "{}: contributions of nothing prove nothing", kind.name);
    }
}
