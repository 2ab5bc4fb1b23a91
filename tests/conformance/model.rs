//! The trials that every kind of model must pass, with every optimizer if one trains it.
//!
//! Each task has a generated problem of its own; the thresholds belong to the task, not to the kind. Being listed in
//! `KINDS` or `OPTIMIZERS` brings a kind or an optimizer here.

use std::sync::Arc;

use crate::common::training::{DAY, Row, Trial, examples, generate, inputs, lcg, task, trainer};
use tidemill::model::preparation::{Observations, Preparation, Prepared, SlotLayout, Statistics};
use tidemill::model::{
    ArmScorer, Bounds, ClassWeights, Classes, Combining, Decision, Gate, GateFallback, InputForm, InputOptions, KINDS,
    KindOptions, Labels, LearningStart, ModelKind, ModelOptions, OPTIMIZERS, OptimizerOptions, ParameterValue,
    ReportOptions, SamplingOptions, Scored, ScoredArm, ScoredVersion, Shard, Stability, Task, TrainedBy, Trainer,
    TrainerConfig, Version, WindowScores, check_options,
};

/// Every kind with every optimizer, with the bounds of its parameters, and with the ways to prepare and shard.
fn everything() -> Vec<(String, ModelOptions)> {
    let mut all = Vec::new();
    for kind in KINDS {
        let plain = ModelOptions { hash_bits: 10, ..default_of(kind) };
        let named = match kind.name {
            name if std::ptr::eq(*kind, ModelKind::find(name).unwrap()) => name.to_owned(),
            name => format!("{} {name}", kind.task.name()),
        };
        for optimizer in OPTIMIZERS.iter().filter(|_| kind.trained_by == TrainedBy::Optimizer) {
            let optimizer = OptimizerOptions { name: optimizer.name.to_owned(), parameters: vec![] };
            let name = format!("{named} by {}", optimizer.name);
            all.push((name, ModelOptions { optimizer: Some(optimizer), ..plain.clone() }));
        }
        if kind.trained_by == TrainedBy::Itself {
            all.push((format!("{named} by itself"), plain.clone()));
        }
        // Kinds that share a name share their parameters as well.
        let is_first = std::ptr::eq(*kind, ModelKind::find(kind.name).unwrap());
        for parameter in kind.parameters.iter().filter(|_| is_first) {
            for values in trials_of(parameter.name, &parameter.bounds) {
                let list: Vec<String> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                let mut options = plain.clone();
                options.kind.parameters.extend(values);
                all.push((format!("{named} with {}", list.join(", ")), options));
            }
        }
        let gate = kind.metrics().next().map(|metric| Gate {
            metric: metric.name.to_owned(),
            tolerance: 0.1,
            holdout: 0.2,
            windows: 3,
            unanswered: Default::default(),
            rollback: Some(1e9),
        });
        let of_rows = ModelOptions {
            bins: 5,
            crosses: vec![vec!["x".into(), "town".into()], vec!["hour".into(), "flag".into()]],
            ..plain.clone()
        };
        let rich = ModelOptions {
            shards: 3,
            publish: gate,
            ..if kind.reads == InputForm::Observations { plain } else { of_rows }
        };
        all.push((format!("{named} sharded, gated, with bins and crosses"), rich.clone()));
        all.push((format!("{named} weighted, sampled and prepared"), prepared(kind)));
        all.push((format!("{named} fresh"), ModelOptions { start: LearningStart::Fresh, publish: None, ..rich }));
    }
    all
}

/// The options of a kind with every way to weigh, sample and prepare that it has.
pub fn prepared(kind: &ModelKind) -> ModelOptions {
    let has_classes = matches!(kind.task, Task::Binary | Task::Multiclass);
    let has_rows = kind.reads != InputForm::Observations;
    let sampling = SamplingOptions {
        weight: kind.by_steps.then(|| "weight".to_owned()),
        class_weight: (kind.by_steps && has_classes).then_some(ClassWeights::Balanced),
        negative_sampling: (kind.task == Task::Binary).then_some(0.7),
    };
    let preparing = InputOptions {
        winsorise: if has_rows { 0.01 } else { 0.0 },
        min_count: if has_rows { 3 } else { 1 },
        expire: if kind.by_steps { 2 } else { 0 },
        tokens: if kind.least_categories == 0 { vec!["town".to_owned()] } else { vec![] },
        ngrams: 2,
    };
    let persistence = if kind.task == Task::Clustering { vec![] } else { vec!["id".to_owned()] };
    let reports = ReportOptions { segments: vec!["town".to_owned()], persistence };
    ModelOptions { hash_bits: 10, shards: 2, sampling, preparing, reports, ..default_of(kind) }
}

