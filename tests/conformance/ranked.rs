//! Lists: gates and arms that are compared by how well they rank, against the same computed list by list.

use std::collections::BTreeMap;

use crate::common::training::{DAY, Outcome, Row, Trial, examples, generate, report, task, trainer};
use tidemill::model::{
    ArmScorer, Decision, Gate, GateFallback, KINDS, ModelOptions, Predictor, RankingOptions, ScoredArm, ScoredVersion,
    Task, Version, check_options,
};
use tidemill::value::Key;

const METRIC: &str = "ndcg@10";

fn gate() -> Gate {
    Gate {
        metric: METRIC.into(),
        tolerance: 0.02,
        holdout: 0.3,
        windows: 3,
        unanswered: GateFallback::Keep,
        rollback: None,
    }
}

fn ranked(publish: Option<Gate>) -> ModelOptions {
    let ranking = Some(RankingOptions { by: vec!["id".into()], relevant: 0.5, popularity: None });
    ModelOptions { hash_bits: 10, ranking, publish, ..ModelOptions::default() }
}

/// The rows of this user have none in the trials.
const UNKNOWN: u64 = 39;

/// The user of a row, as the trials name it.
fn user(row: &Row) -> u64 {
    row.id % 40
}

/// Combines two hashes, as documented in `examples/score.py`.
fn mix(one: u64, other: u64) -> u64 {
    let bits = one.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ other;
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Returns whether the list of a row, that of its user in its window, is held out.
fn is_held_out(row: &Row, holdout: f64) -> bool {
    let end = (row.known / DAY + 1) * DAY;
    // A row without a user is a list of its own.
    let list = if user(row) == UNKNOWN { Key::hash_of(&row.id.to_le_bytes()) } else { user(row) };
    let draw = mix(mix(list, end as u64), 1) >> 11;
    (draw as f64 / (1_u64 << 53) as f64) < holdout
}

/// The day and the user of a list.
type ListKey = (i64, u64);

/// An item of a list.
struct Item {
    score: f64,
    tie: u64,
    is_relevant: bool,
}

/// The mean of the normalised discounted cumulative gain of the first ten of each list, of `(list, score, row)`.
fn ndcg<'a>(rows: impl Iterator<Item = (ListKey, f64, &'a Row)>) -> f64 {
    let mut lists: BTreeMap<ListKey, Vec<Item>> = BTreeMap::new();
    for (list, score, row) in rows.filter(|(list, ..)| list.1 != UNKNOWN) {
        let (tie, is_relevant) = (Key::hash_of(&row.id.to_le_bytes()), row.label >= 0.5);
        lists.entry(list).or_default().push(Item { score, tie, is_relevant });
    }
    let gain = |list: &[Item]| -> f64 {
        let first = list.iter().take(10).enumerate();
        first.map(|(at, item)| if item.is_relevant { 1.0 / (at as f64 + 2.0).log2() } else { 0.0 }).sum()
    };
    let (mut sum, mut told) = (0.0, 0.0);
    for mut list in lists.into_values().filter(|list| list.len() > 1 && list.iter().any(|item| item.is_relevant)) {
        list.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.tie.cmp(&other.tie)));
        let found = gain(&list);
        list.sort_by_key(|item| !item.is_relevant);
        (sum, told) = (sum + found / gain(&list), told + 1.0);
    }
    sum / told
}

/// The metric of a version on the held-out lists of some windows.
fn on_held_out(rows: &[Row], predictor: &Predictor, days: std::ops::Range<i64>) -> f64 {
    let held: Vec<Row> = rows
        .iter()
        .filter(|row| days.contains(&(row.known / DAY)) && is_held_out(row, gate().holdout))
        .cloned()
        .collect();
    let predictions = predictor.predict(&examples(Task::Binary, &held).columns, held.len());
    ndcg(held.iter().enumerate().map(|(at, row)| ((row.known / DAY, user(row)), predictions.row(at)[0], row)))
}

fn flip(rows: &mut [Row], windows: std::ops::Range<i64>) {
    rows.iter_mut().filter(|row| windows.contains(&(row.known / DAY))).for_each(|row| row.label = 1.0 - row.label);
}

fn decisions(versions: &[Version]) -> Vec<Decision> {
    versions.iter().map(|version| version.decision).collect()
}

