//! The parts of a window's state that do not depend on the kind of window, and how the state is put together.

use super::closed::{ClosedWindow, ContinuedWindow};
use super::form::AnswerForm;
use super::lagged::Lagged;
use super::maintained::{MaintainedWindow, WindowState};
use super::provisional::{Provisional, Singles};
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;

/// Writes the features of an accumulator into a vector.
type Finish<T> = Box<dyn Fn(&T, &mut Answers<'_>)>;

/// The line that the state of a window is of.
#[derive(Clone, Copy, Debug)]
pub struct StateLine {
    /// Its position in the group.
    pub position: usize,
    /// True if the record that looks up counts, too.
    pub current: bool,
}

/// An aggregate of a line, and what is made of its accumulators. A kind of window adds its closed part.
pub struct StateParts<A, F> {
    /// The line's position in the group.
    pub line: usize,
    pub aggregate: A,
    /// Writes the features of an accumulator into a vector.
    pub finish: F,
    pub form: AnswerForm,
}

impl<A: Aggregate, F: Fn(&A::Acc, &mut Answers<'_>) + 'static> StateParts<A, F> {
    /// The state of a window that shows the sum of closed and provisional records.
    pub fn summed<P: Provisional<A, W>, W: ClosedWindow<A>>(self, closed: W) -> Box<dyn WindowState> {
        if self.form.lag_ms > 0 {
            return self.lagged(Box::new(closed));
        }
        let StateParts { line, aggregate, finish, form } = self;
        let (closed, provisional) = (Box::new(closed), P::default());
        Box::new(MaintainedWindow { line, aggregate, closed, provisional, finish, form })
    }

    /// The state of a window that provisional records continue.
    pub fn continued<W: ContinuedWindow<A>>(self, closed: W) -> Box<dyn WindowState> {
        match self.form.lag_ms {
            0 => self.boxed(Box::new(closed)),
            _ => self.lagged(Box::new(closed)),
        }
    }

    fn lagged(self, inner: Box<dyn ClosedWindow<A>>) -> Box<dyn WindowState> {
        let closed = Lagged::new(self.aggregate, self.form.lag_ms, inner);
        self.boxed(Box::new(closed))
    }

    /// The state of any window, called through a table: compiled once for an aggregate, not once for each of its windows.
    fn boxed(self, closed: Box<dyn ContinuedWindow<A>>) -> Box<dyn WindowState> {
        let StateParts { line, aggregate, finish, form } = self;
        let (finish, provisional): (Finish<A::Acc>, _) = (Box::new(finish), Singles::default());
        Box::new(MaintainedWindow { line, aggregate, closed, provisional, finish, form })
    }
}