/// The values of a parameter that are tried: the bounds of whole numbers, every word but the default, and numbers that go
/// with a word.
fn trials_of(name: &str, bounds: &Bounds) -> Vec<Vec<(String, ParameterValue)>> {
    let alone = |value: ParameterValue| vec![(name.to_owned(), value)];
    match bounds {
        // More trees only take more time.
        Bounds::Whole(least, _) if name == "trees" => vec![alone(f64::from(*least).into()), alone(5.0.into())],
        Bounds::Whole(least, most) => vec![alone(f64::from(*least).into()), alone(f64::from(*most).into())],
        Bounds::Words(words) => words[1..].iter().map(|word| alone((*word).into())).collect(),
        Bounds::Between(low, high) => {
            vec![alone((low * 0.4 + high * 0.6).into())]
        }
        Bounds::If(other, word, bounds) => {
            let mut trials = trials_of(name, bounds);
            trials.iter_mut().for_each(|values| values.push(((*other).to_owned(), (*word).into())));
            trials
        }
        Bounds::Above(_) | Bounds::AtLeast(_) | Bounds::UpTo(..) | Bounds::Within(..) => vec![],
    }
}

/// The default options of a kind.
pub fn default_of(kind: &ModelKind) -> ModelOptions {
    // Few trees take little time.
    let parameters = match kind.name {
        "gbdt" => vec![("trees".to_owned(), 10.0.into()), ("rate".to_owned(), 0.3.into())],
        "forest" => vec![("trees".to_owned(), 3.0.into())],
        _ => vec![],
    };
    let options = KindOptions { name: kind.name.to_owned(), task: Some(kind.task), parameters };
    let options = ModelOptions { kind: options, ..ModelOptions::default() };
    match kind.trained_by {
        TrainedBy::Optimizer => options,
        TrainedBy::Itself => ModelOptions { optimizer: None, ..options },
    }
}