fn run(rows: &[Row], options: &ModelOptions) -> Outcome {
    Trial::new(rows.to_vec()).run(options)
}

#[test]
fn oracle_a_gate_of_lists_holds_whole_lists_out_and_decides_by_the_median_of_their_windows() {
    let mut rows = generate(6000, 31, 6);
    flip(&mut rows, 3..4);
    let versions = run(&rows, &ranked(Some(gate()))).versions;
    let mut refused = 0;
    for (at, version) in versions.iter().enumerate() {
        let day = at as i64;
        // All lists of the window that are not held out are learnt.
        let learnt = rows.iter().filter(|row| row.known / DAY == day && !is_held_out(row, gate().holdout)).count();
        assert_eq!(version.examples, learnt as u64, "version {}", version.number);
        let Some(before) = at.checked_sub(1).map(|before| versions[before].champion) else { continue };
        let champion = &versions[before as usize - 1];
        // Over all windows.
        let first = (day - 2).max(0);
        for (number, of) in [(version.number, version), (before, champion)] {
            let expected = on_held_out(&rows, &of.predictor, first..day + 1);
            let found = version.scores[&number][METRIC];
            assert!((found - expected).abs() < 1e-9, "version {}: {found} for {expected}", version.number);
        }
        // Window by window.
        let worse = |day: i64| {
            let of = |version: &Version| on_held_out(&rows, &version.predictor, day..day + 1);
            of(champion) - of(version)
        };
        let mut differences: Vec<f64> = (first..day + 1).map(worse).collect();
        differences.sort_by(f64::total_cmp);
        let half = differences.len() / 2;
        let median = if differences.len() % 2 == 1 {
            differences[half]
        } else {
            (differences[half - 1] + differences[half]) / 2.0
        };
        let expected = if median <= gate().tolerance { Decision::Published } else { Decision::Refused };
        assert_eq!(version.decision, expected, "version {}: {median}: {}", version.number, version.reason);
        assert!(version.reason.contains(" held-out lists; "), "{}", version.reason);
        refused += u64::from(expected == Decision::Refused);
    }
    assert_eq!(versions[3].decision, Decision::Refused, "what has learnt wrong labels ranks wrongly");
    assert!(refused < 3, "{:?}", decisions(&versions));
}

#[test]
fn a_champion_that_ranks_worse_than_the_one_before_is_rolled_back() {
    use Decision::{Published, Refused};
    let mut rows = generate(8000, 31, 8);
    flip(&mut rows, 3..4);
    let forced = Gate { tolerance: 1e9, holdout: 0.1, rollback: Some(0.1), ..gate() };
    let options = ranked(Some(forced));
    let whole = run(&rows, &options);
    let expected = [Published, Published, Published, Published, Refused, Published, Published, Published];
    assert_eq!(decisions(&whole.versions), expected);
    let fallen = &whole.versions[4];
    assert_eq!((fallen.rolled_back, fallen.champion), (Some(4), 3));
    let (start, end) = ("version 3: ndcg@10 was worse by ", " lists of the window; more than 0.1");
    assert!(fallen.reason.contains(start) && fallen.reason.ends_with(end), "{}", fallen.reason);
    // The lists of the window were ranked by both.
    let day: Vec<(usize, &Row)> = rows.iter().enumerate().filter(|(_, row)| row.known / DAY == 4).collect();
    let of_fourth = |(at, _): &&(usize, &Row)| whole.scored.version[*at] == 4;
    let own = day.iter().filter(of_fourth).map(|(at, row)| ((4, user(row)), whole.scored.prediction(*at)[0], *row));
    let own = ndcg(own);
    let scored: Vec<Row> = day.iter().filter(of_fourth).map(|(_, row)| (*row).clone()).collect();
    let other = whole.versions[2].predictor.predict(&examples(Task::Binary, &scored).columns, scored.len());
    let other = ndcg(scored.iter().enumerate().map(|(at, row)| ((4, user(row)), other.row(at)[0], row)));
    let said = fallen.reason.split("worse by ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    assert!((other - own - said).abs() < 1e-4, "{other} - {own} is not {said}");
    // Saving and loading, in between and while a window is closed, changes nothing.
    let trial = Trial { slice: 100, save_every: 3, work: 64, save_while_closing: true, ..Trial::new(rows) };
    let pieces = trial.run(&options);
    assert_eq!(pieces.digest(), whole.digest());
    assert_eq!(pieces.versions[4].scores, fallen.scores);
    assert!(pieces.state == whole.state);
}

#[test]
fn a_gate_of_lists_without_a_list_that_tells_something_keeps_the_champion() {
    let mut rows = generate(2000, 33, 2);
    rows.iter_mut().filter(|row| row.known >= DAY).for_each(|row| row.label = 0.0);
    let versions = run(&rows, &ranked(Some(Gate { windows: 1, ..gate() }))).versions;
    assert_eq!(decisions(&versions), [Decision::Published, Decision::Refused]);
    let why = " in any window: none has a list of two examples, one of them relevant; version 1 stays champion";
    assert!(versions[1].reason.starts_with("ndcg@10 has no answer on the "), "{}", versions[1].reason);
    assert!(versions[1].reason.ends_with(why), "{}", versions[1].reason);
}

#[test]
fn a_gate_of_lists_needs_lists() {
    let inputs = crate::common::training::inputs();
    for kind in KINDS.iter().filter(|kind| kind.metrics().next().is_some()) {
        let (publish, categorical) = (Some(gate()), vec!["hour".into()]);
        let options = ModelOptions { hash_bits: 10, publish, categorical, ..crate::model::default_of(kind) };
        let errors = check_options(&options, &inputs).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().starts_with("unknown metric `ndcg@10`; "), "{errors:?}");
    }
}

