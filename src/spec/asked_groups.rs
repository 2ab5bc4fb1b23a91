//! Look-ups in feature groups, one after the other: which can be made.

use std::ops::Range;

use super::checker::Checker;
use super::problem::Mistake;
use super::{Group, Model};
use crate::relation::StreamId;

impl Checker<'_> {
    /// Adds a group that has been read. It answers after the groups that its own records look up.
    pub fn add_group(&mut self, group: Group) {
        let (position, name) = (self.spec.groups.len(), format!("feature group '{}'", group.name));
        for asked in self.spec.relations.groups(group.from) {
            let put = self.spec.group_order.put(asked, position, name.clone());
            put.expect("no group answers after one that was not there");
        }
        self.spec.groups.push(group);
    }

    /// Makes a group answer after the groups that the records of a stream, which look it up, have looked up before;
    /// returns what is wrong with that. `asker` is who looks up, such as `view 'scored'`, and `span` the place of it.
    pub fn ask_group(&mut self, stream: StreamId, group: usize, asker: &str, span: &Range<usize>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let name = |group: usize, spec: &super::Spec| spec.groups[group].name.clone();
        for before in self.spec.relations.groups(stream) {
            if before == group {
                let message = format!("'{}' has answered these records already", name(group, &self.spec));
                let expected = "its features in the SELECT of the view that looks it up, \
                                or a second group of the same definition";
                mistakes.push(Mistake::new(span.clone(), message).expected(expected));
                continue;
            }
            if let Err(needed_by) = self.spec.group_order.put(before, group, asker.to_owned()) {
                let (after, before) = (name(group, &self.spec), name(before, &self.spec));
                let needed_by = needed_by.join(" and ");
                let message =
                    format!("'{after}' would answer after '{before}' here, and must answer before it for {needed_by}");
                let expected = format!("a second group of the definition of '{after}' or of '{before}'");
                mistakes.push(Mistake::new(span.clone(), message).expected(expected));
            }
        }
        mistakes
    }

    /// Reports look-ups of a model in groups that cannot answer examples of its stream.
    pub fn check_asked(&mut self, model: &Model, span: &Range<usize>) {
        for lookup in &model.lookups {
            let asker = format!("model '{}'", model.name);
            let mistakes = self.ask_group(model.examples, lookup.group, &asker, span);
            mistakes.into_iter().for_each(|mistake| self.problems.add(mistake));
        }
    }
}