fn metric(scores: &[(&'static str, f64)], name: &str) -> f64 {
    scores.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name} in {scores:?}")).1
}

/// The scores that a model must reach on the generated problem of its task.
fn assert_skill(task: Task, scores: &WindowScores, name: &str) {
    let gain = || metric(&scores.no_skill, "logloss") - metric(&scores.champion, "logloss");
    match task {
        Task::Binary => {
            assert!(metric(&scores.champion, "auc") > 0.85, "{name}: {scores:?}");
            assert!(gain() > 0.1, "{name}: {scores:?}");
        }
        Task::Multiclass => {
            let accuracy = metric(&scores.champion, "accuracy") - metric(&scores.no_skill, "accuracy");
            assert!(accuracy > 0.15 && gain() > 0.2, "{name}: {scores:?}");
        }
        Task::Regression => assert!(metric(&scores.champion, "r2") > 0.2, "{name}: {scores:?}"),
        // Without labels there is nothing to learn them by; the kinds' own tests say what they find.
        Task::Clustering | Task::Anomaly => {}
    }
}

/// The predictions that a task allows.
fn assert_bounded(task: Task, prediction: &[f64], name: &str) {
    let bounded = match task {
        Task::Binary => (1e-7..1.0).contains(&prediction[0]),
        Task::Multiclass => {
            (prediction.iter().sum::<f64>() - 1.0).abs() < 1e-9 && prediction.iter().all(|p| (0.0..=1.0).contains(p))
        }
        Task::Regression => prediction[0].abs() < 1e6,
        Task::Clustering => prediction[0].fract() == 0.0 && (0.0..256.0).contains(&prediction[0]),
        Task::Anomaly => prediction[0] > 0.0 && prediction[0] <= 1.0,
    };
    assert!(bounded, "{name}: {prediction:?}");
}

/// Returns the version and the prediction of each example that a version scored.
fn predictions(scored: &Scored) -> impl Iterator<Item = (usize, u64, &[f64])> {
    let rows = (0..scored.len()).filter(|row| scored.version[*row] > 0);
    rows.map(|row| (row, scored.version[row], scored.prediction(row)))
}

#[test]
fn every_kind_learns_what_its_inputs_tell() {
    for (name, mut options) in everything() {
        if let Some(optimizer) = options.optimizer.as_mut().filter(|optimizer| optimizer.name == "adam") {
            optimizer.parameters.push(("rate".into(), 0.01.into()));
        }
        if options.kind.parameters.contains(&("max_classes".to_owned(), 2.0.into())) {
            continue;
        }
        let versions = Trial::new(generate(6000, 7, 10)).run(&options).versions;
        assert_eq!(versions.len(), 10, "{name}");
        assert_skill(task(&options), &versions[9].prequential, &name);
    }
}

#[test]
fn slices_and_restarts_change_no_bit() {
    for (name, options) in everything() {
        let rows = generate(1500, 3, 5);
        let whole = Trial::new(rows.clone()).run(&options);
        for (slice, save_every) in [(usize::MAX, 1), (1, 401), (7, 0), (64, 3), (1000, 1)] {
            let other = Trial { slice, save_every, ..Trial::new(rows.clone()) }.run(&options);
            assert_eq!(whole.digest(), other.digest(), "{name}: slices of {slice}, saved every {save_every}");
        }
    }
}

#[test]
fn a_window_being_closed_can_be_saved_at_any_step() {
    for (name, options) in everything() {
        let rows = generate(900, 5, 3);
        let whole = Trial::new(rows.clone()).run(&options);
        let other = Trial { work: 50, save_while_closing: true, ..Trial::new(rows) }.run(&options);
        assert_eq!(whole.digest(), other.digest(), "{name}");
    }
}

#[test]
fn a_saved_state_has_the_same_bytes_however_it_was_reached() {
    for (name, options) in everything() {
        let rows = generate(700, 9, 3);
        let whole = Trial::new(rows.clone()).run(&options).state;
        let other = Trial { slice: 13, save_every: 5, ..Trial::new(rows) }.run(&options).state;
        assert!(whole == other, "{name}");
    }
}

#[test]
fn a_window_of_one_class_gives_bounded_predictions_and_finite_scores() {
    for (name, options) in everything() {
        let mut rows = generate(800, 11, 4);
        for row in rows.iter_mut().filter(|row| row.known < 2 * DAY) {
            (row.label, row.class) = (0.0, "low");
        }
        let ran = Trial::new(rows).run(&options);
        for version in &ran.versions {
            for (metric, value) in version.prequential.champion.iter().chain(&version.prequential.no_skill) {
                assert!(value.is_finite() && value.abs() < 1e6, "{name}: {metric} is {value}");
            }
        }
        predictions(&ran.scored).for_each(|(_, _, prediction)| assert_bounded(task(&options), prediction, &name));
    }
}

#[test]
fn extreme_inputs_never_make_a_prediction_that_is_not_finite() {
    let extremes = [0.0, -0.0, 1e18, -1e18, 1e19, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NAN, f64::INFINITY, 1e-9];
    for (name, options) in everything() {
        let mut rows = generate(1200, 13, 4);
        let mut random = lcg(17);
        for row in &mut rows {
            if random() < 0.3 {
                row.x = Some(extremes[(random() * extremes.len() as f64) as usize]);
                row.y = Some(extremes[(random() * extremes.len() as f64) as usize]);
            }
            if random() < 0.1 {
                *row = Row { x: None, y: None, town: None, hour: None, flag: None, ..row.clone() };
            }
            if random() < 0.05 {
                row.label = [f64::NAN, f64::INFINITY, 1e300, -1e300][(random() * 4.0) as usize];
            }
        }
        let ran = Trial::new(rows.clone()).run(&options);
        assert!(predictions(&ran.scored).count() > 0, "{name}");
        assert!(predictions(&ran.scored).all(|(_, _, prediction)| prediction.iter().all(|p| p.is_finite())), "{name}");
        for version in &ran.versions {
            let predictions = version.predictor.predict(&examples(task(&options), &rows).columns, rows.len());
            assert!(predictions.values().iter().all(|p| p.is_finite()), "{name}");
        }
    }
}

#[test]
fn the_unit_of_an_input_hardly_matters() {
    for (name, options) in
        everything().into_iter().filter(|(name, _)| name.ends_with("by ftrl") || name.ends_with("itself"))
    {
        let rows = generate(3000, 45, 5);
        let scaled = rows.iter().map(|row| Row { x: row.x.map(|x| x * 1e6), ..row.clone() }).collect();
        let [own, other] =
            [rows, scaled].map(|rows| Trial::new(rows).run(&options).versions.pop().unwrap().prequential);
        assert_eq!(own.champion.len(), other.champion.len(), "{name}");
        for ((metric, one), (_, other)) in own.champion.iter().zip(&other.champion) {
            assert!((one - other).abs() <= 0.05 * (1.0 + one.abs()), "{name}: {metric} is {one} or {other}");
        }
    }
}

#[test]
fn constant_inputs_and_windows_of_one_row_are_learnt() {
    for (name, options) in everything() {
        let options = ModelOptions { min_examples: 1, ..options };
        let mut rows = generate(300, 47, 3);
        rows.iter_mut().for_each(|row| row.y = Some(7.0));
        for (window, row) in rows.iter_mut().take(20).enumerate() {
            (row.time, row.known) = (window as i64 * DAY, window as i64 * DAY);
        }
        rows.iter_mut().skip(20).for_each(|row| (row.time, row.known) = (row.time + 20 * DAY, row.known + 20 * DAY));
        let ran = Trial::new(rows).run(&options);
        assert!(ran.versions.len() > 10, "{name}");
        assert!(predictions(&ran.scored).all(|(_, _, prediction)| prediction.iter().all(|p| p.is_finite())), "{name}");
    }
}

#[test]
fn a_flood_of_new_categories_leaves_a_bounded_version() {
    for (name, mut options) in
        everything().into_iter().filter(|(name, _)| name.ends_with("by ftrl") || name.ends_with("itself"))
    {
        // A tree grows with its examples until it has all leaves that it may have.
        let kind = ModelKind::of(&options.kind).unwrap();
        if kind.parameters.iter().any(|parameter| parameter.name == "max_leaves") {
            options.kind.parameters.push(("max_leaves".to_owned(), 2.0.into()));
        }
        let size = |windows: i64| {
            let mut rows = generate(1000 * windows as usize, 49, windows);
            rows.iter_mut().for_each(|row| row.town = Some(format!("town {}", row.id)));
            let mut ran = Trial::new(rows).run(&options);
            assert!(
                predictions(&ran.scored).all(|(_, _, prediction)| prediction.iter().all(|p| p.is_finite())),
                "{name}"
            );
            let tensors = ran.versions.pop().unwrap().predictor.save();
            tensors.values().map(|tensor| tensor.to_le_bytes().len()).sum::<usize>() as f64
        };
        let (few, many) = (size(6), size(12));
        assert!(many < 1.25 * few, "{name}: {few} bytes, then {many}");
    }
}

#[test]
fn a_gap_of_a_year_changes_no_weight() {
    for (name, options) in everything() {
        let rows = generate(600, 57, 4);
        let mut apart = rows.clone();
        for row in apart.iter_mut().filter(|row| row.known >= 2 * DAY) {
            (row.time, row.known) = (row.time + 365 * DAY, row.known + 365 * DAY);
        }
        let [one, other] = [rows, apart].map(|rows| Trial::new(rows).run(&options).versions.pop().unwrap());
        assert!(one.predictor.save() == other.predictor.save(), "{name}");
    }
}

#[test]
fn the_endpoint_computes_what_the_trainer_scored() {
    for (name, options) in everything() {
        let rows = generate(900, 19, 3);
        let ran = Trial::new(rows.clone()).run(&options);
        for (row, number, prediction) in predictions(&ran.scored) {
            let version = ran.versions.iter().find(|version| version.number == number).unwrap();
            assert!(version.window_end <= rows[row].time, "{name}: a version scores only what comes after it");
            let one = version.predictor.predict(&examples(task(&options), &rows[row..=row]).columns, 1);
            let bits = |values: &[f64]| values.iter().map(|p| p.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(one.values()), bits(prediction), "{name}");
            assert_eq!(version.predictor.classes(), ran.scored.classes(row), "{name}");
        }
    }
}

#[test]
fn a_prediction_changes_nothing() {
    for (name, options) in everything() {
        let rows = generate(600, 21, 2);
        let version = Trial::new(rows.clone()).run(&options).versions.remove(1);
        let columns = examples(task(&options), &rows).columns;
        let (before, first) = (version.predictor.save(), version.predictor.predict(&columns, rows.len()));
        let (second, after) = (version.predictor.predict(&columns, rows.len()), version.predictor.save());
        assert!(first == second && before == after, "{name}");
        assert_eq!((first.len(), first.width()), (rows.len(), version.predictor.width()), "{name}");
    }
}

#[test]
fn a_shard_without_examples_does_not_count_when_shards_are_combined() {
    for (name, options) in everything() {
        let rows = generate(400, 25, 1);
        let kind = ModelKind::of(&options.kind).unwrap();
        let options = ModelOptions { categorical: vec!["hour".into()], ..options };
        let layout = Arc::new(SlotLayout::new(&inputs(), &options).unwrap());
        let examples = examples(kind.task, &rows);
        let mut classes = Classes::default();
        let labels: Vec<f64> = match &examples.labels {
            Labels::Numbers(labels) => labels.clone(),
            Labels::Classes(labels) => labels.iter().map(|class| f64::from(classes.number(class.unwrap()))).collect(),
        };
        let observations = Observations::decode(&layout, &examples.columns, rows.len());
        let select: Vec<u32> = (0..rows.len() as u32).collect();
        let mut statistics = Statistics::new(&layout, kind.task);
        statistics.observe(&observations, &labels, &select);
        let preparation = Preparation::new(&layout, &statistics);
        let batch = Prepared::new(&preparation, &observations, &select).with_targets(&labels, &classes);

        let mut learner = kind.learner(&layout).unwrap();
        learner.learn(&batch);
        let idle = kind.learner(&layout).unwrap();
        let mut combined = kind.learner(&layout).unwrap();
        let shards = [Shard { learner: &*idle, examples: 0 }, Shard { learner: &*learner, examples: 400 }];
        combined.combine(&shards).unwrap();
        // Clusters of shards, and those for which there are too few rows to begin, start again from the rows of all shards.
        let few_rows = options.kind.parameters.contains(&("clusters".to_owned(), 256.0.into()));
        let starts_again = kind.task == Task::Clustering && (options.shards > 1 || few_rows);
        assert!(starts_again || combined.save() == learner.save(), "{name}");
        match kind.combining {
            Combining::Averaged if starts_again => {}
            // Two shards in the same state have that state for their mean.
            Combining::Averaged => {
                let copy = learner.clone_box();
                let shards = [Shard { learner: &*learner, examples: 100 }, Shard { learner: &*copy, examples: 100 }];
                combined.combine(&shards).unwrap();
                assert!(combined.save() == learner.save(), "{name}");
            }
            Combining::Kept => {}
            // Shards of a window know what one learner of all its examples does, and what was known before.
            Combining::Added => {
                let select: [Vec<u32>; 2] =
                    [0, 1].map(|part| (0..rows.len() as u32).filter(|row| row % 2 == part).collect());
                let mut start = learner.clone_box();
                let parts = select.map(|select| {
                    let labels: Vec<f64> = select.iter().map(|row| labels[*row as usize]).collect();
                    let batch = Prepared::new(&preparation, &observations, &select).with_targets(&labels, &classes);
                    let mut part = learner.clone_box();
                    part.learn(&batch);
                    part
                });
                let shards = parts.each_ref().map(|part| Shard { learner: &**part, examples: 200 });
                start.combine(&shards).unwrap();
                learner.learn(&batch);
                assert!(start.save() == learner.save(), "{name}");
            }
        }
    }
}

#[test]
fn empty_windows_and_unknown_values_are_handled() {
    for (name, options) in everything() {
        let task = task(&options);
        let mut trainer = trainer(&options);
        assert!(trainer.work(1) && trainer.close(DAY).is_none(), "{name}: an empty window makes no version");
        assert!(trainer.learn(&examples(task, &[])).is_empty());
        let rows = generate(300, 23, 1);
        trainer.learn(&examples(task, &rows));
        let version = trainer.close(trainer.window_of(rows[0].known)).unwrap();
        assert_eq!(version.number, 1, "{name}");
        assert!(trainer.close(40 * DAY).is_none());
        let stranger = Row { town: Some("Atlantis".into()), hour: Some(77), ..rows[0].clone() };
        let prediction = version.predictor.predict(&examples(task, &[stranger]).columns, 1);
        assert!(prediction.values().iter().all(|p| p.is_finite()), "{name}");
        assert!(version.predictor.predict(&examples(task, &[]).columns, 0).is_empty(), "{name}");
    }
}

#[test]
fn a_damaged_state_is_an_error_and_never_a_panic() {
    for (_, options) in everything().into_iter().filter(|(name, _)| name.contains("gated")) {
        let bytes = Trial::new(generate(400, 29, 3)).run(&options).state;
        let config = trainer(&options).config().clone();
        for at in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
            assert!(Trainer::load(config.clone(), &bytes[..at]).is_err());
            let mut flipped = bytes.clone();
            flipped[at] ^= 0xA5;
            drop(Trainer::load(config.clone(), &flipped));
        }
        let other = TrainerConfig { definition: "other".into(), ..config };
        assert!(Trainer::load(other, &bytes).is_err());
    }
}

