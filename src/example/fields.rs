//! The fields that an instance may have, and the slot of each.

use crate::value::{Column, TimeUnit, Type};

/// The form of an instance: its fields, the required ones, and the number of cells of a row.
#[derive(Debug, Default)]
pub(super) struct InstanceSchema {
    pub fields: InstanceFields,
    /// Position and slot of each column of the record, but the event time, from which inputs are made.
    pub needed: Vec<(usize, usize)>,
    /// Name and slot of each of them that is not nullable. An instance must set it, unless it sets what would have been
    /// made from it.
    pub required: Vec<(String, usize)>,
    /// Slot of the event time.
    pub time: usize,
    pub time_name: String,
    /// Cells of a row.
    pub width: usize,
}

impl InstanceSchema {
    /// Keeps as needed only the columns whose slots are. The others are optional.
    pub fn keep_needed(&mut self, needed: &[bool]) {
        self.needed.retain(|(_, slot)| needed[*slot]);
        self.required.retain(|(_, slot)| needed[*slot]);
        self.fields.relax(needed);
    }
}

/// A field that an instance can set.
#[derive(Clone, Debug)]
pub(super) struct InstanceField {
    pub name: String,
    pub slot: usize,
    pub ty: Type,
    pub unit: TimeUnit,
    pub nullable: bool,
}

/// Fields of one JSON object: the instance itself, or an object inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct InstanceFields {
    /// Names of the enclosing objects, outermost first, each followed by a dot.
    prefix: String,
    names: Vec<(String, FieldEntry)>,
}

#[derive(Clone, Debug)]
pub(super) enum FieldEntry {
    Field(InstanceField),
    Object(InstanceFields),
}

impl InstanceFields {
    /// Returns the field or object of a name.
    pub fn find(&self, name: &str) -> Option<&FieldEntry> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, entry)| entry)
    }

    /// Returns a field's name, prefixed by those of the enclosing objects.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Returns the names of all fields and objects.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Adds a column of the driving source at its path in the JSON record, and by its own name at the top.
    pub fn add_column(&mut self, column: &Column, slot: usize) {
        let field = InstanceField {
            name: column.name.clone(),
            slot,
            ty: column.ty,
            unit: column.unit,
            nullable: column.nullable,
        };
        self.insert(&column.path, field.clone());
        self.add(field);
    }

    /// Adds a field at the top; returns false if the name is taken.
    pub fn add(&mut self, field: InstanceField) -> bool {
        let free = self.find(&field.name).is_none();
        if free {
            self.names.push((field.name.clone(), FieldEntry::Field(field)));
        }
        free
    }

    /// Lets every field be null whose slot is not needed.
    fn relax(&mut self, needed: &[bool]) {
        for (_, entry) in &mut self.names {
            match entry {
                FieldEntry::Field(field) => field.nullable |= !needed[field.slot],
                FieldEntry::Object(fields) => fields.relax(needed),
            }
        }
    }

    fn insert(&mut self, path: &[String], field: InstanceField) {
        let (name, rest) = path.split_first().expect("a path has at least one name");
        if rest.is_empty() {
            self.names.push((name.clone(), FieldEntry::Field(field)));
            return;
        }
        let nested = self.names.iter_mut().find_map(|(known, entry)| match entry {
            FieldEntry::Object(fields) if known == name => Some(fields),
            _ => None,
        });
        match nested {
            Some(fields) => fields.insert(rest, field),
            None => {
                let prefix = format!("{}{name}.", self.prefix);
                let mut fields = InstanceFields { prefix, ..InstanceFields::default() };
                fields.insert(rest, field);
                self.names.push((name.clone(), FieldEntry::Object(fields)));
            }
        }
    }
}
