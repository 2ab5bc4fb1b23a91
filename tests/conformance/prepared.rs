//! Preparation of inputs and weights of examples: the use of each option, and what is refused.

use crate::common::training::{DAY, Row, Trial, examples, generate, inputs, lcg, task};
use crate::model::default_of;
use tidemill::model::{
    ClassWeights, InputOptions, KINDS, ModelKind, ModelOptions, SamplingOptions, Task, TrainedBy, Version,
    check_options,
};

fn plain() -> ModelOptions {
    ModelOptions { hash_bits: 12, ..ModelOptions::default() }
}

fn sampled(sampling: SamplingOptions) -> ModelOptions {
    ModelOptions { sampling, ..plain() }
}

fn preparing(preparing: InputOptions) -> ModelOptions {
    ModelOptions { preparing, ..plain() }
}

/// The prediction of one row by a version.
fn prediction(version: &Version, row: &Row) -> f64 {
    version.predictor.predict(&examples(Task::Binary, std::slice::from_ref(row)).columns, 1).row(0)[0]
}

fn mean_prediction(version: &Version, rows: &[Row]) -> f64 {
    rows.iter().map(|row| prediction(version, row)).sum::<f64>() / rows.len() as f64
}

fn last(rows: &[Row], options: &ModelOptions) -> Version {
    Trial::new(rows.to_vec()).run(options).versions.pop().unwrap()
}