#[test]
fn the_state_of_trees_is_bounded() {
    let bounds: [(&str, &[(&str, f64)]); 3] = [
        ("hoeffding_tree", &[("max_leaves", 8.0), ("grace", 50.0)]),
        ("forest", &[("max_leaves", 8.0), ("trees", 3.0)]),
        ("gbdt", &[("max_examples", 500.0), ("trees", 5.0)]),
    ];
    for (name, parameters) in bounds {
        let kind = ModelKind::find(name).unwrap();
        let mut options = default_of(kind);
        options.kind.parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let options = ModelOptions { categorical: vec!["hour".into()], ..options };
        let layout = Arc::new(SlotLayout::new(&inputs(), &options).unwrap());
        let rows = generate(6000, 67, 1);
        let examples = examples(kind.task, &rows);
        let Labels::Numbers(labels) = &examples.labels else { panic!("labels of a binary kind are numbers") };
        let observations = Observations::decode(&layout, &examples.columns, rows.len());
        let preparation = Preparation::new(&layout, &Statistics::new(&layout, kind.task));
        let mut learner = kind.learner(&layout).unwrap();
        let mut size = |windows: usize| {
            for _ in 0..windows {
                let select: Vec<u32> = (0..rows.len() as u32).collect();
                learner.learn(
                    &Prepared::new(&preparation, &observations, &select).with_targets(labels, &Classes::default()),
                );
                while !learner.refit(1000) {}
            }
            learner.save().values().map(|tensor| tensor.to_le_bytes().len()).sum::<usize>()
        };
        let (some, more) = (size(4), size(8));
        assert!(more * 10 < some * 12, "{name}: {some} and {more} bytes");
    }
}

