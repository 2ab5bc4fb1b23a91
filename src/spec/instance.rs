//! The source whose record an instance of a model is.

use super::checker::Checker;
use super::reader::Fields;
use super::toml_text::Text;
use crate::relation::StreamId;

impl<'a> Checker<'a> {
    /// Returns the way of an instance: from the driving source to `stream`, the examples, both included. The key
    /// `instance` names a stream on it; it is needed where examples come from several sources, or from one by several
    /// ways.
    pub fn instance(&self, fields: &Fields<'a>, stream: StreamId, examples: &Text) -> Option<Vec<StreamId>> {
        let relations = &self.spec.relations;
        let name = fields.text("instance");
        let through = match &name {
            Some(name) => self.stream(name)?,
            None => stream,
        };
        let place = || name.as_ref().map_or_else(|| examples.span.clone(), |name| name.span.clone());
        let mut path = match self.way_from_source(through) {
            Some(path) => path,
            None => {
                let named = relations.node(through).name.as_deref().unwrap_or_default();
                let message =
                    format!("'{named}' has {}, so an instance could be a record of any", self.origins(through));
                self.problems.expected(place(), message, self.choices(stream));
                return None;
            }
        };
        match relations.path(through, stream) {
            Ok(rest) => path.extend(rest.into_iter().skip(1)),
            Err(ways) => {
                let named = relations.node(through).name.as_deref().unwrap_or_default();
                let message = match ways {
                    0 => format!("'{}' has no records of '{named}'", examples.value),
                    ways => format!("'{}' has the records of '{named}' in {ways} ways", examples.value),
                };
                self.problems.expected(place(), message, self.choices(stream));
                return None;
            }
        }
        Some(path)
    }

    /// Returns the way from a source to a stream, if there is only one.
    fn way_from_source(&self, stream: StreamId) -> Option<Vec<StreamId>> {
        let relations = &self.spec.relations;
        let sources = relations.sources(stream);
        let [source] = sources[..] else { return None };
        relations.path(relations.find(relations.source_name(source))?, stream).ok()
    }

    /// Describes where the records of a stream come from, if not from one source by one way.
    fn origins(&self, stream: StreamId) -> String {
        let relations = &self.spec.relations;
        let names: Vec<&str> =
            relations.sources(stream).into_iter().map(|source| relations.source_name(source)).collect();
        match names[..] {
            [only] => format!("the records of '{only}' in several ways"),
            _ => format!("records of {}", names.join(", ")),
        }
    }

    /// Lists the values of `instance` that would do: sources and views that lead to the examples in one way.
    fn choices(&self, stream: StreamId) -> String {
        let relations = &self.spec.relations;
        let fits = |other: &StreamId| self.way_from_source(*other).is_some() && relations.path(*other, stream).is_ok();
        let named = relations.iter().filter(|(other, node)| node.name.is_some() && *other != stream && fits(other));
        let names: Vec<String> =
            named.map(|(_, node)| format!("\"{}\"", node.name.as_deref().unwrap_or_default())).collect();
        match names.is_empty() {
            true => "examples that have the records of a source or view in one way only".to_owned(),
            false => format!("instance = {}", names.join(" or ")),
        }
    }
}
