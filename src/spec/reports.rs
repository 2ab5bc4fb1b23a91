//! Reports beside the scores of a model: `segments` and `persistence`.

use super::checker::Checker;
use super::reader::Fields;
use crate::model::{LabelUse, ModelKind, ReportOptions, Task};
use crate::relation::StreamId;

impl<'a> Checker<'a> {
    /// Reads what is reported of a model of a kind whose examples are `stream`.
    pub fn reports(
        &self,
        fields: &Fields<'a>,
        stream: Option<StreamId>,
        kind: Option<&'static ModelKind>,
    ) -> ReportOptions {
        if let Some(kind) = kind.filter(|kind| kind.label == LabelUse::None) {
            for key in ["segments", "persistence"].into_iter().filter(|key| fields.get(key).is_some()) {
                let message = format!("models of kind '{}' are not scored", kind.name);
                self.problems.expected(fields.span(key), message, format!("no '{key}'"));
            }
        }
        if kind.is_some_and(|kind| kind.task == Task::Anomaly) && fields.get("persistence").is_some() {
            let message = "scores of the unusual are not compared with labels";
            self.problems.expected(fields.span("persistence"), message, "no 'persistence'");
        }
        let columns = |key| -> Vec<String> {
            let Some(names) = fields.get(key).and_then(|_| fields.texts(key)) else { return Vec::new() };
            if let Some(stream) = stream {
                let name = self.spec.relations.node(stream).name.as_deref().unwrap_or_default();
                self.columns(&names, self.spec.stream_schema(stream), name);
            }
            names.iter().map(|name| name.value.to_owned()).collect()
        };
        ReportOptions { segments: columns("segments"), persistence: columns("persistence") }
    }
}