fn softmax() -> ModelOptions {
    ModelOptions { kind: "softmax".into(), hash_bits: 10, ..ModelOptions::default() }
}

#[test]
fn a_version_knows_a_class_from_the_end_of_the_window_in_which_it_first_came() {
    let rows = generate(2000, 51, 4);
    let ran = Trial::new(rows.clone()).run(&softmax());
    let classes = |version: &Version| version.predictor.classes().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(classes(&ran.versions[1]), ["high", "low", "middle"]);
    assert_eq!(classes(&ran.versions[2]), ["high", "highest", "low", "middle"]);
    let newcomer = rows.iter().position(|row| row.class == "highest" && row.time > 2 * DAY).unwrap();
    assert_eq!(ran.scored.prediction(newcomer).len(), 3, "it was scored before its window's end");
}

#[test]
fn classes_are_the_same_whichever_shard_sees_them_first() {
    let rows = generate(2000, 53, 4);
    let sharded = ModelOptions { shards: 5, ..softmax() };
    let one = Trial::new(rows.clone()).run(&softmax()).versions;
    let five = Trial::new(rows).run(&sharded).versions;
    for (one, five) in one.iter().zip(&five) {
        assert_eq!(one.predictor.classes(), five.predictor.classes());
    }
}

#[test]
fn classes_beyond_the_most_are_scored_and_not_learnt() {
    let mut options = softmax();
    options.kind.parameters.push(("max_classes".to_owned(), 2.0.into()));
    let ran = Trial::new(generate(2000, 55, 4)).run(&options);
    assert!(ran.versions.iter().all(|version| version.predictor.classes().len() == 2));
    assert!(metric(&ran.versions[3].prequential.champion, "accuracy") > 0.3);
}

