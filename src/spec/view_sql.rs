//! The SQL of a view while it is bound.

use super::problem::{Mistake, Problems};
use super::toml_text::Text;
use crate::expr::Positions;

/// A view's SQL, with the positions of its parts.
pub struct ViewSql<'a> {
    /// Name of the view.
    pub view: &'a str,
    pub text: &'a Text<'a>,
    pub positions: Positions<'a>,
    /// Set if the SQL names something broken: its mistakes may be consequences of that.
    is_suspect: bool,
}

impl<'a> ViewSql<'a> {
    /// The SQL of a view, in a string of the file.
    pub fn new(view: &'a str, text: &'a Text<'a>, is_suspect: bool) -> Self {
        ViewSql { view, text, positions: Positions::of(text.value), is_suspect }
    }

    /// Reports mistakes, unless they may be consequences of others.
    pub fn report(&self, problems: &Problems, mistakes: impl IntoIterator<Item = Mistake>) {
        if !self.is_suspect {
            problems.add_inside(self.text, mistakes);
        }
    }
}
