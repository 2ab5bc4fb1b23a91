//! A window of a feature: of any kind, and how far it lags.

use super::cumulative::Cumulative;
use super::divisible::Divisible;
use super::form::AnswerForm;
use super::kind::{OwnPlace, WindowForm, WindowKind};
use super::last_n::LastN;
use super::lifetime::Lifetime;
use super::maintained::WindowState;
use super::panes::Sliding;
use super::parts::{StateLine, StateParts};
use super::series::Series;
use super::session::Session;
use super::tumbling::Tumbling;
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::{AssumedRecords, RecordLoad};
use crate::aggregate::feature::{Feature, FeatureType};
use crate::time::format_duration;
use crate::value::Scalar;

/// Lists the kinds of windows that dataflow files write, in the order in which texts are tried, and the others.
macro_rules! window_kinds {
    (written: [$($kind:ident)*], others: [$($other:ident)*]) => {
        /// A window of any kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum WindowShape {
            $($kind($kind),)*
            $($other($other)),*
        }

        /// Every kind of window that dataflow files write, in the order of the reference.
        pub static WINDOWS: &[WindowForm] = &[$($kind::FORM),*];

        $(impl From<$kind> for Window {
            fn from(kind: $kind) -> Window {
                Window { shape: WindowShape::$kind(kind), lag_ms: 0 }
            }
        })*

        $(impl From<$other> for Window {
            fn from(kind: $other) -> Window {
                Window { shape: WindowShape::$other(kind), lag_ms: 0 }
            }
        })*

        fn parse(text: &str) -> Option<Window> {
            None$(.or_else(|| $kind::parse(text).map(Window::from)))*
        }

        /// Evaluates an expression with the window of whichever kind it is.
        macro_rules! of_kind {
            ($shape:expr, $window:ident => $body:expr) => {
                match $shape {
                    $(WindowShape::$kind($window) => $body,)*
                    $(WindowShape::$other($window) => $body),*
                }
            };
        }
    };
}

window_kinds! { written: [Sliding Tumbling Cumulative Session Lifetime LastN Series], others: [Divisible] }

/// A window of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub shape: WindowShape,
    /// The time before the asking time as of which it is.
    pub lag_ms: i64,
}

impl Window {
    /// The window that a text of a dataflow file stands for.
    pub fn parse(text: &str) -> Option<Window> {
        parse(text)
    }

    /// The same window as of `lag_ms` before the asking time.
    pub fn lagging(self, lag_ms: i64) -> Window {
        Window { lag_ms, ..self }
    }

    /// The end of the names of its features, given the text of its length, without the lag.
    pub fn suffix(self, written: &str) -> String {
        of_kind!(self.shape, window => window.suffix(written))
    }

    /// Its records, in words: "the last 3h, as of 7d before".
    pub fn describe(self) -> String {
        let records = of_kind!(self.shape, window => window.describe());
        match self.lag_ms {
            0 => records,
            lag_ms => format!("{records}, as of {} before", format_duration(lag_ms)),
        }
    }

    /// The same as [`WindowKind::size`].
    pub fn size(self) -> String {
        of_kind!(self.shape, window => window.size())
    }

    /// The same as [`WindowKind::details`].
    pub fn details(self) -> Option<String> {
        of_kind!(self.shape, window => window.details())
    }

