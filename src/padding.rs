//! Padding of text to the width of a column, for tables on a terminal.
//!
//! Widths count characters. No column is wider than 100 of them: a longer cell is printed whole, and what follows it in its row
//! is not aligned. The widths of the standard formatter end at 65,535, beyond which it panics.
//!
//! ```
//! use tidemill::padding::{pad_end, pad_start, width_of};
//!
//! let width = width_of(["a", "née"]);
//! assert_eq!(pad_end("a", width) + "|" + &pad_start("b", width), "a  |  b");
//! assert_eq!(width_of([&*"x".repeat(100_000)]), 100);
//! ```

/// The most characters to which a cell is padded.
const WIDEST: usize = 100;

/// Returns the width of a column with these cells.
pub fn width_of<'a>(cells: impl IntoIterator<Item = &'a str>) -> usize {
    cells.into_iter().map(|cell| cell.chars().take(WIDEST).count()).max().unwrap_or(0)
}

/// Returns a cell that is aligned to the left.
pub fn pad_end(cell: &str, width: usize) -> String {
    format!("{cell}{}", filling(cell, width))
}

/// Returns a cell that is aligned to the right.
pub fn pad_start(cell: &str, width: usize) -> String {
    format!("{}{cell}", filling(cell, width))
}

/// Returns the spaces that a cell lacks.
fn filling(cell: &str, width: usize) -> String {
    " ".repeat(width.min(WIDEST).saturating_sub(cell.chars().take(WIDEST).count()))
}
