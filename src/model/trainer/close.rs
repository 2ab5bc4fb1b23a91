//! A window's end: learn what was buffered, combine the shards, freeze, compare, decide.
//!
//! All but the last of it is done in slices of [`Trainer::work`], so that no step holds its caller for long. Nothing of
//! it is saved: a trainer that is saved meanwhile closes the window from the start when it is loaded, to the same end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::learn::CHUNK;
use super::versions::Kept;
use super::window::{Held, Labelled, Window};
use super::{Decision, Head, Trainer, Version};
use crate::model::preparation::{Preparation, Statistics};
use crate::model::{Better, Gate, Learner, METRICS, Predictor, Scores, Task, tensor};
use crate::time::EventTime;

/// How far a closing has come.
#[derive(Default)]
pub(super) struct Closing {
    /// What the first window is prepared with, and the buffered rows learnt so far.
    preparation: Option<Arc<Preparation>>,
    learnt: (usize, usize),
    /// The shards' mean; none of a single shard.
    combined: Option<Box<dyn Learner>>,
    candidate: Option<Arc<Predictor>>,
    comparison: Option<Comparison>,
}

/// Candidate and champion on the held-out examples, window by window.
struct Comparison {
    windows: Vec<[Scores; 2]>,
    /// Row up to which the last of these is compared.
    row: usize,
}

impl Trainer {
    /// Goes on closing the open window, for about `rows` rows of work. True once [`Trainer::close`] has nothing left
    /// but to decide. To be called when no example of the window can come any more.
    pub fn work(&mut self, rows: usize) -> bool {
        if self.window.examples() == 0 {
            return true;
        }
        let mut closing = self.closing.take().unwrap_or_default();
        let done = self.advance(&mut closing, rows.max(1));
        self.closing = Some(closing);
        done
    }

    fn advance(&mut self, closing: &mut Closing, rows: usize) -> bool {
        if closing.candidate.is_none() {
            if self.head.is_none() && !self.learn_buffered(closing, rows) {
                return false;
            }
            let preparation = match (&self.head, &closing.preparation) {
                (Some(head), _) => Arc::clone(&head.preparation),
                (None, own) => Arc::clone(own.as_ref().expect("the first window was learnt with its own preparation")),
            };
            closing.combined = self.combine();
            let learner = closing.combined.as_ref().unwrap_or(&self.window.learners[0]);
            closing.candidate = Some(Arc::new(Predictor::new(self.kind, preparation, learner.freeze())));
            return self.gate().is_none() || self.versions.champion().is_none();
        }
        self.compare(closing, rows)
    }

    /// Learns the first window. True when all is learnt.
    fn learn_buffered(&mut self, closing: &mut Closing, rows: usize) -> bool {
        let fresh = || Arc::new(Preparation::new(&self.layout, &self.window.statistics));
        let preparation = Arc::clone(closing.preparation.get_or_insert_with(fresh));
        if closing.learnt == (0, 0) {
            self.window.learners = (0..self.config.options.shards).map(|_| self.untrained()).collect();
        }
        let pending = std::mem::take(&mut self.window.pending);
        let mut left = rows;
        while let Some(piece) = pending.get(closing.learnt.0).filter(|_| left > 0) {
            let from = closing.learnt.1;
            let to = piece.labels.len().min(from + left.min(CHUNK));
            for shard in 0..self.config.options.shards {
                let own = (from..to).filter(|row| piece.shards[*row] as usize == shard);
                let select: Vec<u32> = own.map(|row| row as u32).collect();
                self.learn_rows(&preparation, shard, &piece.observations, &piece.labels, &select);
            }
            left -= to - from;
            closing.learnt = if to == piece.labels.len() { (closing.learnt.0 + 1, 0) } else { (closing.learnt.0, to) };
        }
        self.window.pending = pending;
        closing.learnt.0 == self.window.pending.len()
    }

    /// The mean of the shards by examples, in shard order.
    fn combine(&self) -> Option<Box<dyn Learner>> {
        let Window { learners, trained, .. } = &self.window;
        if learners.len() == 1 {
            return None;
        }
        let states: Vec<_> = learners.iter().zip(trained).map(|(learner, count)| (learner.save(), *count)).collect();
        let mut combined = self.untrained();
        combined.load(&tensor::average(&states)).expect("the mean of learners fits a learner");
        Some(combined)
    }

    /// Scores held-out examples with candidate and champion. True when all are scored.
    fn compare(&mut self, closing: &mut Closing, rows: usize) -> bool {
        let (Some(champion), Some(candidate)) = (self.versions.champion(), &closing.candidate) else { return true };
        let none = || [Scores::new(self.kind.task), Scores::new(self.kind.task)];
        let comparison = closing.comparison.get_or_insert_with(|| Comparison { windows: vec![none()], row: 0 });
        let held: Vec<&Labelled> = self.held.iter().map(|held| &held.examples).chain([&self.window.held]).collect();
        let mut predictions = Vec::new();
        let mut left = rows;
        while left > 0 {
            let window = comparison.windows.len() - 1;
            let (examples, from) = (held[window], comparison.row);
            let to = examples.labels.len().min(from + left.min(CHUNK));
            let select: Vec<u32> = (from as u32..to as u32).collect();
            for (predictor, scores) in [candidate, &champion.predictor].into_iter().zip(&mut comparison.windows[window])
            {
                predictions.clear();
                predictor.predict_observed(&examples.observations, &select, &mut self.buffers.rows, &mut predictions);
                predictions.iter().zip(&examples.labels[from..to]).for_each(|(p, label)| scores.add(*p, *label));
            }
            left -= to - from;
            comparison.row = to;
            if to == examples.labels.len() {
                if comparison.windows.len() == held.len() {
                    return true;
                }
                comparison.windows.push(none());
                comparison.row = 0;
            }
        }
        false
    }

