//! Windows that requests ask for: shorter than those that a group keeps by pane, and answered from the same panes.
//!
//! A window of W can be answered by a line that keeps one that is no shorter, by a hop of which W is a multiple. Of several,
//! the one of the finest hop answers. The answer has the bits that a declared window of W and that hop would have.
//!
//! ```
//! use tidemill::aggregate::{AggregateSpec, Divisible, Op, RequestWindows, Sliding};
//!
//! let day = Divisible(Sliding { size_ms: 86_400_000, hop_ms: 3_600_000 });
//! let ops = vec![Op::parse("count").unwrap()];
//! let line = AggregateSpec { ops, windows: vec![day.into()], ..AggregateSpec::default() };
//! let windows = RequestWindows::new(vec![line], 1);
//! assert_eq!(windows.describe(), "a multiple of 1h up to 1d");
//! assert_eq!(windows.requested(7_200_000).unwrap().answers().len(), 1);
//! assert!(windows.requested(60_000).is_none() && windows.requested(2 * 86_400_000).is_none());
//! ```

use super::answers::Answers;
use super::feature::Feature;
use super::layout::AggregateSpec;
use super::window::{Divisible, Sliding, WindowShape, WindowState};
use crate::time::{EventTime, format_duration};

/// The windows of a group whose panes go along with its vectors.
#[derive(Debug)]
pub struct RequestWindows {
    lines: Vec<AggregateSpec>,
    windows: Vec<PublishedWindow>,
}

/// A window of a line whose panes go along with vectors.
#[derive(Clone, Copy, Debug)]
struct PublishedWindow {
    line: usize,
    window: Sliding,
    /// The position in a vector of the panes of its first state.
    position: usize,
}

impl RequestWindows {
    /// The windows of lines whose vectors have `width` features.
    pub fn new(lines: Vec<AggregateSpec>, width: usize) -> Self {
        let (mut windows, mut position) = (Vec::new(), width);
        for (line, declared) in lines.iter().enumerate() {
            for window in &declared.windows {
                if let WindowShape::Divisible(Divisible(window)) = window.shape {
                    windows.push(PublishedWindow { line, window, position });
                    position += declared.states_in(Divisible(window), 0).count();
                }
            }
        }
        RequestWindows { lines, windows }
    }

    /// The window of a length; `None` if no line can answer it.
    pub fn requested(&self, size_ms: i64) -> Option<RequestedWindow> {
        let mut requested = RequestedWindow { answers: Vec::new(), states: Vec::new(), empty: Vec::new() };
        for (number, line) in self.lines.iter().enumerate() {
            let can_answer = |kept: &&PublishedWindow| {
                kept.line == number && size_ms <= kept.window.size_ms && size_ms % kept.window.hop_ms == 0
            };
            let kept = self.windows.iter().filter(can_answer).min_by_key(|kept| kept.window.hop_ms);
            let Some(PublishedWindow { window, position, .. }) = kept else { continue };
            let window = Divisible(Sliding { size_ms, ..*window });
            let states = line.states_in(window, requested.answers.len());
            requested.states.extend((*position..).zip(states).map(|(panes, state)| PanedState { state, panes }));
            requested.answers.extend((0..line.ops.len()).map(|op| RequestedAnswer { line: number, op }));
            requested.empty.extend((0..line.ops.len()).map(|op| line.empty(op)));
        }
        (size_ms > 0 && !requested.answers.is_empty()).then_some(requested)
    }

    /// The windows that can be answered, in words; empty if there are none.
    pub fn describe(&self) -> String {
        let mut windows: Vec<Sliding> = self.windows.iter().map(|kept| kept.window).collect();
        windows.sort_by_key(|window| (window.hop_ms, window.size_ms));
        windows.dedup_by(|later, earlier| {
            let same = later.hop_ms == earlier.hop_ms;
            earlier.size_ms = if same { later.size_ms } else { earlier.size_ms };
            same
        });
        let text = |window: &Sliding| {
            format!("a multiple of {} up to {}", format_duration(window.hop_ms), format_duration(window.size_ms))
        };
        windows.iter().map(text).collect::<Vec<_>>().join(", or ")
    }
}

/// A feature of a requested window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedAnswer {
    /// The line's position in the group, and that of the op in the line.
    pub line: usize,
    pub op: usize,
}

/// A window that a request asks for.
pub struct RequestedWindow {
    answers: Vec<RequestedAnswer>,
    states: Vec<PanedState>,
    /// The answers of an entity without records.
    empty: Vec<Feature>,
}

/// A state without records that finishes panes.
struct PanedState {
    state: Box<dyn WindowState>,
    /// The position of the panes in a vector.
    panes: usize,
}

impl RequestedWindow {
    /// The features of the window, in the order of their values.
    pub fn answers(&self) -> &[RequestedAnswer] {
        &self.answers
    }

    /// The values of the features for the entity of a vector, as of a time before which all records are closed.
    pub fn values(&self, vector: &[Feature], asof: EventTime) -> Vec<Feature> {
        let mut values = self.empty.clone();
        let mut row = Answers::new(&mut values);
        for PanedState { state, panes } in &self.states {
            if let Some(Feature::Panes(panes)) = vector.get(*panes) {
                state.finish_panes(panes.as_ref(), asof, &mut row);
            }
        }
        values
    }
}
