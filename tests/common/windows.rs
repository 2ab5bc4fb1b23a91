//! Windows by their definitions: which records of an entity one holds, from all of them.

use tidemill::aggregate::{
    AggregateKind, Cumulative, Cycle, Divisible, FeatureType, LastN, Lifetime, Op, Series, Session, Sliding, Tumbling,
    Window,
};
use tidemill::value::Type;

use NaiveShape::Tumbling as Tumbles;
use NaiveShape::{Cumulative as Cumulated, Last, Lifetime as Ever, Series as Steps, Session as Run, Sliding as Slides};

/// The time at which a record takes effect, and its event time.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub effective: i64,
    pub event: i64,
}

/// A kind of window. All times are in ms.
#[derive(Clone, Copy, Debug)]
pub enum NaiveShape {
    Sliding { size: i64, hop: i64 },
    Tumbling { length: i64, offset: i64 },
    Cumulative { length: i64, offset: i64 },
    Session { gap: i64, max: Option<i64> },
    Lifetime,
    Last(usize),
    Series { steps: usize, step: i64, hop: i64 },
}

/// A window, and how far it lags.
#[derive(Clone, Copy, Debug)]
pub struct NaiveWindow {
    pub shape: NaiveShape,
    pub lag: i64,
}

/// A window of a kind that does not lag.
pub const fn window(shape: NaiveShape) -> NaiveWindow {
    NaiveWindow { shape, lag: 0 }
}

const fn lagging(shape: NaiveShape, lag: i64) -> NaiveWindow {
    NaiveWindow { shape, lag }
}

/// Windows of every kind, without a lag and with one.
pub const EVERY: &[NaiveWindow] = &[
    window(Slides { size: 100, hop: 10 }),
    window(Slides { size: 50, hop: 1 }),
    window(Ever),
    window(Tumbles { length: 70, offset: 0 }),
    window(Tumbles { length: 20, offset: -7 }),
    window(Cumulated { length: 90, offset: -25 }),
    window(Cumulated { length: 30, offset: 4 }),
    window(Run { gap: 20, max: None }),
    window(Run { gap: 25, max: Some(60) }),
    window(Last(1)),
    window(Last(4)),
    window(Steps { steps: 3, step: 40, hop: 10 }),
    window(Steps { steps: 2, step: 25, hop: 7 }),
    lagging(Slides { size: 60, hop: 7 }, 45),
    lagging(Ever, 30),
    lagging(Tumbles { length: 35, offset: 3 }, 50),
    lagging(Cumulated { length: 60, offset: 0 }, 20),
    lagging(Run { gap: 15, max: None }, 33),
    lagging(Run { gap: 20, max: Some(45) }, 1),
    lagging(Last(3), 40),
    lagging(Steps { steps: 2, step: 30, hop: 10 }, 25),
];

