//! Instances in JSON column by column: an object with a list for each column.

use serde_json::value::RawValue;

use super::RequestError;
use super::instance_table::{InstanceTable, TableCell};
use super::json_parts::JsonParts;

/// Columns of the same length.
#[derive(Debug, Default)]
pub struct JsonColumns<'a> {
    names: Vec<String>,
    columns: Vec<Vec<&'a RawValue>>,
}

impl<'a> JsonColumns<'a> {
    /// Reads the columns of a field of a body.
    ///
    /// # Errors
    /// If the field is no object with lists of the same length.
    pub fn read(field: &str, json: &'a RawValue) -> Result<Self, RequestError> {
        let wrong = |what: String| RequestError::Malformed(format!("{field}{what}"));
        let Ok(JsonParts::Object(entries)) = serde_json::from_str::<JsonParts<&RawValue>>(json.get()) else {
            return Err(wrong(": expected an object with a list of values for each column".to_owned()));
        };
        let mut read = JsonColumns::default();
        for (name, list) in entries {
            let cells: Vec<&RawValue> = serde_json::from_str(list.get())
                .map_err(|_| wrong(format!(".{name}: expected a list with a value for each instance")))?;
            if let Some(first) = read.columns.first().map(Vec::len).filter(|first| *first != cells.len()) {
                let count = cells.len();
                return Err(wrong(format!(".{name}: {count} values, and {} has {first}", read.names[0])));
            }
            read.names.push(name);
            read.columns.push(cells);
        }
        Ok(read)
    }

    /// The same columns without the lists that values may be in, one by one, as in a tensor of the shape `[N, 1]`. A column
    /// whose values are lists themselves keeps them.
    pub fn unnested(&self, is_list: impl Fn(&str) -> bool) -> Self {
        let unnested = |(name, cells): (&String, &Vec<&'a RawValue>)| {
            let alone = || cells.iter().map(|cell| alone(cell)).collect::<Option<Vec<_>>>();
            if is_list(name) { cells.clone() } else { alone().unwrap_or_else(|| cells.clone()) }
        };
        let columns = self.names.iter().zip(&self.columns).map(unnested).collect();
        JsonColumns { names: self.names.clone(), columns }
    }

    /// The names of the columns, in the order of the body.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of values of each column.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// The values of the column of a name.
    pub fn column(&self, name: &str) -> Option<&[&'a RawValue]> {
        self.names.iter().position(|known| known == name).map(|at| self.columns[at].as_slice())
    }

    /// The columns as instances.
    pub fn table(&self) -> InstanceTable<'_, impl Fn(usize, usize) -> TableCell<'a>> {
        let cell = |row: usize, column: usize| TableCell::Json(self.columns[column][row]);
        InstanceTable { names: &self.names, rows: self.rows(), cell }
    }
}

/// The item of a list of one; `None` for anything else.
fn alone<'a>(cell: &&'a RawValue) -> Option<&'a RawValue> {
    match serde_json::from_str::<Vec<&RawValue>>(cell.get()).ok()?[..] {
        [item] => Some(item),
        _ => None,
    }
}