#[test]
fn oracle_an_arm_has_the_metrics_of_its_lists_and_one_that_is_the_champion_the_bits_of_its_own() {
    for kind in KINDS.iter().filter(|kind| matches!(kind.task, Task::Binary | Task::Regression)) {
        let options = ModelOptions { hash_bits: 10, ranking: ranked(None).ranking, ..crate::model::default_of(kind) };
        // Labels are known at once, so the champion of an example is that of its window.
        let rows: Vec<Row> = generate(1500, 5, 3).into_iter().map(|row| Row { time: row.known, ..row }).collect();
        let windows: Vec<&[Row]> = rows.chunk_by(|one, other| one.known / DAY == other.known / DAY).collect();
        let listed = |rows: &[Row]| {
            let mut examples = examples(task(&options), rows);
            report(&options, rows, &mut examples);
            examples
        };
        let mut trainer = trainer(&options);
        let mut close = |window: &[Row]| {
            trainer.learn(&listed(window));
            trainer.close(trainer.window_of(window[0].known)).unwrap()
        };
        let (first, second) = (close(windows[0]), close(windows[1]));
        let arm = |version: &Version| ScoredArm {
            name: version.number.to_string(),
            version: Some(ScoredVersion { number: version.number, predictor: version.predictor.clone() }),
        };
        let config = crate::common::training::trainer(&options).config().clone();
        let mut arms = ArmScorer::new(&config);
        arms.open(vec![arm(&first), arm(&second)]);
        let (before, after) = windows[2].split_at(windows[2].len() / 3);
        arms.score(&listed(before));
        // A restart in the midst of the window changes no bit.
        let saved = arms.save();
        let mut restarted = ArmScorer::new(&config);
        let find = |number| [&first, &second].into_iter().find(|version| version.number == number);
        restarted.load(saved, |number| find(number).map(|version| version.predictor.clone()));
        restarted.score(&listed(after));
        let third = close(windows[2]);
        let closed = restarted.close(&third.prequential);
        let find = |scores: &[(&'static str, f64)]| scores.iter().find(|(name, _)| *name == METRIC).unwrap().1;
        for (closed, version) in closed.iter().zip([&first, &second]) {
            let predictions = version.predictor.predict(&listed(windows[2]).columns, windows[2].len());
            let scored = windows[2].iter().enumerate();
            let expected = ndcg(scored.map(|(at, row)| ((2, user(row)), predictions.row(at)[0], row)));
            let found = find(&closed.scores);
            assert!((found - expected).abs() < 1e-9, "{}: {found} for {expected}", kind.name);
        }
        assert_eq!(find(&closed[1].scores).to_bits(), find(&third.prequential.champion).to_bits(), "{}", kind.name);
        assert_eq!(closed[1].scores, third.prequential.champion, "{}", kind.name);
    }
}