fn metric(version: &Version, name: &str) -> f64 {
    version.prequential.champion.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Rows with a label that is rarely true and that inputs tell something of.
fn rare(count: usize, windows: i64) -> Vec<Row> {
    let (mut rows, mut random) = (generate(count, 71, windows), lcg(73));
    for row in &mut rows {
        row.label = f64::from(u8::from(random() < if row.flag == Some(true) { 0.06 } else { 0.01 }));
    }
    rows
}

#[test]
fn predictions_are_corrected_for_negatives_that_were_not_learnt() {
    let rows = rare(20_000, 10);
    let rate = rows.iter().map(|row| row.label).sum::<f64>() / rows.len() as f64;
    for kind in KINDS.iter().filter(|kind| kind.task == Task::Binary && kind.name != "passive_aggressive") {
        let sampling = SamplingOptions { negative_sampling: Some(0.2), ..SamplingOptions::default() };
        let options = ModelOptions { hash_bits: 8, sampling, ..default_of(kind) };
        let ran = Trial::new(rows.clone()).run(&options);
        let learnt: u64 = ran.versions.iter().map(|version| version.examples).sum();
        let expected = rows.len() as f64 * (rate + 0.2 * (1.0 - rate));
        assert!((learnt as f64 - expected).abs() < 0.05 * expected, "{}: {learnt} of {expected}", kind.name);
        let mean = mean_prediction(ran.versions.last().unwrap(), &rows[18_000..]);
        // Naive Bayes is known for probabilities that are too far out.
        let most = if kind.name == "naive_bayes" { 0.5 } else { 0.25 };
        assert!((mean - rate).abs() < most * rate, "{}: {mean} is predicted of {rate}", kind.name);
    }
}

#[test]
fn predictions_of_many_rows_at_once_are_corrected_a_single_time() {
    let rows = rare(2000, 4);
    let sampling = SamplingOptions { negative_sampling: Some(0.2), ..SamplingOptions::default() };
    let version = last(&rows, &sampled(sampling));
    let all = version.predictor.predict(&examples(Task::Binary, &rows).columns, rows.len());
    for (row, predicted) in rows.iter().zip(all.values()).step_by(97) {
        assert_eq!(prediction(&version, row).to_bits(), predicted.to_bits());
    }
}

#[test]
fn classes_count_as_their_weights_say() {
    let rows = rare(10_000, 10);
    let with = |class_weight| {
        let version = last(&rows, &sampled(SamplingOptions { class_weight, ..SamplingOptions::default() }));
        mean_prediction(&version, &rows[9_000..])
    };
    let (none, balanced) = (with(None), with(Some(ClassWeights::Balanced)));
    assert!(none < 0.06 && (0.3..0.7).contains(&balanced), "{none}, balanced {balanced}");
    let odds = |p: f64| p / (1.0 - p);
    let tenfold = with(Some(ClassWeights::Named([("true".to_owned(), 10.0)].into())));
    let ratio = odds(tenfold) / odds(none);
    assert!((5.0..15.0).contains(&ratio), "ten times the weight is {ratio} times the odds");
    // Weights of one change no bit.
    let ones = Some(ClassWeights::Named([("true".to_owned(), 1.0)].into()));
    let run = |class_weight| {
        let options = sampled(SamplingOptions { class_weight, ..SamplingOptions::default() });
        last(&rows, &options).predictor.save()
    };
    assert!(run(None) == run(ones));
}

#[test]
fn an_example_of_weight_zero_is_not_learnt_and_null_counts_once() {
    let rows = generate(2000, 75, 4);
    let run = |weights: &dyn Fn(&Row) -> f64| {
        let options = sampled(SamplingOptions { weight: Some("w".into()), ..SamplingOptions::default() });
        let mut trainer = crate::common::training::trainer(&options);
        let mut newest = None;
        for window in rows.chunk_by(|one, other| one.known / DAY == other.known / DAY) {
            let mut examples = examples(task(&options), window);
            examples.weights = window.iter().map(weights).collect();
            trainer.learn(&examples);
            newest = trainer.close(trainer.window_of(window[0].known)).or(newest);
        }
        newest.unwrap()
    };
    let tensors = |version: &Version| version.predictor.save();
    let ones = run(&|_| 1.0);
    assert!(tensors(&ones) == tensors(&last(&rows, &plain())), "all weights are 1");
    assert!(tensors(&ones) == tensors(&run(&|row| if row.id.is_multiple_of(2) { f64::NAN } else { 1.0 })), "null is 1");
    let (none, negative) = (
        run(&|row| f64::from(row.id.is_multiple_of(2))),
        run(&|row| if row.id.is_multiple_of(2) { 1.0 } else { -3.0 }),
    );
    assert!(tensors(&none) == tensors(&negative), "a negative weight is 0");
    assert!((none.examples as f64 - ones.examples as f64 / 2.0).abs() < 20.0, "{}", none.examples);
    // Weights on one side move predictions there.
    let skewed = run(&|row| if row.label > 0.5 { 4.0 } else { 1.0 });
    assert!(mean_prediction(&skewed, &rows) > mean_prediction(&ones, &rows) + 0.05);
}

#[test]
fn rare_categories_share_what_is_learnt_of_them() {
    let mut rows = generate(6000, 77, 6);
    for row in &mut rows {
        let is_rare = row.id.is_multiple_of(10);
        row.town = Some(if is_rare { format!("hamlet {}", row.id) } else { format!("city {}", row.id % 3) });
        row.label = f64::from(u8::from(is_rare));
    }
    let stranger = Row { town: Some("a place never heard of".into()), ..rows[1].clone() };
    let with = |min_count| last(&rows, &preparing(InputOptions { min_count, ..InputOptions::default() }));
    let (own, shared) = (with(1), with(5));
    // Of a stranger, a version without a shared weight only knows that it is none of the cities.
    let (unknown, rare) = (prediction(&own, &stranger), prediction(&shared, &stranger));
    assert!(rare > 0.7 && unknown < rare - 0.2, "{unknown}, and {rare} as one of the rare");
    let known = Row { town: Some("city 1".into()), ..stranger };
    assert!(prediction(&shared, &known) < 0.1, "{}", prediction(&shared, &known));
}

#[test]
fn a_category_that_no_longer_comes_is_forgotten() {
    for kind in KINDS.iter().filter(|kind| kind.by_steps && kind.task == Task::Binary && kind.least_categories == 0) {
        let mut rows = generate(4000, 79, 8);
        for row in &mut rows {
            let comes = row.known / DAY < 3 && row.id.is_multiple_of(2);
            row.town = Some(if comes { "once" } else { "always" }.to_owned());
            row.label = f64::from(u8::from(comes)).max(f64::from(u8::from(row.id.is_multiple_of(7))));
        }
        let of = |town: &str| Row { town: Some(town.into()), ..rows[1].clone() };
        let with = |expire, day| {
            let preparing = InputOptions { expire, ..InputOptions::default() };
            let options = ModelOptions { hash_bits: 12, preparing, ..default_of(kind) };
            Trial::new(rows.clone()).run(&options).versions.remove(day)
        };
        let (kept, forgotten) = (with(0, 7), with(3, 7));
        let apart = |version: &Version| (prediction(version, &of("once")) - prediction(version, &of("Atlantis"))).abs();
        assert!(apart(&kept) > 0.05, "{}: {}", kind.name, apart(&kept));
        assert!(apart(&forgotten) < 1e-12, "{}: {}", kind.name, apart(&forgotten));
        assert!(apart(&with(3, 3)) > 0.05, "{}: it is known until then", kind.name);
    }
}

#[test]
fn winsorised_numbers_are_learnt_despite_outliers() {
    let mut rows = generate(6000, 81, 6);
    for row in &mut rows {
        row.label = f64::from(u8::from(row.x.is_some_and(|x| x > 500.0)));
        row.x = if row.id.is_multiple_of(200) { Some(1e14) } else { row.x };
    }
    let with =
        |winsorise| metric(&last(&rows, &preparing(InputOptions { winsorise, ..InputOptions::default() })), "auc");
    let (raw, cut) = (with(0.0), with(0.01));
    assert!(raw < 0.8 && cut > 0.95, "{raw}, winsorised {cut}");
}

#[test]
fn words_of_a_text_are_learnt_and_so_are_words_that_follow_each_other() {
    let (mut rows, mut random) = (generate(6000, 83, 6), lcg(85));
    let words = ["fine", "Dull", "long", "short", "old", "new"];
    for row in &mut rows {
        let mut text: Vec<&str> = (0..6).map(|_| words[(random() * 6.0) as usize]).collect();
        let is_good = random() < 0.5;
        let filler = words[(random() * 6.0) as usize];
        // Only the order of two words tells.
        text.extend(if is_good { ["not", "bad,", filler, "good"] } else { ["bad", filler, "not", "GOOD!"] });
        row.town = Some(text.join(" "));
        row.label = f64::from(u8::from(is_good));
    }
    let with = |tokens: &[&str], ngrams| {
        let tokens = tokens.iter().map(|name| (*name).to_owned()).collect();
        metric(&last(&rows, &preparing(InputOptions { tokens, ngrams, ..InputOptions::default() })), "auc")
    };
    let (whole, single, pairs) = (with(&[], 1), with(&["town"], 1), with(&["town"], 2));
    assert!(whole < 0.6 && single < 0.6 && pairs > 0.95, "{whole}, words {single}, pairs {pairs}");
    for kind in KINDS.iter().filter(|kind| kind.task == Task::Binary && kind.least_categories == 0) {
        let mut rows = rows.clone();
        rows.iter_mut().for_each(|row| row.town = Some(if row.label > 0.5 { "so good" } else { "not so" }.into()));
        let preparing = InputOptions { tokens: vec!["town".into()], ..InputOptions::default() };
        let auc = metric(&last(&rows, &ModelOptions { hash_bits: 8, preparing, ..default_of(kind) }), "auc");
        assert!(auc > 0.95, "{}: {auc}", kind.name);
    }
}

#[test]
fn options_that_a_kind_has_no_use_for_are_refused_with_the_reason() {
    let errors = |kind: &str, task, sampling: SamplingOptions, preparing: InputOptions| -> Vec<String> {
        let kind = ModelKind::tasks_of(kind).find(|kind| kind.task == task).unwrap();
        let optimizer = ModelOptions::default().optimizer.filter(|_| kind.trained_by == TrainedBy::Optimizer);
        let options = ModelOptions { optimizer, sampling, preparing, ..default_of(kind) };
        check_options(&options, &inputs()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    let sampling = SamplingOptions {
        weight: Some("x".into()),
        class_weight: Some(ClassWeights::Balanced),
        negative_sampling: Some(0.5),
    };
    let none = InputOptions::default;
    let found = errors("gbdt", Task::Regression, sampling.clone(), none());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("count every example once; expected no `weight`"), "{found:?}");
    assert!(found[2].contains("do not predict the probability of true"), "{found:?}");
    let found = errors("linear", Task::Regression, SamplingOptions { weight: None, ..sampling.clone() }, none());
    assert!(found[0].contains("predict no classes; expected no `class_weight`"), "{found:?}");
    let named = ClassWeights::Named([("yes".to_owned(), 0.0)].into());
    let wrong = SamplingOptions { class_weight: Some(named), negative_sampling: Some(0.0), weight: None };
    let found = errors("logistic", Task::Binary, wrong, none());
    assert_eq!(found.len(), 3, "{found:?}");
    let all =
        InputOptions { winsorise: 0.5, min_count: 2, expire: 3, tokens: vec!["x".into(), "nope".into()], ngrams: 9 };
    let found = errors("forest", Task::Binary, SamplingOptions::default(), all.clone());
    assert_eq!(found.len(), 5, "{found:?}");
    let found = errors("logistic", Task::Binary, SamplingOptions::default(), all);
    assert_eq!(found.len(), 2, "{found:?}");
    let texts = InputOptions { tokens: vec!["x".into(), "nope".into()], ..none() };
    let found = errors("logistic", Task::Binary, SamplingOptions::default(), texts);
    assert_eq!(found.len(), 2, "{found:?}");
    let text = InputOptions { tokens: vec!["town".into()], ..none() };
    assert!(errors("matrix_factorization", Task::Regression, SamplingOptions::default(), text).len() == 1);
}
