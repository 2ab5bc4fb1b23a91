//! The columns that identify entities.

use super::column::GuessedColumn;
use super::names;
use super::timing::find;
use crate::run::Failure;
use crate::value::Type;

/// Words of names that tell of an entity.
const ENTITY_WORDS: [&str; 54] = [
    "id",
    "key",
    "uid",
    "uuid",
    "user",
    "customer",
    "client",
    "account",
    "card",
    "device",
    "terminal",
    "merchant",
    "item",
    "product",
    "sku",
    "stock",
    "film",
    "movie",
    "song",
    "store",
    "shop",
    "city",
    "station",
    "airport",
    "origin",
    "dest",
    "destination",
    "carrier",
    "airline",
    "driver",
    "vehicle",
    "tail",
    "tailnum",
    "plane",
    "host",
    "server",
    "ip",
    "session",
    "email",
    "series",
    "symbol",
    "ticker",
    "sensor",
    "machine",
    "campaign",
    "visitor",
    "member",
    "seller",
    "buyer",
    "patient",
    "route",
    "zone",
    "region",
    "chick",
];

/// The most groups that are guessed.
const MOST_GROUPS: usize = 3;

/// Records of an entity in the sample, on average, at least.
const LEAST_RECORDS: f64 = 2.0;

/// A guessed entity.
#[derive(Clone, Debug)]
pub struct GuessedEntity {
    /// The columns that identify it.
    pub columns: Vec<usize>,
    /// Number of different entities in the sample.
    pub count: usize,
    pub why: String,
    pub doubt: Option<String>,
}

impl GuessedEntity {
    /// Returns the entity that was asked for: a column, or several with commas between them.
    ///
    /// # Errors
    /// If there is no such column, or values of one cannot identify entities.
    pub fn of_name(text: &str, columns: &[GuessedColumn]) -> Result<Self, Failure> {
        let mut found = Vec::new();
        // A name may have a comma itself.
        let whole = columns.iter().any(|column| column.column.flat_name() == text);
        let names: Vec<&str> = if whole { vec![text] } else { text.split(',').map(str::trim).collect() };
        for name in names {
            let at = find(name, columns, "--entity")?;
            let ty = columns[at].column.ty;
            if matches!(ty, Type::Float | Type::Timestamp) {
                let why = &columns[at].why;
                return Err(Failure::Usage(format!(
                    "error: --entity: {name:?} is of type {ty} ({why}); expected a string or an int"
                )));
            }
            if !found.contains(&at) {
                found.push(at);
            }
        }
        let count = count(&found, columns);
        Ok(GuessedEntity { columns: found, count, why: "--entity says so".to_owned(), doubt: None })
    }

    /// Guesses entities among columns that are not the time or the label.
    pub fn guess(columns: &[GuessedColumn], excluded: &[usize]) -> Vec<Self> {
        let mut found: Vec<(bool, f64, GuessedEntity)> = Vec::new();
        for (at, column) in columns.iter().enumerate().filter(|(at, _)| !excluded.contains(at)) {
            let is_named = is_named_as_entity(column);
            let records = (column.values.len() - column.nulls) as f64 / column.distinct.max(1) as f64;
            let is_text = column.column.ty == Type::String;
            let is_key = is_text || column.column.ty == Type::Int && is_named;
            if !is_key || column.distinct < 2 || records < LEAST_RECORDS {
                continue;
            }
            let name = if is_named { "; its name tells of one" } else { "" };
            let why = format!("{} different values, each {records:.1} times on average{name}", column.distinct);
            let doubt = (!is_named).then(|| "its name does not tell of an entity".to_owned());
            let entity = GuessedEntity { columns: vec![at], count: column.distinct, why, doubt };
            found.push((is_named, records, entity));
        }
        // Columns whose names tell of entities, else the one of the most different values.
        let is_any_named = found.iter().any(|(is_named, ..)| *is_named);
        found.retain(|(is_named, ..)| *is_named || !is_any_named);
        found.sort_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
        found.truncate(if is_any_named { MOST_GROUPS } else { 1 });
        found.into_iter().map(|(.., entity)| entity).collect()
    }
}

/// Returns whether the name of a column tells of an entity.
pub fn is_named_as_entity(column: &GuessedColumn) -> bool {
    let words = names::words(column.own_name());
    words
        .last()
        .is_some_and(|last| ENTITY_WORDS.contains(&last.as_str()) || last == "no" || last == "code" || last == "number")
        || words.first().is_some_and(|first| ENTITY_WORDS.contains(&first.as_str()) && words.len() == 1)
}

/// Returns the number of different entities.
fn count(columns: &[usize], all: &[GuessedColumn]) -> usize {
    let rows = columns.first().map_or(0, |first| all[*first].values.len());
    let key = |row: usize| columns.iter().map(|at| all[*at].values[row].to_text()).collect::<Vec<_>>();
    (0..rows).map(key).collect::<std::collections::HashSet<_>>().len()
}