fn gated() -> ModelOptions {
    let publish = Some(Gate {
        metric: "logloss".into(),
        tolerance: 0.02,
        holdout: 0.2,
        windows: 3,
        unanswered: Default::default(),
        rollback: None,
    });
    ModelOptions { hash_bits: 10, publish, ..ModelOptions::default() }
}

fn flip(rows: &mut [Row], windows: std::ops::Range<i64>) {
    rows.iter_mut().filter(|row| windows.contains(&(row.known / DAY))).for_each(|row| row.label = 1.0 - row.label);
}

fn decisions(versions: &[Version]) -> Vec<Decision> {
    versions.iter().map(|version| version.decision).collect()
}

#[test]
fn one_poisoned_window_is_refused_and_leaves_no_trace() {
    use Decision::{Published, Refused};
    let mut rows = generate(6000, 31, 6);
    flip(&mut rows, 3..4);
    let versions = Trial::new(rows.clone()).run(&gated()).versions;
    assert_eq!(decisions(&versions), [Published, Published, Published, Refused, Published, Published]);
    assert_eq!((versions[3].champion, versions[4].parent), (3, Some(3)));
    assert!(versions[3].reason.contains("held-out"), "{}", versions[3].reason);
    rows.retain(|row| row.known / DAY != 3);
    let without = Trial::new(rows).run(&gated()).versions;
    let weights = |version: &Version| format!("{:?}", version.predictor.save());
    assert_eq!(weights(&versions[4]), weights(&without[3]));
}

#[test]
fn a_gate_whose_metric_has_no_answer_says_so_and_keeps_the_champion_unless_told_otherwise() {
    use Decision::{Published, Refused};
    let mut rows = generate(3000, 71, 3);
    // From the second day on, all labels are of one class.
    rows.iter_mut().filter(|row| row.known >= DAY).for_each(|row| row.label = 1.0);
    let run = |rows: &[Row], metric: &str, holdout, unanswered| {
        let publish = Gate { metric: metric.into(), tolerance: 0.02, holdout, windows: 1, unanswered, rollback: None };
        Trial::new(rows.to_vec()).run(&ModelOptions { publish: Some(publish), ..gated() }).versions
    };
    let kept = run(&rows, "auc", 0.2, GateFallback::Keep);
    assert_eq!(decisions(&kept), [Published, Refused, Refused], "the first version is always accepted");
    assert!(kept[1].reason.contains("labels of one class only"), "{}", kept[1].reason);
    assert!(kept[1].reason.ends_with("version 1 stays champion"), "{}", kept[1].reason);
    assert_eq!((kept[2].champion, kept[2].parent), (1, Some(1)));
    let published = run(&rows, "auc", 0.2, GateFallback::Publish);
    assert_eq!(decisions(&published), [Published, Published, Published]);
    assert!(published[1].reason.contains("labels of one class only"), "{}", published[1].reason);
    let answered = run(&rows, "logloss", 0.2, GateFallback::Keep);
    assert!(answered[1].reason.contains("held-out examples; within 0.02"), "{}", answered[1].reason);
    // Too few keys for one to be held out.
    let none = run(&rows[..20], "logloss", 1e-9, GateFallback::Keep);
    assert_eq!(decisions(&none), [Published]);
    let none = run(&rows, "logloss", 1e-9, GateFallback::Keep);
    assert_eq!(decisions(&none), [Published, Refused, Refused]);
    assert!(none[1].reason.starts_with("no example of the 1 newest windows is held out"), "{}", none[1].reason);
}

#[test]
fn a_poisoned_window_of_large_targets_is_refused() {
    use Decision::{Published, Refused};
    for size in [1.0, 1e9, 1e13, 1e17] {
        let mut rows = generate(6000, 73, 6);
        for row in &mut rows {
            let poisoned = row.known / DAY == 3;
            row.label = size * (1.0 + if poisoned { 5.0 } else { 0.1 } * row.label);
        }
        let gate = Gate {
            metric: "rmse".into(),
            tolerance: size * 0.01,
            holdout: 0.2,
            windows: 3,
            unanswered: GateFallback::Keep,
            rollback: None,
        };
        let options = ModelOptions { kind: "linear".into(), publish: Some(gate), ..gated() };
        let versions = Trial::new(rows).run(&options).versions;
        assert_eq!(decisions(&versions)[..4], [Published, Published, Published, Refused], "{size}");
        assert!(versions[3].reason.contains("rmse worse than of version 3 by"), "{}", versions[3].reason);
        let prequential = &versions[2].prequential;
        assert!(metric(&prequential.champion, "rmse") >= metric(&prequential.champion, "mae"), "{size}");
        assert!(metric(&prequential.champion, "rmse") < 0.1 * size, "{size}");
    }
}