    /// Its properties as data, by name. Times in ms.
    pub fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        let lag = (self.lag_ms > 0).then(|| ("lag_ms", self.lag_ms.into()));
        of_kind!(self.shape, window => window.properties()).into_iter().chain(lag).collect()
    }

    /// The window as a dataflow file writes it: without panes that go along with vectors. Its answers are the same.
    pub fn as_written(self) -> Window {
        match self.shape {
            WindowShape::Divisible(Divisible(sliding)) => Window { shape: WindowShape::Sliding(sliding), ..self },
            _ => self,
        }
    }

    /// A text that two windows share if and only if they are the same.
    pub fn canonical(self) -> String {
        let shape = of_kind!(self.shape, window => window.canonical());
        if self.lag_ms == 0 { shape } else { format!("{shape} lag {}", self.lag_ms) }
    }

    /// The same as [`WindowKind::length_ms`].
    pub fn length_ms(self) -> Option<i64> {
        of_kind!(self.shape, window => window.length_ms())
    }

    /// The longest time after its event time that a record can be in it or wait for it, in ms; `None` if it stays for ever.
    pub fn reach_ms(self) -> Option<i64> {
        of_kind!(self.shape, window => window.reach_ms()).map(|reach_ms| reach_ms + self.lag_ms)
    }

    /// The longest time after its event time that a record can matter to an answer, in ms; `None` if it always can.
    pub fn history_ms(self) -> Option<i64> {
        of_kind!(self.shape, window => window.history_ms()).map(|history_ms| history_ms + self.lag_ms)
    }

    /// The same as [`WindowKind::panes`].
    pub fn panes(self) -> Option<i64> {
        of_kind!(self.shape, window => window.panes())
    }

    /// The same as [`WindowKind::pane_ms`].
    pub fn pane_ms(self) -> Option<i64> {
        of_kind!(self.shape, window => window.pane_ms())
    }

    /// The same as [`WindowKind::pane_name`].
    pub fn pane_name(self) -> &'static str {
        of_kind!(self.shape, window => window.pane_name())
    }

    /// The same as [`WindowKind::is_ordered`].
    pub fn is_ordered(self) -> bool {
        of_kind!(self.shape, window => window.is_ordered())
    }

    /// The same as [`WindowKind::own_place`]. A window that lags ends before.
    pub fn own_place(self) -> OwnPlace {
        if self.lag_ms > 0 { OwnPlace::Outside } else { of_kind!(self.shape, window => window.own_place()) }
    }

    /// Returns whether its features are lists of answers.
    pub fn is_series(self) -> bool {
        self.steps().is_some()
    }

    /// The same as [`WindowKind::steps`].
    pub fn steps(self) -> Option<usize> {
        of_kind!(self.shape, window => window.steps())
    }

    /// The type of a feature, given that of an answer.
    pub fn output(self, answer: FeatureType) -> FeatureType {
        match answer {
            FeatureType::Scalar(ty) if self.is_series() => FeatureType::List(ty),
            other => other,
        }
    }

    /// The feature of an entity without records, given the answer, and the values that it has in each step of a series.
    pub fn empty(self, answer: Feature, values: usize) -> Feature {
        match self.steps() {
            None => answer,
            Some(steps) => Feature::List(vec![scalar(answer); steps * values].into()),
        }
    }

    fn parts<A, F>(self, line: StateLine, aggregate: A, finish: F) -> StateParts<A, F> {
        let displaces = line.current && self.own_place() == OwnPlace::Displacing;
        let form = AnswerForm { is_series: self.is_series(), lag_ms: self.lag_ms, displaces };
        StateParts { line: line.position, aggregate, finish, form }
    }

    /// The state of an invertible aggregate of a line; `finish` writes the features.
    pub(in crate::aggregate) fn of_invertible<A: Invertible>(
        self,
        line: StateLine,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> Box<dyn WindowState> {
        let parts = self.parts(line, aggregate, finish);
        of_kind!(self.shape, window => window.invertible(parts))
    }

    /// The state of any aggregate of a line; `finish` writes the features.
    pub(in crate::aggregate) fn of_any<A: Aggregate>(
        self,
        line: StateLine,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> Box<dyn WindowState> {
        let parts = self.parts(line, aggregate, finish);
        of_kind!(self.shape, window => window.any(parts))
    }

    /// The records of an entity in it that an estimate assumes, each of which holds so many bytes outside itself.
    pub(in crate::aggregate) fn assumed(self, load: RecordLoad, value_heap: usize) -> AssumedRecords {
        let span_ms = of_kind!(self.shape, window => window.assumed_ms());
        load.spread(span_ms, self.panes().map_or(1, |panes| panes as usize), value_heap)
    }

    /// The bytes of an entity in the state of an invertible aggregate, without the records that wait for a lag.
    pub(in crate::aggregate) fn invertible_bytes<A: Invertible>(
        self,
        aggregate: &A,
        records: &AssumedRecords,
    ) -> usize {
        of_kind!(self.shape, window => window.invertible_bytes(aggregate, records))
    }

    /// The bytes of an entity in the state of any aggregate, without the records that wait for a lag.
    pub(in crate::aggregate) fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        of_kind!(self.shape, window => window.any_bytes(aggregate, records))
    }
}

/// The answer of an op that a series can have.
fn scalar(answer: Feature) -> Scalar {
    match answer {
        Feature::Value(value) => value,
        other => panic!("a series is of ops with scalar answers, not {other:?}"),
    }
}
