//! The form of a group's vectors, and of a look-up in them.

use super::{Group, Line, Spec};
use crate::aggregate::{AggregateSpec, GroupLayout, GroupState};
use crate::example::{FeatureLookup, OwnColumns, OwnRecord};
use crate::expr::Expr;
use crate::value::{Column, Schema};

impl Group {
    /// Returns the lines of the group's state, with the position of each answer in its vectors.
    pub fn layout(&self) -> GroupLayout {
        let spec = |(number, line): (usize, &Line)| {
            let mut positions = vec![vec![0; line.ops.len()]; line.windows.len()];
            for (position, feature) in self.features.iter().enumerate().filter(|(_, feature)| feature.line == number) {
                positions[feature.window][feature.op] = position;
            }
            AggregateSpec { windows: line.windows.clone(), positions, ..line.layout() }
        };
        GroupLayout { lines: self.lines.iter().enumerate().map(spec).collect(), width: self.features.len() }
    }
}

impl Spec {
    /// Returns the columns of a group's entity.
    pub fn entity_columns(&self, group: &Group) -> impl Iterator<Item = &Column> {
        let schema = self.stream_schema(group.from);
        group.entity.iter().map(|column| &schema.columns[*column])
    }

    /// Returns a look-up of features of a group, by position, by records that have the entity in the columns `entity`
    /// and, where they count themselves, the columns of `asking`.
    ///
    /// # Panics
    /// If `asking` lacks a column that a `current` line of the features reads.
    pub fn feature_lookup(
        &self,
        group: usize,
        features: &[usize],
        entity: Vec<usize>,
        asking: &Schema,
    ) -> FeatureLookup {
        let group = &self.groups[group];
        let types: Vec<_> = group.feature_types().collect();
        FeatureLookup {
            group: group.name.clone(),
            key: self.entity_columns(group).map(|column| column.ty).collect(),
            entity,
            features: features.to_vec(),
            names: group.feature_names().map(|feature| format!("{}.{feature}", group.name)).collect(),
            types: features.iter().map(|feature| types[*feature].of_values()).collect(),
            forms: features.iter().map(|feature| group.form_at(*feature)).collect(),
            derived: group.derived_features(),
            empty: GroupState::new(&group.layout()).vector(None, None).into(),
            own: self.own_records(group, features, asking),
        }
    }

    /// Returns how the records of a stream count themselves in the `current` lines of some features.
    fn own_records(&self, group: &Group, features: &[usize], asking: &Schema) -> Vec<OwnRecord> {
        let own = group.current_lines(features).map(|number| {
            let line = &group.lines[number];
            let columns = self.own_columns(group, line, asking).expect("the columns have been checked");
            let to = |column: usize| columns[&column];
            let layout = line.layout();
            OwnRecord {
                features: (0..group.features.len()).filter(|at| group.features[*at].line == number).collect(),
                columns: OwnColumns {
                    of: line.of.as_ref().map(|of| of.remap(&to)),
                    with: line.with.as_ref().map(|with| with.expr.remap(&to)),
                    by: line.by.map(|by| Expr::column(to(by), &asking.columns[to(by)])),
                    filter: line.filter.as_ref().map(|filter| filter.remap(&to)),
                },
                digits: layout.digits,
                with_digits: layout.with_digits,
                needs: layout.needs(),
            }
        });
        own.collect()
    }
}