#[test]
fn a_poisoned_version_that_is_forced_through_is_rolled_back_within_one_window_and_leaves_no_trace() {
    use Decision::{Published, Refused};
    let mut rows = generate(8000, 31, 8);
    flip(&mut rows, 3..4);
    // Of a bounded metric, one window of wrong labels costs a good champion no more than the one before it.
    let gate = Gate { metric: "accuracy".into(), tolerance: 1e9, rollback: Some(0.2), ..gated().publish.unwrap() };
    let options = ModelOptions { publish: Some(gate), ..gated() };
    let versions = Trial::new(rows.clone()).run(&options).versions;
    let expected = [Published, Published, Published, Published, Refused, Published, Published, Published];
    assert_eq!(decisions(&versions), expected);
    let champions: Vec<u64> = versions.iter().map(|version| version.champion).collect();
    assert_eq!(champions, [1, 2, 3, 4, 3, 6, 7, 8]);
    let rolled_back: Vec<Option<u64>> = versions.iter().map(|version| version.rolled_back).collect();
    assert_eq!(rolled_back, [None, None, None, None, Some(4), None, None, None]);
    let reason = &versions[4].reason;
    assert!(
        reason.starts_with("it continues from version 4, which is rolled back to version 3: accuracy was worse by")
    );
    assert_eq!((versions[4].parent, versions[5].parent), (Some(4), Some(3)));
    // Neither the poisoned window nor the one whose version continued from it is learnt.
    let without: Vec<Row> = rows.iter().filter(|row| ![3, 4].contains(&(row.known / DAY))).cloned().collect();
    let without = Trial::new(without).run(&options).versions;
    let weights = |version: &Version| format!("{:?}", version.predictor.save());
    assert_eq!(weights(&versions[5]), weights(&without[3]));
    // Saving and loading, in between and while a window is closed, changes nothing.
    let whole = Trial::new(rows.clone()).run(&options);
    let pieces =
        Trial { slice: 100, save_every: 3, work: 64, save_while_closing: true, ..Trial::new(rows) }.run(&options);
    assert_eq!(pieces.digest(), whole.digest());
    assert_eq!(pieces.versions[4].rolled_back, Some(4));
}

#[test]
fn a_shifted_input_and_shifted_predictions_have_a_large_stability_index_in_their_window_alone() {
    let mut rows = generate(8000, 31, 8);
    // From one window on, one number is half of what it was, and another is null for a third of the rows.
    for row in rows.iter_mut().filter(|row| row.known / DAY >= 5) {
        row.x = row.x.map(|x| x / 2.0 + 700.0);
        row.y = row.y.filter(|_| row.id % 3 > 0);
    }
    let versions = Trial::new(rows.clone()).run(&ModelOptions::default()).versions;
    assert!(versions[0].stability.inputs.is_empty(), "there is no champion yet");
    for version in &versions[1..] {
        let changed: Vec<&str> = version.stability.changed().map(|(input, _)| input).collect();
        let expected: &[&str] = if version.number == 6 { &["x", "y"] } else { &[] };
        assert_eq!(changed, expected, "{}: {:?}", version.number, version.stability);
        let predictions = version.stability.predictions.map(|index| index > Stability::MUCH);
        let expected = (version.number > 2).then_some(version.number == 6);
        assert_eq!(predictions, expected, "{}: {:?}", version.number, version.stability);
    }
    let pieces = Trial { slice: 70, save_every: 5, work: 64, save_while_closing: true, ..Trial::new(rows) };
    let pieces = pieces.run(&ModelOptions::default()).versions;
    let of = |versions: &[Version]| versions.iter().map(|version| version.stability.clone()).collect::<Vec<_>>();
    assert_eq!(of(&pieces), of(&versions));
}

#[test]
fn a_champion_as_good_as_its_predecessor_stays() {
    let gate = Gate { rollback: Some(0.05), ..gated().publish.unwrap() };
    let versions = Trial::new(generate(6000, 31, 6)).run(&ModelOptions { publish: Some(gate), ..gated() }).versions;
    assert!(versions.iter().all(|version| version.rolled_back.is_none()));
}

#[test]
fn a_lasting_change_is_accepted_by_its_second_window() {
    let mut rows = generate(6000, 37, 6);
    flip(&mut rows, 3..6);
    let versions = Trial::new(rows).run(&gated()).versions;
    assert_eq!(decisions(&versions)[4..], [Decision::Published; 2]);
}

#[test]
fn a_held_out_key_is_never_learnt() {
    let rows = generate(2000, 41, 2);
    let versions = Trial::new(rows.clone()).run(&gated()).versions;
    let learnt: u64 = versions.iter().map(|version| version.examples).sum();
    assert!((1500..1700).contains(&learnt), "{learnt}");
    let plain = Trial::new(rows).run(&ModelOptions { publish: None, ..gated() }).versions;
    assert_eq!(plain.iter().map(|version| version.examples).sum::<u64>(), 2000);
}

