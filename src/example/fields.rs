//! The fields that an instance may have, and the slot of each.

use crate::model::InputShape;
use crate::value::{CellRules, Column, TimeRules, Type};

/// The form of an instance: its fields, the required ones, and the number of cells of a row.
#[derive(Debug, Default)]
pub(super) struct InstanceSchema {
    pub fields: InstanceFields,
    /// Position and slot of each column of the record, but the event time, from which inputs are made.
    pub needed: Vec<(usize, usize)>,
    /// Name and slot of each of them that is not nullable. An instance must set it, unless it sets what would have been
    /// made from it.
    pub required: Vec<(String, usize)>,
    /// Slot and name of the column that is the event time; `None` if there is none.
    pub time: Option<(usize, String)>,
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
    /// The type of the value, or of the values in a list or map.
    pub ty: Type,
    pub form: InputShape,
    pub time: TimeRules,
    pub nullable: bool,
    /// True if other columns have the same path: its own name then says more than the path.
    pub is_shared: bool,
}

impl InstanceField {
    /// Returns the rules by which its value is read.
    pub fn rules(&self) -> CellRules<'_> {
        CellRules { ty: self.ty, nullable: self.nullable, time: &self.time }
    }
}

/// Fields of one JSON object: the instance itself, or an object inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct InstanceFields {
    /// Names of the enclosing objects, outermost first, each followed by a dot.
    prefix: String,
    names: Vec<(String, FieldEntry)>,
}

/// The columns that a name sets, and the object that it may be.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldEntry {
    pub fields: Vec<InstanceField>,
    pub object: Option<InstanceFields>,
}

impl InstanceFields {
    /// Returns the entry of a name.
    pub fn find(&self, name: &str) -> Option<&FieldEntry> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, entry)| entry)
    }

    /// Returns the field of a slot, here or in an object inside.
    pub fn of_slot(&self, slot: usize) -> Option<&InstanceField> {
        self.names.iter().find_map(|(_, entry)| {
            let here = entry.fields.iter().find(|field| field.slot == slot);
            here.or_else(|| entry.object.as_ref()?.of_slot(slot))
        })
    }

    /// Returns a field's name, prefixed by those of the enclosing objects.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Returns the names of all fields and objects.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Adds a column of the driving source at its path in the JSON record, and by its own name and its flat name at the
    /// top.
    pub fn add_column(&mut self, column: &Column, slot: usize) {
        let field = InstanceField {
            name: column.name.clone(),
            slot,
            ty: column.ty,
            form: InputShape::Value,
            time: column.time.clone(),
            nullable: column.nullable,
            is_shared: false,
        };
        self.insert(&column.path, field.clone());
        self.add(field.clone());
        self.add_named(column.flat_name(), field);
    }

    /// Adds a field at the top; returns false if the name is taken.
    pub fn add(&mut self, field: InstanceField) -> bool {
        self.add_named(field.name.clone(), field)
    }

    fn add_named(&mut self, name: String, field: InstanceField) -> bool {
        let free = self.find(&name).is_none();
        if free {
            self.names.push((name, FieldEntry { fields: vec![field], object: None }));
        }
        free
    }

    /// Makes every field nullable whose slot is not needed.
    fn relax(&mut self, needed: &[bool]) {
        self.visit(&mut |fields| fields.iter_mut().for_each(|field| field.nullable |= !needed[field.slot]));
    }

    /// Marks the fields that share their path with others. To be called when all columns have been added.
    pub fn mark_shared(&mut self) {
        let mut slots = Vec::new();
        self.visit(&mut |fields| {
            if fields.len() > 1 {
                slots.extend(fields.iter().map(|field| field.slot));
            }
        });
        self.visit(&mut |fields| fields.iter_mut().for_each(|field| field.is_shared = slots.contains(&field.slot)));
    }

    /// Visits the fields of each name, here and in the objects inside.
    fn visit(&mut self, with: &mut impl FnMut(&mut Vec<InstanceField>)) {
        for (_, entry) in &mut self.names {
            with(&mut entry.fields);
            if let Some(object) = &mut entry.object {
                object.visit(with);
            }
        }
    }

    fn insert(&mut self, path: &[String], field: InstanceField) {
        let (name, rest) = path.split_first().expect("a path has at least one name");
        let at = self.names.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.names.push((name.clone(), FieldEntry::default()));
            self.names.len() - 1
        });
        let entry = &mut self.names[at].1;
        if !rest.is_empty() {
            let prefix = format!("{}{name}.", self.prefix);
            let object = || InstanceFields { prefix, ..InstanceFields::default() };
            return entry.object.get_or_insert_with(object).insert(rest, field);
        }
        entry.fields.push(field);
    }
}
