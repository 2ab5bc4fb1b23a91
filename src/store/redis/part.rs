//! A part of the online store in Redis: the entities of a group, or the rows of a table.

use std::sync::Arc;

use redis::Pipeline;

use super::layout::{self, key_text};
use super::replica_layout::{ReplicaDefinition, rows_key, vector_key, write_row, write_vector};
use super::{Mirror, MirroredGroup};
use crate::store::Vector;
use crate::store::memory::OnlineTable;
use crate::time::EventTime;
use crate::value::Key;

/// A group or a table that is mirrored.
pub struct MirroredPart {
    /// The name by which it is counted: that of the group, or `table.` and that of the table.
    pub label: String,
    pub table: Arc<OnlineTable>,
    form: PartForm,
    dataflow: String,
    /// The definition for which replicas read it; `None` without replicas.
    definition: Option<ReplicaDefinition>,
}

enum PartForm {
    /// A hash for each entity and, for replicas, its vector.
    Entities(MirroredGroup),
    /// One hash, at this key.
    Rows(String),
}

impl MirroredPart {
    /// Returns the parts of a mirror: its groups, then the tables that replicas look up.
    pub fn all(mirror: &Mirror) -> Vec<MirroredPart> {
        let definition = mirror.replicas.as_ref().map(|replicas| replicas.definition.clone());
        let part = |label: String, table: &Arc<OnlineTable>, form: PartForm| MirroredPart {
            label,
            table: table.clone(),
            form,
            dataflow: mirror.dataflow.clone(),
            definition: definition.clone(),
        };
        let groups = mirror.groups.iter();
        let groups = groups.map(|group| part(group.name.clone(), &group.table, PartForm::Entities(group.clone())));
        let rows = mirror.replicas.iter().flat_map(|replicas| &replicas.tables).map(|rows| {
            let key = rows_key(&mirror.dataflow, &rows.name);
            part(format!("table.{}", rows.name), &rows.table, PartForm::Rows(key))
        });
        groups.chain(rows).collect()
    }

    /// Appends the commands that write the features of an entity, or delete them if there is no vector; none for a table.
    pub fn write(&self, pipe: &mut Pipeline, key: &Key, vector: Option<&Vector>, asof: EventTime) {
        if let PartForm::Entities(group) = &self.form {
            layout::write(pipe, &self.key_of(key), group, vector, asof);
        }
    }

    /// Appends the commands that write the vector or row of a key for replicas, or delete it if there is none.
    pub fn write_for_replicas(&self, pipe: &mut Pipeline, key: &Key, vector: Option<&Vector>) {
        let Some(definition) = &self.definition else { return };
        match &self.form {
            PartForm::Entities(group) => {
                let scalars = self.table.codec().decode_one(key.as_bytes());
                let text = vector_key(&self.dataflow, &group.name, &scalars);
                write_vector(pipe, definition, &text, vector, group.ttl_ms);
            }
            PartForm::Rows(rows) => write_row(pipe, definition, rows, key, vector),
        }
    }

    /// Appends the same commands for a key that holds another type. Of a table, all rows go with it, which are dirty then.
    pub fn replace(&self, pipe: &mut Pipeline, key: &Key, vector: Option<&Vector>, asof: EventTime) {
        pipe.cmd("DEL").arg(self.key_of(key)).ignore();
        self.write(pipe, key, vector, asof);
        self.write_for_replicas(pipe, key, vector);
        if let PartForm::Rows(_) = &self.form {
            self.table.mark_all_dirty();
        }
    }

    /// Returns the key in Redis that holds a key of the part.
    pub fn key_of(&self, key: &Key) -> String {
        match &self.form {
            PartForm::Entities(group) => {
                key_text(&self.dataflow, &group.name, &self.table.codec().decode_one(key.as_bytes()))
            }
            PartForm::Rows(rows) => rows.clone(),
        }
    }

    /// Returns the key of the hash with the rows of a table; `None` of a group.
    pub fn rows(&self) -> Option<&str> {
        match &self.form {
            PartForm::Entities(_) => None,
            PartForm::Rows(rows) => Some(rows),
        }
    }
}