#[test]
fn an_example_is_scored_by_the_version_of_its_own_time() {
    let rows = generate(1000, 43, 5);
    let ran = Trial::new(rows.clone()).run(&ModelOptions { hash_bits: 10, ..ModelOptions::default() });
    for (row, version) in rows.iter().zip(&ran.scored.version) {
        let in_force = ran.versions.iter().rev().find(|v| v.window_end <= row.time).map_or(0, |v| v.number);
        assert_eq!(*version, in_force);
    }
    let crossing = |(row, version): (&Row, &u64)| *version > 0 && row.time / DAY < row.known / DAY;
    assert!(rows.iter().zip(&ran.scored.version).any(crossing));
}

#[test]
fn options_are_checked_all_at_once() {
    let parameters = vec![("alpha".into(), 0.0.into()), ("gamma".into(), 1.0.into())];
    let options = ModelOptions {
        optimizer: Some(OptimizerOptions { name: "ftrl".into(), parameters }),
        bins: 1000,
        hash_bits: 99,
        ..ModelOptions::default()
    };
    assert_eq!(check_options(&options, &inputs()).unwrap_err().len(), 4);
}

/// Digests of every version and prediction of a small run.
const DIGESTS: &str = "\
78b4bd96f3958b97 logistic by ftrl
e21eba2da2e54a62 logistic by adagrad
a0ef06723d532cea logistic by sgd
35e069782c4a42ce logistic by adam
c4127c8302368efe logistic sharded, gated, with bins and crosses
4712adc910006636 logistic fresh
695821b428795440 linear by ftrl
b9c721de6916903e linear by adagrad
bdef118206f58d86 linear by sgd
64e4625bda97dfbe linear by adam
300bc030df4da789 linear sharded, gated, with bins and crosses
f7cdb4d6f57ab421 linear fresh
27577e3db35ae660 poisson by ftrl
27c9a6e0e784b5ac poisson by adagrad
a9ef867f01afc16e poisson by sgd
402ca167a41d6e21 poisson by adam
5e3856da6f5e1f5b poisson sharded, gated, with bins and crosses
b886e86283c1cbf5 poisson fresh
";

/// A model in use predicts the same after an upgrade, and a replay repeats its versions.
#[test]
fn versions_and_predictions_of_the_known_kinds_never_change() {
    let rows = generate(600, 61, 3);
    let digest = |(name, options): (String, ModelOptions)| {
        format!("{} {name}\n", &Trial::new(rows.clone()).run(&options).digest()[..16])
    };
    let found: String = everything().into_iter().map(digest).collect();
    for known in DIGESTS.lines() {
        assert!(found.lines().any(|line| line == known), "{known}\nis not in\n{found}");
    }
}

#[test]
fn an_arm_that_is_the_champion_has_the_bits_of_its_scores() {
    for (name, options) in everything().into_iter().filter(|(name, _)| !name.contains(" with ")) {
        if task(&options) == Task::Clustering {
            continue;
        }
        // Labels are known at once, so the champion of an example is that of its window.
        let rows: Vec<Row> = generate(900, 5, 3).into_iter().map(|row| Row { time: row.known, ..row }).collect();
        let windows: Vec<&[Row]> = rows.chunk_by(|one, other| one.known / DAY == other.known / DAY).collect();
        let mut trainer = trainer(&options);
        let close = |trainer: &mut Trainer, window: &[Row]| {
            trainer.learn(&examples(task(&options), window));
            trainer.close(trainer.window_of(window[0].known)).unwrap()
        };
        let first = close(&mut trainer, windows[0]);
        let arm = |name: &str, version: Option<&Version>| ScoredArm {
            name: name.to_owned(),
            version: version
                .map(|version| ScoredVersion { number: version.number, predictor: version.predictor.clone() }),
        };
        let config = trainer.config().clone();
        let mut arms = ArmScorer::new(&config);
        arms.open(vec![arm("champion", None), arm("same", Some(&first)), arm("again", Some(&first))]);
        let (before, after) = windows[1].split_at(windows[1].len() / 3);
        arms.score(&examples(task(&options), before));
        // A restart in the midst of the window changes no bit.
        let saved = arms.save();
        let mut restarted = ArmScorer::new(&config);
        restarted.load(saved, |number| (number == 1).then(|| first.predictor.clone()));
        restarted.score(&examples(task(&options), after));
        let second = close(&mut trainer, windows[1]);
        let closed = restarted.close(&second.prequential);
        assert_eq!(closed.len(), 3, "{name}");
        let bits =
            |scores: &[(&'static str, f64)]| scores.iter().map(|(name, x)| (*name, x.to_bits())).collect::<Vec<_>>();
        for arm in &closed {
            assert_eq!(bits(&arm.scores), bits(&second.prequential.champion), "{name}: {}", arm.name);
        }
        assert!(!second.prequential.champion.is_empty(), "{name}");
    }
}
