//! Shape of the JSON objects that have the columns of a schema: where each column is looked for.
//!
//! A column is at its path. A path of several names also stands for one field with that name, dots included, as tools
//! write it that flatten objects; such a field counts if there is nothing at the path itself. Several columns may have one
//! path, and a column may lie below another.
//!
//! A table also knows how change records mark a delete: `_deleted` or, as Debezium flattens records, `__deleted`; and
//! Debezium's pair of objects `before` and `after`, of which `after` is null.

use super::{Column, Schema};

/// The column that marks a delete in a table's records.
pub const DELETED: &str = "_deleted";

/// The fields of an object that are columns, or have columns inside.
#[derive(Debug, Default)]
pub struct ObjectShape {
    pub fields: Vec<FieldShape>,
}

#[derive(Debug)]
pub struct FieldShape {
    pub name: String,
    pub value: ValueShape,
}

/// The columns of a field's value, by position.
#[derive(Debug)]
pub enum ValueShape {
    Column(usize),
    Object(ObjectShape),
    /// Several columns, or columns that have others below them.
    Shared(SharedShape),
    /// A column that is elsewhere too, and taken from here if it is not there.
    Fallback(usize),
    /// The row after a change; null after a delete.
    After(ObjectShape),
    /// The row before a change, read after a delete.
    Before(ObjectShape),
}

/// The columns of one path, and the columns below it.
#[derive(Debug)]
pub struct SharedShape {
    pub columns: Vec<usize>,
    pub below: ObjectShape,
}

/// A name of a path, with the columns of the path up to it and the names below.
#[derive(Debug, Default)]
struct PathNode {
    columns: Vec<usize>,
    below: Vec<(String, PathNode)>,
}

impl PathNode {
    fn add(&mut self, path: &[String], column: usize) {
        let Some((name, rest)) = path.split_first() else { return self.columns.push(column) };
        let at = self.below.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.below.push((name.clone(), PathNode::default()));
            self.below.len() - 1
        });
        self.below[at].1.add(rest, column);
    }

    fn has(&self, name: &str) -> bool {
        self.below.iter().any(|(known, _)| known == name)
    }

    fn object(&self, is_table: bool) -> ObjectShape {
        let changes = is_table && !self.has("before");
        let mut fields = Vec::new();
        for (name, node) in &self.below {
            let below = || node.object(is_table);
            let value = match (node.columns.as_slice(), node.below.is_empty()) {
                ([column], true) => ValueShape::Column(*column),
                ([], false) if changes && name == "after" => ValueShape::After(below()),
                ([], false) => ValueShape::Object(below()),
                (columns, _) => ValueShape::Shared(SharedShape { columns: columns.to_vec(), below: below() }),
            };
            if matches!(value, ValueShape::After(_)) {
                fields.push(FieldShape { name: "before".to_owned(), value: ValueShape::Before(below()) });
            }
            fields.push(FieldShape { name: name.clone(), value });
        }
        ObjectShape { fields }
    }
}

impl ObjectShape {
    /// Returns the shape of the records of a schema.
    pub fn of(schema: &Schema) -> Self {
        let mut root = PathNode::default();
        for (index, column) in schema.columns.iter().enumerate() {
            root.add(&column.path, index);
        }
        let deleted = schema.columns.iter().position(|column| column.name == DELETED);
        let mut shape = root.object(deleted.is_some());
        let mut fall_back = |name: String, column: usize| {
            if !root.has(&name) {
                shape.fields.push(FieldShape { name, value: ValueShape::Fallback(column) });
            }
        };
        let nested = |(_, column): &(usize, &Column)| column.path.len() > 1;
        schema.columns.iter().enumerate().filter(nested).for_each(|(at, column)| fall_back(column.flat_name(), at));
        if let Some(column) = deleted {
            fall_back("__deleted".to_owned(), column);
        }
        shape
    }

    /// Returns the field of a name. `next` is the one to try first: nearly always they come in the order of the schema.
    pub fn find(&self, name: &str, next: usize) -> Option<usize> {
        let is_next = self.fields.get(next).is_some_and(|field| field.name == name);
        if is_next { Some(next) } else { self.fields.iter().position(|field| field.name == name) }
    }

    /// Returns whether no field has columns below it.
    pub fn is_flat(&self) -> bool {
        self.fields.iter().all(|field| matches!(field.value, ValueShape::Column(_) | ValueShape::Fallback(_)))
    }

    /// Returns the first column in or below the object.
    pub fn first_column(&self) -> Option<usize> {
        self.fields.iter().find_map(|field| match &field.value {
            ValueShape::Column(column) | ValueShape::Fallback(column) => Some(*column),
            ValueShape::Shared(shared) => shared.columns.first().copied(),
            ValueShape::Object(shape) | ValueShape::After(shape) | ValueShape::Before(shape) => shape.first_column(),
        })
    }
}
