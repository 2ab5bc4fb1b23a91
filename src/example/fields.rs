//! The names that an instance may have, and the cell of each.

use crate::value::{Column, TimeUnit, Type};

/// A cell that an instance can give.
#[derive(Clone, Debug)]
pub(super) struct InstanceField {
    pub name: String,
    pub slot: usize,
    pub ty: Type,
    pub unit: TimeUnit,
    pub nullable: bool,
}

/// Where the fields of an instance are: at its top, or inside an object.
#[derive(Clone, Debug, Default)]
pub(super) struct InstanceFields {
    /// The objects that these are in, outermost first, each with a dot behind it.
    prefix: String,
    names: Vec<(String, FieldEntry)>,
}

#[derive(Clone, Debug)]
pub(super) enum FieldEntry {
    Field(InstanceField),
    Object(InstanceFields),
}

impl InstanceFields {
    /// What a name stands for.
    pub fn find(&self, name: &str) -> Option<&FieldEntry> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, place)| place)
    }

    /// A field's name with those of the objects that it is in.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Adds a column of the driving stream where its records have it. It can be given by its own name as well.
    pub fn add_column(&mut self, column: &Column, slot: usize) {
        let field = InstanceField {
            name: column.name.clone(),
            slot,
            ty: column.ty,
            unit: column.unit,
            nullable: column.nullable,
        };
        self.place(&column.path, field.clone());
        self.add(field);
    }

    /// Adds a field at the top, unless the name is taken.
    pub fn add(&mut self, field: InstanceField) -> bool {
        let free = self.find(&field.name).is_none();
        if free {
            self.names.push((field.name.clone(), FieldEntry::Field(field)));
        }
        free
    }

    fn place(&mut self, path: &[String], field: InstanceField) {
        let (name, rest) = path.split_first().expect("a path has at least one name");
        if rest.is_empty() {
            self.names.push((name.clone(), FieldEntry::Field(field)));
            return;
        }
        let nested = self.names.iter_mut().find_map(|(known, place)| match place {
            FieldEntry::Object(fields) if known == name => Some(fields),
            _ => None,
        });
        match nested {
            Some(fields) => fields.place(rest, field),
            None => {
                let prefix = format!("{}{name}.", self.prefix);
                let mut fields = InstanceFields { prefix, ..InstanceFields::default() };
                fields.place(rest, field);
                self.names.push((name.clone(), FieldEntry::Object(fields)));
            }
        }
    }
}
