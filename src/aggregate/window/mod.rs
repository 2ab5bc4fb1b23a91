//! Windows: which records of an entity a feature is of, as of an asking time.
//!
//! A kind of window is one file and generic in the accumulator: it keeps the closed records of all entities so that the
//! accumulator of those in the window is at hand ([`ClosedWindow`]), and says when records leave it. Windows of
//! [`Invertible`](super::Invertible) aggregates may subtract what expires; others merge what is left. In a sliding or a
//! lifetime window, provisional records are added to the closed ones; any other is continued by them
//! ([`ContinuedWindow`](closed::ContinuedWindow)). A window of any kind may [lag](lagged).
//!
//! ```
//! use tidemill::aggregate::Window;
//!
//! let day = Window::parse("24h").unwrap();
//! assert_eq!((day.suffix("24h"), day.describe()), ("24h".to_owned(), "the last 1d".to_owned()));
//! assert_eq!(Window::parse("lifetime").unwrap().reach_ms(), None);
//! assert_eq!(day.lagging(5_000).reach_ms(), Some(86_400_000 + 3_600_000 + 5_000));
//! ```

mod any;
mod closed;
mod cumulative;
mod cycle;
mod deadlines;
mod divisible;
mod form;
mod kind;
mod lagged;
mod last_n;
mod lifetime;
mod maintained;
mod merging;
mod pane_bucket;
mod panes;
mod parts;
mod provisional;
mod record_queue;
mod saved_panes;
mod schedule;
mod series;
mod session;
mod sliding;
mod subtracting;
mod tumbling;

pub use any::{WINDOWS, Window, WindowShape};
pub use closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, OwnBase, Single, Update};
pub use cumulative::Cumulative;
pub use cycle::Cycle;
pub use divisible::Divisible;
pub use kind::{OwnPlace, WindowForm, WindowKind};
pub use last_n::LastN;
pub use lifetime::Lifetime;
pub use maintained::WindowState;
pub use panes::Sliding;
pub use parts::{StateLine, StateParts};
pub use series::Series;
pub use session::Session;
pub use tumbling::Tumbling;
