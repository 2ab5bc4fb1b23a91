//! The state of a trainer: everything that follows from the examples seen, and that a checkpoint saves.

use std::collections::VecDeque;

use super::history::VersionHistory;
use super::lineage::Lineage;
use super::persistence::LastLabels;
use super::segments::SegmentNames;
use super::setup::TrainingSetup;
use super::totals::TotalScores;
use super::waiting::WaitingWindow;
use super::window::{HeldOutWindow, LabelledExamples, OpenWindow};
use crate::model::adwin::AdaptiveWindow;
use crate::model::{Classes, RankingSums};
use crate::time::EventTime;

pub(super) struct TrainingState {
    /// The number of the newest version; 0 before the first.
    pub newest: u64,
    /// Classes of the labels seen; none for other tasks.
    pub classes: Classes,
    pub lineage: Option<Lineage>,
    /// The lineage up to the champion before, where a champion can be rolled back.
    pub previous: Option<Lineage>,
    pub history: VersionHistory,
    /// Held-out examples of the newest windows before the open one, oldest first.
    pub held_out: VecDeque<HeldOutWindow>,
    pub window: OpenWindow,
    /// Scores of the windows before the open one.
    pub total: TotalScores,
    /// The newest errors of the champions.
    pub errors: AdaptiveWindow,
    /// The values that have scores of their own.
    pub segments: SegmentNames,
    /// The last labels of keys, where persistence is scored.
    pub last_labels: LastLabels,
}

impl TrainingState {
    pub fn new(setup: &TrainingSetup) -> Self {
        TrainingState {
            newest: 0,
            classes: Classes::default(),
            lineage: None,
            previous: None,
            history: VersionHistory::default(),
            held_out: VecDeque::new(),
            window: OpenWindow::new(setup),
            total: TotalScores::new(setup.scoring(), setup.scored_roles()),
            errors: AdaptiveWindow::default(),
            segments: SegmentNames::default(),
            last_labels: LastLabels::default(),
        }
    }

    /// Returns why the open window would make no version if it ended now: it would be the first one, from too few examples.
    pub fn waiting(&self, setup: &TrainingSetup) -> Option<WaitingWindow> {
        if self.lineage.is_some() { None } else { WaitingWindow::of(setup, &self.window) }
    }

    /// Starts a window and returns the one before, which ended at `end` and has these sums of lists. Its held-out examples
    /// stay for the gate.
    pub fn start_window(&mut self, setup: &TrainingSetup, end: EventTime, lists: &[RankingSums; 4]) -> OpenWindow {
        let mut window = std::mem::replace(&mut self.window, OpenWindow::new(setup));
        self.total.add(&window.scores, lists);
        if let Some(gate) = setup.gate() {
            if !window.held_out.labels.is_empty() {
                let examples = std::mem::take(&mut window.held_out);
                self.held_out.push_back(HeldOutWindow { end, examples });
            }
            // The open window is one of those that are compared.
            let others = gate.windows - 1;
            self.held_out.drain(..self.held_out.len().saturating_sub(others));
        }
        window
    }

    /// Returns the held-out examples of the windows that the gate compares, the open one last.
    pub fn compared_windows(&self) -> impl Iterator<Item = &LabelledExamples> {
        self.held_out.iter().map(|window| &window.examples).chain([&self.window.held_out])
    }
}
