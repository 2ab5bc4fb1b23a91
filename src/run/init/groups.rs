//! The feature groups of a sketch, as text.

use std::fmt::Write;

use super::column::GuessedColumn;
use super::entity::{GuessedEntity, is_named_as_entity};
use super::names::{self, quoted};
use super::sketch::SampleSketch;
use crate::time::format_duration;
use crate::value::Type;

/// The most columns of which a group has means.
const MOST_MEANS: usize = 4;

/// A feature group.
pub struct DraftedGroup {
    pub name: String,
    pub text: String,
}

impl DraftedGroup {
    /// Drafts the group of an entity. `taken` are the names of streams and groups.
    pub fn new(sketch: &SampleSketch, entity: &GuessedEntity, source: &str, taken: &mut Vec<String>) -> Self {
        let columns: Vec<&str> = entity.columns.iter().map(|at| sketch.columns[*at].column.name.as_str()).collect();
        let name = names::unique(names::plain(&columns.join("_")), taken);
        let lengths = sketch.span.feature_windows(entity.count);
        let windows: Vec<String> = lengths.iter().map(|ms| quoted(&format_duration(*ms))).collect();
        let windows = windows.join(", ");
        let mut text = format!("# {}\n", why(&entity.why, &entity.doubt));
        let keys: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let key = if let [key] = keys.as_slice() { key.clone() } else { format!("[{}]", keys.join(", ")) };
        let _ = write!(text, "[features.{name}]\nfrom      = {}\nentity    = {key}\naggregate = [\n", quoted(source));
        let _ = writeln!(text, "  {{ op = \"count\", windows = [{windows}] }},");
        for column in means(sketch, entity) {
            let of = names::spelt(&column.column);
            let named = if of == column.column.name {
                String::new()
            } else {
                format!(" as = {},", quoted(&column.column.name))
            };
            let (of, named) = match column.column.ty {
                Type::Bool => {
                    (format!("case when {of} then 1 else 0 end"), format!(" as = {},", quoted(&column.column.name)))
                }
                _ => (of, named),
            };
            let _ = writeln!(text, "  {{ of = {},{named} op = \"mean\", windows = [{windows}] }},", quoted(&of));
        }
        text += "]\n";
        DraftedGroup { name, text }
    }
}

/// Returns the columns of which a group has means: the label, and numbers that are no keys.
fn means<'a>(sketch: &'a SampleSketch, entity: &GuessedEntity) -> Vec<&'a GuessedColumn> {
    let label = sketch.target.as_ref().map(|target| target.column);
    let revealing = sketch.target.as_ref().map_or(&[][..], |target| &target.revealing);
    let is_number = |column: &GuessedColumn| column.column.ty.is_numeric() || column.is_binary();
    let is_value = |at: &usize| {
        let column = &sketch.columns[*at];
        is_number(column)
            && !entity.columns.contains(at)
            && !revealing.contains(at)
            && (Some(*at) == label || !is_named_as_entity(column) && !is_time(sketch, column) && !is_row_number(column))
    };
    let mut found: Vec<usize> = (0..sketch.columns.len()).filter(is_value).collect();
    found.sort_by_key(|at| Some(*at) != label);
    found.into_iter().take(MOST_MEANS).map(|at| &sketch.columns[at]).collect()
}

/// Returns whether the event time is made from a column.
pub fn is_time(sketch: &SampleSketch, column: &GuessedColumn) -> bool {
    let name = &column.column.name;
    sketch.timing.text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

/// Returns whether a column only tells rows apart.
pub fn is_row_number(column: &GuessedColumn) -> bool {
    column.column.ty == Type::Int && column.distinct == column.values.len() && column.values.len() > 2
}

/// Returns a reason, with the doubt there is.
pub fn why(reason: &str, doubt: &Option<String>) -> String {
    match doubt {
        None => one_line(reason),
        Some(doubt) => one_line(&format!("{reason}. Unsure: {doubt}")),
    }
}

/// Returns a text that may stand in a comment.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