    /// Ends the open window, which ends at `end`. None if it had no example to learn.
    pub fn close(&mut self, end: EventTime) -> Option<Version> {
        while !self.work(CHUNK) {}
        let mut window = std::mem::replace(&mut self.window, Window::new(&self.layout, self.kind.task));
        let version = self.closing.take().map(|closing| self.decide(end, closing, &mut window));
        if let Some(gate) = self.gate() {
            let others = gate.windows - 1;
            if !window.held.labels.is_empty() {
                self.held.push_back(Held { end, examples: window.held });
            }
            self.held.drain(..self.held.len().saturating_sub(others));
        }
        self.versions.forget_before(end.saturating_sub(self.config.within_ms));
        version
    }

    fn decide(&mut self, end: EventTime, closing: Closing, window: &mut Window) -> Version {
        let (decision, reason, compared) = self.verdict(closing.comparison.as_ref());
        let accepted = decision == Decision::Published;
        let predictor = closing.candidate.expect("the work of a close ends with a candidate");
        let examples = window.examples();
        let mut statistics = std::mem::take(&mut window.statistics);
        if let Some(head) = &self.head {
            statistics.merge(&head.statistics);
        }
        self.newest += 1;
        let number = self.newest;
        let parent = self.head.as_ref().map(|head| head.version);
        let before = self.versions.champion().map(|champion| champion.number);
        let base_rate = base_rate(self.kind.task, &statistics);
        self.versions.add(Kept { number, end, base_rate, predictor: Arc::clone(&predictor) }, accepted);
        if accepted {
            let preparation = Arc::new(Preparation::new(&self.layout, &statistics));
            let learner = Some(closing.combined.unwrap_or_else(|| window.learners.swap_remove(0)));
            self.head = Some(Head { version: number, statistics, preparation, learner });
        }
        let prequential = window.scores.summary();
        let scores = match (compared, before) {
            (Some([candidate, champion]), Some(before)) => BTreeMap::from([(number, candidate), (before, champion)]),
            (None, Some(before)) => BTreeMap::from([(before, named(&prequential.champion))]),
            (_, None) => BTreeMap::new(),
        };
        let champion = self.versions.champion().map_or(number, |champion| champion.number);
        let window_start = end.saturating_sub(self.config.window_ms);
        Version {
            number,
            window_start,
            window_end: end,
            parent,
            examples,
            scores,
            decision,
            reason,
            champion,
            prequential,
            predictor,
        }
    }

    /// What the gate says, why, and the metrics of candidate and champion if they were compared.
    ///
    /// Each window is compared by itself and the median of the differences counts: an overconfident champion loses
    /// without bound on a poisoned window, and a mean would let that one window speak for all.
    fn verdict(&self, comparison: Option<&Comparison>) -> (Decision, String, Option<[BTreeMap<String, f64>; 2]>) {
        let published = |reason: &str| (Decision::Published, reason.to_owned(), None);
        let Some(Gate { metric, tolerance, .. }) = self.gate() else { return published("no gate") };
        let (Some(comparison), Some(champion)) = (comparison, self.versions.champion()) else {
            return published("the first version");
        };
        let known = METRICS.iter().find(|known| known.name == *metric).expect("the gate's metric was checked");
        let differences = comparison.windows.iter().filter_map(|[candidate, champion]| {
            let (own, best) = ((known.of)(candidate)?, (known.of)(champion)?);
            Some(match known.better {
                Better::Lower => own - best,
                Better::Higher => best - own,
                Better::Zero => own.abs() - best.abs(),
            })
        });
        let Some(worse_by) = median(differences.collect()) else {
            return published("no held-out examples to compare on");
        };
        let mut pooled = [Scores::new(self.kind.task), Scores::new(self.kind.task)];
        for window in &comparison.windows {
            pooled.iter_mut().zip(window).for_each(|(all, scores)| all.merge(scores));
        }
        let accepted = worse_by <= *tolerance;
        let reason = format!(
            "{metric} {} than of version {} by {:.4}, the median of {} windows of {} held-out examples; {} {tolerance}",
            if worse_by > 0.0 { "worse" } else { "better" },
            champion.number,
            worse_by.abs(),
            comparison.windows.len(),
            pooled[0].examples(),
            if accepted { "within" } else { "more than" },
        );
        let decision = if accepted { Decision::Published } else { Decision::Refused };
        (decision, reason, Some(pooled.map(|scores| named(&scores.all()))))
    }
}

/// The middle, or the mean of the two in the middle. None of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

fn named(metrics: &[(&'static str, f64)]) -> BTreeMap<String, f64> {
    metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// What one would predict who knows only the labels: their mean, for classes with half an example added to each
/// (Krichevsky and Trofimov 1981), so that a class not seen yet is not impossible.
fn base_rate(task: Task, statistics: &Statistics) -> f64 {
    let (mean, examples) = (statistics.base_rate(), statistics.examples() as f64);
    match task {
        Task::Binary => (mean * examples + 0.5) / (examples + 1.0),
        Task::Regression => mean,
    }
}
