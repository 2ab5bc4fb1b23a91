//! Reasons why a replay made no example of a model, or no version.

use std::collections::BTreeMap;

use super::digest::Digest;
use crate::model::WaitingWindow;
use crate::relation::StreamId;
use crate::source::RecordCounts;
use crate::spec::{JoinedLabel, Label, Model, Spec};
use crate::time::{EventTime, format_duration, format_time};

/// The results of a replay.
pub struct ReplayOutcome<'a> {
    pub spec: &'a Spec,
    pub digest: &'a Digest,
    /// Examples that were dropped because no label came, by model.
    pub unlabelled: &'a BTreeMap<String, u64>,
    /// The examples of the newest window that made no version, by model.
    pub waiting: &'a BTreeMap<String, WaitingWindow>,
    /// The event time at which the replay ended.
    pub end: EventTime,
}

impl ReplayOutcome<'_> {
    /// Returns a line for each model without an example or without a version.
    pub fn shortfalls(&self) -> Vec<String> {
        self.spec.models.iter().filter_map(|model| self.shortfall(model)).collect()
    }

    fn shortfall(&self, model: &Model) -> Option<String> {
        let name = &model.name;
        let examples = self.digest.examples.get(name).map_or(0, |content| content.rows);
        let has_version = self.digest.models.get(name).is_some_and(|versions| !versions.is_empty());
        if examples == 0 {
            return Some(format!("model {name}: no example, so no version: {}", self.without_examples(model)));
        }
        (!has_version).then(|| format!("model {name}: no version: {}", self.without_versions(model, examples)))
    }

    /// Returns why a model with examples has no version.
    fn without_versions(&self, model: &Model, examples: u64) -> String {
        match self.waiting.get(&model.name) {
            Some(WaitingWindow { examples, is_of_one_class: true, .. }) => {
                format!(
                    "the {examples} examples of all windows have the same label; the first version needs two classes"
                )
            }
            Some(WaitingWindow { examples, least, .. }) => {
                format!("all windows have {examples} examples; the first version needs {least} (min_examples)")
            }
            None => {
                let (window, end) = (format_duration(model.window_ms), format_time(self.end));
                format!(
                    "the replay ends at {end}, before the first window of {window} that has one of its {examples} examples"
                )
            }
        }
    }

    /// Returns why a model has no example whose label is known.
    fn without_examples(&self, model: &Model) -> String {
        if let Some(why) = self.without_records(model.examples) {
            return why;
        }
        let unlabelled = self.unlabelled.get(&model.name).copied().unwrap_or(0);
        let (examples, end) = (self.spec.stream_name(model.examples), format_time(self.end));
        let Label::Joined(JoinedLabel { from, from_on, within_ms, .. }) = &model.label else {
            return format!("no record passes '{examples}', or none has a label");
        };
        let labels = self.spec.stream_name(*from);
        let schema = self.spec.stream_schema(*from);
        let on: Vec<&str> = from_on.iter().map(|column| schema.columns[*column].name.as_str()).collect();
        let (on, within) = (on.join(", "), format_duration(*within_ms));
        match (self.without_records(*from), unlabelled) {
            (Some(why), _) => format!("no label: {why}"),
            (None, 0) => format!(
                "no record passes '{examples}', or their labels, from '{labels}' within {within}, were not known at {end}"
            ),
            (None, dropped) => format!(
                "'{labels}' has no label with the same {on} within {within} for any of {dropped} examples, which were dropped"
            ),
        }
    }

    /// Returns why a stream has no records at all; `None` if a source of it has some.
    fn without_records(&self, stream: StreamId) -> Option<String> {
        let mut reasons = Vec::new();
        for source in self.spec.relations.sources(stream) {
            let name = &self.spec.sources[source].topic.name;
            let RecordCounts { read, applied, late, filtered, dead_letter, .. } =
                self.digest.sources.get(name).copied().unwrap_or_default();
            if applied + late > 0 {
                return None;
            }
            reasons.push(match read {
                0 => format!("'{name}' has no record in this range"),
                _ if dead_letter == read => {
                    format!("all {read} records of '{name}' are dead letters; dead_letters.jsonl has the reasons")
                }
                _ if filtered == read => format!("the `where` of '{name}' filters out all its {read} records"),
                _ => {
                    format!("of {read} records of '{name}', {filtered} are filtered out and {dead_letter} dead letters")
                }
            });
        }
        Some(reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::digest::VersionDigest;
    use crate::store::offline::Content;

    const FILE: &str = r#"
name = "demo"
[source.asks]
topic = "asks"
format = "json"
time = "at"
columns = { id = "string", x = "float", at = "timestamp" }
[source.sales]
topic = "sales"
format = "json"
time = "at"
columns = { id = "string", at = "timestamp" }
[model.sold]
kind = "logistic"
examples = "asks"
features = ["x"]
label = { from = "sales", on = "id", value = "true", within = "1h" }
window = "1d"
"#;

    /// Returns the reason for these counts: read, applied and dead letters of each source, dropped and kept examples.
    fn reason(asks: [u64; 3], sales: [u64; 3], dropped: u64, examples: u64, versions: u64) -> String {
        reason_with(asks, sales, [dropped, examples, versions], None)
    }

    /// Returns the reason with the dropped examples, those kept and the versions, and with what windows have left.
    fn reason_with(asks: [u64; 3], sales: [u64; 3], counts: [u64; 3], waiting: Option<WaitingWindow>) -> String {
        let [dropped, examples, versions] = counts;
        let spec = crate::spec::parse(FILE, "demo.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let counts = |[read, applied, dead_letter]: [u64; 3]| RecordCounts {
            read,
            applied,
            dead_letter,
            filtered: read - applied - dead_letter,
            ..RecordCounts::default()
        };
        let version = |version| VersionDigest { version, window_end: 0, sha256: String::new(), champion: true };
        let digest = Digest {
            dataflow: "demo".to_owned(),
            from: None,
            to: None,
            sources: [("asks", counts(asks)), ("sales", counts(sales))].map(|(k, v)| (k.to_owned(), v)).into(),
            features: BTreeMap::new(),
            entities_dropped: BTreeMap::new(),
            examples: [("sold".to_owned(), Content { rows: examples, sha256: String::new() })].into(),
            models: [("sold".to_owned(), (0..versions).map(version).collect())].into(),
            training: BTreeMap::new(),
            nulls: BTreeMap::new(),
        };
        let unlabelled = [("sold".to_owned(), dropped)].into();
        let waiting = waiting.map(|waiting| ("sold".to_owned(), waiting)).into_iter().collect();
        let outcome =
            ReplayOutcome { spec: &spec, digest: &digest, unlabelled: &unlabelled, waiting: &waiting, end: 0 };
        outcome.shortfalls().join("\n")
    }

    #[test]
    fn a_model_without_examples_or_versions_has_a_reason() {
        let some = [9, 9, 0];
        assert_eq!(reason(some, some, 0, 9, 1), "");
        assert!(reason(some, some, 0, 9, 0).contains("before the first window of 1d that has one of its 9 examples"));
        let waiting = |examples, is_of_one_class| {
            reason_with(some, some, [0, 9, 0], Some(WaitingWindow { examples, least: 20, is_of_one_class }))
        };
        assert!(waiting(9, false).ends_with("all windows have 9 examples; the first version needs 20 (min_examples)"));
        assert!(waiting(30, true).contains("the 30 examples of all windows have the same label"));
        assert!(
            reason([0; 3], some, 0, 0, 0).ends_with("no example, so no version: 'asks' has no record in this range")
        );
        assert!(reason([9, 0, 9], some, 0, 0, 0).contains("all 9 records of 'asks' are dead letters"));
        assert!(reason([9, 0, 0], some, 0, 0, 0).contains("the `where` of 'asks' filters out all its 9 records"));
        assert!(
            reason([9, 0, 5], some, 0, 0, 0).contains("of 9 records of 'asks', 4 are filtered out and 5 dead letters")
        );
        assert!(reason(some, [9, 0, 9], 9, 0, 0).contains("no label: all 9 records of 'sales' are dead letters"));
        assert!(reason(some, some, 9, 0, 0).contains("'sales' has no label with the same id within 1h for any of 9"));
        assert!(reason(some, some, 0, 0, 0).contains("no record passes 'asks', or their labels"));
    }
}
