//! The entity of an instance, by which a split sends it to an arm.

use super::steps::ProgramStep;
use super::{Frame, LookupSource, Program};
use crate::value::{Key, KeyCodec, Type};

/// The columns whose values are the entity.
#[derive(Debug)]
pub struct EntityColumns {
    codec: KeyCodec,
    slots: Vec<usize>,
}

impl Program {
    /// Returns the columns of this name; without names, the entity of the first feature group that is looked up, or all
    /// columns that the inputs need if there is none. `None` if an instance has no such column with a single value.
    pub fn entity(&self, by: &[String]) -> Option<EntityColumns> {
        let of_fields = |fields: Vec<(usize, Type)>| {
            let types: Vec<Type> = fields.iter().map(|(_, ty)| *ty).collect();
            EntityColumns { codec: KeyCodec::new(&types), slots: fields.into_iter().map(|(slot, _)| slot).collect() }
        };
        if !by.is_empty() {
            let field = |name: &String| {
                let field = self.instance.fields.find(name)?.fields.first()?;
                field.form.is_value().then_some((field.slot, field.ty))
            };
            return by.iter().map(field).collect::<Option<Vec<_>>>().map(of_fields);
        }
        let group = self.steps.iter().find_map(|step| match step {
            ProgramStep::LookUp(step) if matches!(self.sources[step.source], LookupSource::Group(_)) => {
                Some(EntityColumns { codec: step.codec.clone(), slots: step.key.clone() })
            }
            _ => None,
        });
        let needed = || {
            let field = |slot: usize| self.instance.fields.of_slot(slot).map(|field| (slot, field.ty));
            of_fields(self.instance.needed.iter().filter_map(|(_, slot)| field(*slot)).collect())
        };
        Some(group.unwrap_or_else(needed))
    }

    /// Returns the names of the columns that an instance may have.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.instance.fields.names()
    }
}

impl EntityColumns {
    /// Returns the hash of the entity of a row, after [`Program::run`]. `bytes` is working memory.
    pub fn hash(&self, frame: &Frame, row: usize, bytes: &mut Vec<u8>) -> u64 {
        bytes.clear();
        self.codec.encode_into(self.slots.iter().map(|slot| frame.get(row, *slot)), bytes);
        Key::hash_of(bytes)
    }
}