impl NaiveWindow {
    /// The window as a dataflow file writes it, without its lag.
    pub fn text(self) -> String {
        match self.shape {
            NaiveShape::Sliding { size, hop } => format!(r#"{{ sliding = "{size}ms", hop = "{hop}ms" }}"#),
            NaiveShape::Tumbling { length, offset } => {
                format!(r#"{{ tumbling = "{length}ms", offset = "{offset}ms" }}"#)
            }
            NaiveShape::Cumulative { length, offset } => {
                format!(r#"{{ cumulative = "{length}ms", offset = "{offset}ms" }}"#)
            }
            NaiveShape::Session { gap, max: None } => format!(r#"{{ session = "{gap}ms" }}"#),
            NaiveShape::Session { gap, max: Some(max) } => format!(r#"{{ session = "{gap}ms", max = "{max}ms" }}"#),
            NaiveShape::Lifetime => "\"lifetime\"".to_owned(),
            NaiveShape::Last(n) => format!("\"last {n}\""),
            NaiveShape::Series { steps, step, hop } => {
                format!(r#"{{ series = {steps}, step = "{step}ms", hop = "{hop}ms" }}"#)
            }
        }
    }

    /// The engine's window.
    pub fn window(self) -> Window {
        let window: Window = match self.shape {
            NaiveShape::Sliding { size, hop } => Sliding { size_ms: size, hop_ms: hop }.into(),
            NaiveShape::Tumbling { length, offset } => Tumbling(Cycle { length_ms: length, offset_ms: offset }).into(),
            NaiveShape::Cumulative { length, offset } => {
                Cumulative(Cycle { length_ms: length, offset_ms: offset }).into()
            }
            NaiveShape::Session { gap, max } => Session { gap_ms: gap, max_ms: max }.into(),
            NaiveShape::Lifetime => Lifetime.into(),
            NaiveShape::Last(n) => LastN(n).into(),
            NaiveShape::Series { steps, step, hop } => {
                Series { steps, step: Sliding { size_ms: step, hop_ms: hop } }.into()
            }
        };
        window.lagging(self.lag)
    }

    /// The same window whose panes go along with vectors, if it slides and does not lag.
    pub fn divisible(self) -> Option<Window> {
        match self {
            NaiveWindow { shape: NaiveShape::Sliding { size, hop }, lag: 0 } => {
                Some(Divisible(Sliding { size_ms: size, hop_ms: hop }).into())
            }
            _ => None,
        }
    }

    /// The length of the window, if it has one.
    pub fn length_ms(self) -> Option<i64> {
        match self.shape {
            NaiveShape::Sliding { size, .. } => Some(size),
            NaiveShape::Tumbling { length, .. } => Some(length),
            NaiveShape::Series { step, .. } => Some(step),
            NaiveShape::Cumulative { .. } | NaiveShape::Session { .. } | NaiveShape::Lifetime | NaiveShape::Last(_) => {
                None
            }
        }
    }

    /// Returns whether a dataflow file can say it: the hop of a series divides its step.
    pub fn is_written(self) -> bool {
        !matches!(self.shape, NaiveShape::Series { step, hop, .. } if step % hop != 0)
    }

    pub fn is_series(self) -> bool {
        matches!(self.shape, NaiveShape::Series { .. })
    }

    /// Returns whether an op can be in the window: a series has values and lists that do not depend on the asking time.
    pub fn takes(self, kind: &AggregateKind, op: &Op) -> bool {
        let is_map = matches!(op.output(Some(Type::Float)), FeatureType::Map(_));
        !self.is_series() || !(is_map || kind.family.depends_on_asking(self.window()))
    }

    /// Returns whether a record at the asking time can be in the window.
    pub fn has_own(self) -> bool {
        self.lag == 0 && !matches!(self.shape, NaiveShape::Tumbling { .. })
    }

    /// The same as [`NaiveWindow::held`] with a record at the asking time, which is the last of the records.
    pub fn held_with_own(self, records: &[Times], asof: i64) -> Vec<Vec<usize>> {
        let Some(own) = records.len().checked_sub(1).filter(|_| self.has_own()) else {
            return self.held(records, asof);
        };
        let before: Vec<usize> = (0..own).filter(|at| records[*at].effective < asof).collect();
        let all = [before, vec![own]].concat();
        match self.shape {
            NaiveShape::Session { gap, max } => vec![run(records, &all, gap, max, asof)],
            NaiveShape::Last(n) => vec![all[all.len().saturating_sub(n)..].to_vec()],
            _ => {
                let mut steps = self.held(&records[..own], asof);
                steps.last_mut().expect("a window has a step").push(own);
                steps
            }
        }
    }

    /// The positions of the records in the window as of a time, of those of an entity in the total order; of a series,
    /// for each step, oldest first.
    pub fn held(self, records: &[Times], asof: i64) -> Vec<Vec<usize>> {
        let a = asof - self.lag;
        let before: Vec<usize> = (0..records.len()).filter(|at| records[*at].effective < a).collect();
        let with_event_in = |from: i64, to: i64| -> Vec<usize> {
            before.iter().copied().filter(|at| (from..to).contains(&records[*at].event)).collect()
        };
        match self.shape {
            NaiveShape::Sliding { size, hop } => vec![with_event_in((a - size).div_euclid(hop) * hop, i64::MAX)],
            NaiveShape::Tumbling { length, offset } => {
                let end = (a - offset).div_euclid(length) * length + offset;
                vec![with_event_in(end - length, end)]
            }
            NaiveShape::Cumulative { length, offset } => {
                vec![with_event_in((a - offset).div_euclid(length) * length + offset, a)]
            }
            NaiveShape::Session { gap, max } => vec![run(records, &before, gap, max, a)],
            NaiveShape::Lifetime => vec![before],
            NaiveShape::Last(n) => vec![before[before.len().saturating_sub(n)..].to_vec()],
            NaiveShape::Series { steps, step, hop } => {
                let edge = |k: usize| (a - k as i64 * step).div_euclid(hop) * hop;
                let end = |k: usize| if k == 0 { a } else { edge(k) };
                (0..steps).rev().map(|k| with_event_in(edge(k + 1), end(k))).collect()
            }
        }
    }
}

/// The run of records that is going on as of a time, by the fold that defines it.
fn run(records: &[Times], before: &[usize], gap: i64, max: Option<i64>, a: i64) -> Vec<usize> {
    let mut run: Vec<usize> = Vec::new();
    for at in before {
        let Times { effective, event } = records[*at];
        let events = || run.iter().map(|member| records[*member].event);
        let (start, newest) = (events().min(), events().max());
        let is_over = newest.is_none_or(|newest| effective - newest > gap);
        if is_over {
            run = if effective - event <= gap { vec![*at] } else { Vec::new() };
            continue;
        }
        let (start, newest) = (start.expect("a run has records"), newest.expect("a run has records"));
        let is_near = start - gap <= event && event <= newest + gap;
        if is_near && max.is_none_or(|max| event - start < max && newest - event < max) {
            run.push(*at);
        } else if max.is_some_and(|max| event >= start + max) {
            run = vec![*at];
        }
    }
    match run.iter().map(|member| records[*member].event).max() {
        Some(newest) if a - newest <= gap => run,
        _ => Vec::new(),
    }
}
