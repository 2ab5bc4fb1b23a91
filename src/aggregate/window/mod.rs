//! Windows: which records of an entity a feature is of, as of an asking time.
//!
//! A kind of window is one file and generic in the accumulator: it keeps the closed records of all entities so that the
//! accumulator of those in the window is at hand ([`ClosedWindow`]), and says when records leave it. Windows of
//! [`Invertible`] aggregates may subtract what expires; others merge what is left.
//!
//! ```
//! use tidemill::aggregate::Window;
//!
//! let day = Window::parse("24h").unwrap();
//! assert_eq!((day.suffix("24h"), day.describe()), ("24h".to_owned(), "the last 1d".to_owned()));
//! assert_eq!(Window::parse("lifetime").unwrap().reach_ms(), None);
//! ```

mod closed;
mod lifetime;
mod maintained;
mod merging;
mod panes;
mod sliding;
mod subtracting;

use super::algebra::{Aggregate, Invertible};
use super::answers::Answers;
use super::cost::Cost;
use super::provisional::{Queued, Summed};
use maintained::MaintainedWindow;

pub use closed::{ClosedWindow, Expired, LineUpdates, Update};
pub use lifetime::Lifetime;
pub use maintained::WindowState;
pub use panes::Sliding;

/// A kind of window: how it is written, and what it keeps.
pub trait WindowKind: Copy {
    /// The state of an aggregate whose records can be subtracted.
    type Subtracting<A: Invertible>: ClosedWindow<A>;
    /// The state of any other aggregate.
    type Merging<A: Aggregate>: ClosedWindow<A>;

    /// The window that a text of a dataflow file stands for, if it is one of this kind.
    fn parse(text: &str) -> Option<Self>;
    /// The end of the names of its features, given the text of the window.
    fn suffix(self, written: &str) -> String;
    /// Its records, in words: "the last 3h".
    fn describe(self) -> String;
    /// Its size, for the plan: "3h".
    fn size(self) -> String;
    /// Its other properties, for the plan: "hop 5m".
    fn details(self) -> Option<String>;
    /// Its properties as data, by name. Times in ms.
    fn properties(self) -> Vec<(&'static str, serde_json::Value)>;
    /// A text that two windows share if and only if they are the same.
    fn canonical(self) -> String;
    /// The length of the time that it spans, in ms; `None` if that depends on the records.
    fn length_ms(self) -> Option<i64>;
    /// The longest time after its event time that a record can be in it, in ms; `None` if it stays for ever.
    fn reach_ms(self) -> Option<i64>;
    /// The most panes that an entity can have; `None` if it has no panes.
    fn panes(self) -> Option<i64>;
    fn subtracting<A: Invertible>(self, aggregate: A) -> Self::Subtracting<A>;
    fn merging<A: Aggregate>(self, aggregate: A) -> Self::Merging<A>;
}

/// Lists the kinds of windows, in the order in which texts are tried.
macro_rules! window_kinds {
    ($($kind:ident)*) => {
        /// A window of a feature.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Window {
            $($kind($kind)),*
        }

        impl Window {
            /// The window that a text of a dataflow file stands for.
            pub fn parse(text: &str) -> Option<Window> {
                None$(.or_else(|| $kind::parse(text).map(Window::$kind)))*
            }

            /// The same as [`WindowKind::suffix`].
            pub fn suffix(self, written: &str) -> String {
                match self { $(Window::$kind(window) => window.suffix(written)),* }
            }

            /// The same as [`WindowKind::describe`].
            pub fn describe(self) -> String {
                match self { $(Window::$kind(window) => window.describe()),* }
            }

            /// The same as [`WindowKind::size`].
            pub fn size(self) -> String {
                match self { $(Window::$kind(window) => window.size()),* }
            }

            /// The same as [`WindowKind::details`].
            pub fn details(self) -> Option<String> {
                match self { $(Window::$kind(window) => window.details()),* }
            }

            /// The same as [`WindowKind::properties`].
            pub fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
                match self { $(Window::$kind(window) => window.properties()),* }
            }

            /// The same as [`WindowKind::canonical`].
            pub fn canonical(self) -> String {
                match self { $(Window::$kind(window) => window.canonical()),* }
            }

            /// The same as [`WindowKind::length_ms`].
            pub fn length_ms(self) -> Option<i64> {
                match self { $(Window::$kind(window) => window.length_ms()),* }
            }

            /// The same as [`WindowKind::reach_ms`].
            pub fn reach_ms(self) -> Option<i64> {
                match self { $(Window::$kind(window) => window.reach_ms()),* }
            }

            /// The same as [`WindowKind::panes`].
            pub fn panes(self) -> Option<i64> {
                match self { $(Window::$kind(window) => window.panes()),* }
            }

            /// The state of an invertible aggregate of the line at `line`; `finish` writes the features.
            pub(super) fn of_invertible<A: Invertible>(
                self,
                line: usize,
                aggregate: A,
                finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
            ) -> Box<dyn WindowState> {
                match self {
                    $(Window::$kind(window) => {
                        let closed = window.subtracting(aggregate);
                        Box::new(MaintainedWindow::<_, _, Summed<A>, _>::new(line, aggregate, closed, finish))
                    })*
                }
            }

            /// The state of any aggregate of the line at `line`; `finish` writes the features.
            pub(super) fn of_any<A: Aggregate>(
                self,
                line: usize,
                aggregate: A,
                finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
            ) -> Box<dyn WindowState> {
                match self {
                    $(Window::$kind(window) => {
                        let closed = window.merging(aggregate);
                        Box::new(MaintainedWindow::<_, _, Queued<A>, _>::new(line, aggregate, closed, finish))
                    })*
                }
            }

            /// The cost of the state of an invertible aggregate.
            pub(super) fn cost_of_invertible<A: Invertible>(self) -> Cost {
                match self { $(Window::$kind(_) => cost::<A, <$kind as WindowKind>::Subtracting<A>>()),* }
            }

            /// The cost of the state of any aggregate.
            pub(super) fn cost_of_any<A: Aggregate>(self) -> Cost {
                match self { $(Window::$kind(_) => cost::<A, <$kind as WindowKind>::Merging<A>>()),* }
            }
        }
    };
}

window_kinds! { Sliding Lifetime }

fn cost<A: Aggregate, W: ClosedWindow<A>>() -> Cost {
    Cost { entity: W::ENTITY_BYTES, pane: W::PANE_BYTES }
}
