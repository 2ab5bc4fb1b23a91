//! Models at their defaults: rare labels, tiny windows, numbers that are constant within a window, and divergence.

use crate::common::training::{DAY, Row, Trial, generate, lcg, task, trainer};
use crate::model::default_of;
use tidemill::model::{
    Decision, KINDS, LabelUse, ModelKind, ModelOptions, OptimizerOptions, Scored, Task, Trainer, Version, WindowScores,
};

/// The kinds that learn by steps, at their defaults.
fn stepwise() -> impl Iterator<Item = ModelOptions> {
    let kinds = KINDS.iter().filter(|kind| kind.by_steps);
    kinds.map(|kind| ModelOptions { hash_bits: 8, ..default_of(kind) })
}

fn metric(scores: &[(&'static str, f64)], name: &str) -> f64 {
    scores.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name} in {scores:?}")).1
}

/// The probability that a prediction has for the rare class.
fn rare(scored: &Scored, row: usize) -> Option<f64> {
    let prediction = scored.prediction(row);
    match scored.classes(row) {
        [] => prediction.first().copied(),
        classes => Some(classes.iter().position(|class| &**class == "rare").map_or(0.0, |at| prediction[at])),
    }
}

#[test]
fn a_rare_label_is_predicted_at_its_rate_from_the_first_version_on() {
    for options in stepwise().filter(|options| matches!(task(options), Task::Binary | Task::Multiclass)) {
        let (windows, mut random) = (20, lcg(3));
        let mut rows = generate(windows * 300, 5, windows as i64);
        for row in &mut rows {
            let is_rare = random() < 0.01;
            (row.label, row.class) = (f64::from(u8::from(is_rare)), if is_rare { "rare" } else { "usual" });
        }
        let ran = Trial::new(rows.clone()).run(&options);
        assert!(ran.versions.len() > 17, "{:?}: {} versions", options.kind, ran.versions.len());
        for day in 0..windows as i64 {
            let own = rows.iter().enumerate().filter(|(_, row)| row.known / DAY == day);
            let of_day: Vec<f64> = own.filter_map(|(at, _)| rare(&ran.scored, at)).collect();
            let mean = of_day.iter().sum::<f64>() / of_day.len().max(1) as f64;
            assert!(of_day.is_empty() || (0.001..0.04).contains(&mean), "{:?}: {mean} on day {day}", options.kind);
        }
    }
}

#[test]
fn a_number_that_is_constant_within_a_window_does_no_harm() {
    for options in stepwise().filter(|options| matches!(task(options), Task::Binary | Task::Regression)) {
        let windows = 60;
        let mut rows = generate(windows * 100, 7, windows as i64);
        let mut without = rows.clone();
        for (row, bare) in rows.iter_mut().zip(&mut without) {
            row.x = Some((row.known / DAY % 24) as f64);
            bare.x = None;
        }
        let name = if task(&options) == Task::Binary { "logloss" } else { "rmse" };
        let scores = |rows: Vec<Row>| -> Vec<WindowScores> {
            let versions = Trial::new(rows).run(&options).versions;
            versions.into_iter().map(|version| version.prequential).filter(|scores| scores.examples > 50).collect()
        };
        let (with, without) = (scores(rows), scores(without));
        for (window, (own, bare)) in with.iter().zip(&without).enumerate() {
            let (own, bare) = (metric(&own.champion, name), metric(&bare.champion, name));
            assert!(own < 1.25 * bare + 0.05, "{:?}: {own} in window {window}, {bare} without the hour", options.kind);
        }
        let mean = |scores: &[WindowScores]| scores.iter().map(|s| metric(&s.champion, name)).sum::<f64>();
        let (with, without) = (mean(&with), mean(&without));
        assert!(with < 1.1 * without, "{:?}: {with} with the hour, {without} without", options.kind);
    }
}

#[test]
fn windows_before_the_first_version_are_waited_out_and_learnt() {
    for kind in KINDS {
        let options = ModelOptions { hash_bits: 8, ..default_of(kind) };
        let mut rows = generate(60, 9, 12);
        rows.iter_mut().enumerate().for_each(|(at, row)| {
            (row.label, row.class) = if at % 2 == 0 { (0.0, "low") } else { (1.0, "high") };
        });
        let mut trainer = trainer(&options);
        let mut versions: Vec<Version> = Vec::new();
        for window in rows.chunks(5) {
            trainer.learn(&crate::common::training::examples(kind.task, window));
            let examples = trainer.window_of(window[0].known) / DAY * 5;
            let version = trainer.close(trainer.window_of(window[0].known));
            let waiting = trainer.waiting();
            assert_eq!(version.is_none(), examples < 20, "{}: after {examples} examples", kind.name);
            assert_eq!(waiting.map(|waiting| waiting.examples as i64), (examples < 20).then_some(examples));
            versions.extend(version);
            // A state that waits can be saved.
            trainer = Trainer::load(trainer.config().clone(), &trainer.save()).unwrap();
        }
        assert_eq!((versions[0].number, versions[0].examples), (1, 20), "{}", kind.name);
        assert_eq!(versions[1].examples, 5, "{}", kind.name);
    }
}

#[test]
fn a_window_of_one_class_waits_for_another_but_not_for_ever() {
    for kind in KINDS.iter().filter(|kind| kind.label == LabelUse::Required) {
        let has_classes = matches!(kind.task, Task::Binary | Task::Multiclass);
        let options = ModelOptions { hash_bits: 8, ..default_of(kind) };
        let mut rows = generate(400, 11, 4);
        for row in rows.iter_mut() {
            let day = row.known / DAY;
            (row.label, row.class) = if day < 2 || row.id % 3 > 0 { (0.0, "usual") } else { (1.0, "rare") };
        }
        let versions = Trial::new(rows).run(&options).versions;
        let first = &versions[0];
        let expected = if has_classes { (3, 300) } else { (1, 100) };
        assert_eq!((first.window_end / DAY, first.examples), expected, "{}", kind.name);
    }
    let mut rows = generate(12_000, 13, 4);
    rows.iter_mut().for_each(|row| row.label = 0.0);
    let versions = Trial::new(rows).run(&ModelOptions { hash_bits: 8, ..ModelOptions::default() }).versions;
    assert_eq!(versions[0].window_end / DAY, 4, "10,000 examples of one class are an answer");
}

/// A kind with plain gradient descent of a rate.
fn descending(kind: &str, rate: f64) -> ModelOptions {
    let optimizer = OptimizerOptions { name: "sgd".into(), parameters: vec![("rate".into(), rate.into())] };
    let kind = ModelKind::find(kind).unwrap();
    ModelOptions { optimizer: Some(optimizer), hash_bits: 8, ..default_of(kind) }
}

#[test]
fn a_version_that_diverges_is_refused_without_a_gate_and_never_served() {
    for kind in ["logistic", "linear", "factorization_machine"] {
        let (mut rows, mut random) = (generate(3000, 15, 6), lcg(16));
        for row in rows.iter_mut().filter(|_| random() < 0.3) {
            (row.label, row.class) = (1.0 - row.label, "middle");
        }
        let ran = Trial::new(rows.clone()).run(&descending(kind, 300.0));
        let reasons: Vec<&str> = ran.versions.iter().map(|version| version.reason.as_str()).collect();
        assert!(ran.versions.iter().all(|version| version.diverged), "{kind}: {reasons:#?}");
        for version in &ran.versions {
            assert_eq!((version.decision, version.champion), (Decision::Refused, 0), "{kind}");
            assert!(version.reason.starts_with("it has diverged: its "), "{}", version.reason);
        }
        assert!(ran.scored.version.iter().all(|version| *version == 0), "{kind}: nothing was served");
        let calm = Trial::new(rows.clone()).run(&descending(kind, 0.01)).versions;
        assert!(calm.iter().all(|version| !version.diverged), "{kind}");
        // The way of the examples through the trainer changes nothing.
        let pieces = Trial { slice: 17, save_every: 3, work: 40, save_while_closing: true, ..Trial::new(rows) };
        assert_eq!(pieces.run(&descending(kind, 300.0)).digest(), ran.digest(), "{kind}");
    }
}

#[test]
fn the_champion_stays_where_a_later_version_diverges_and_learning_goes_on_from_it() {
    // In one window, inputs jump between the ends of their range: too much for the rate.
    let mut rows = generate(4000, 17, 8);
    for row in rows.iter_mut().filter(|row| row.known / DAY == 4) {
        row.label = 1e6 * (row.id % 2) as f64;
    }
    let options = descending("linear", 0.02);
    let versions = Trial::new(rows).run(&options).versions;
    let refused: Vec<u64> = versions.iter().filter(|version| version.diverged).map(|version| version.number).collect();
    for number in &refused {
        let after = versions.iter().find(|version| version.number == number + 1);
        assert!(after.is_none_or(|after| after.parent < Some(*number)), "{number} leaves no trace");
    }
    assert!(!refused.contains(&4), "{refused:?}");
}

#[test]
fn a_sudden_change_is_no_divergence() {
    for options in stepwise().filter(|options| task(options) == Task::Binary) {
        let mut rows = generate(4000, 19, 40);
        rows.iter_mut().filter(|row| row.known / DAY >= 20).for_each(|row| row.label = 1.0 - row.label);
        let versions = Trial::new(rows).run(&options).versions;
        let refused = versions.iter().filter(|version| version.diverged).count();
        assert!(refused < 3, "{:?}: {refused} versions were refused", options.kind);
        let last = &versions.last().unwrap().prequential;
        assert!(metric(&last.champion, "logloss") < 1.2 * metric(&last.no_skill, "logloss"), "{:?}", options.kind);
    }
}
