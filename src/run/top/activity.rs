//! The activity of a job: rates and states, from two readings of its metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::exposition::MetricSample;

/// The activity of a job.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JobActivity {
    pub ready: bool,
    /// The reasons against readiness.
    pub reasons: Vec<String>,
    /// Requests that were answered per second.
    pub requests_per_second: f64,
    pub sources: Vec<SourceActivity>,
    /// The busiest first.
    pub operators: Vec<OperatorActivity>,
    pub models: Vec<ModelActivity>,
}

/// A source or a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceActivity {
    pub name: String,
    pub records_per_second: f64,
    pub read: f64,
    pub late: f64,
    pub dead_letters: f64,
    pub in_flight: f64,
    /// Records of Kafka that have not been read; `None` for files.
    pub lag: Option<f64>,
    /// Watermark in seconds since 1970; `None` before the first record.
    pub watermark: Option<f64>,
}

/// An operator of the graph.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OperatorActivity {
    pub name: String,
    pub kind: String,
    /// The share of one core.
    pub busy: f64,
    pub records_in_per_second: f64,
    pub records_out_per_second: f64,
    pub state_bytes: Option<f64>,
}

/// A model, with the scores of its newest window.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelActivity {
    pub name: String,
    pub champion: Option<f64>,
    /// By metric and role.
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
}

impl JobActivity {
    /// Returns the activity between two readings, the earlier first.
    pub fn between(before: &[MetricSample], after: &[MetricSample], elapsed: Duration) -> Self {
        let reading = ReadingPair { before, after, seconds: elapsed.as_secs_f64().max(1e-3) };
        JobActivity {
            ready: reading.sum("tidemill_ready", &[]).is_some_and(|ready| ready > 0.0),
            reasons: Vec::new(),
            requests_per_second: reading.rate("tidemill_http_requests_total", &[]),
            sources: reading.sources(),
            operators: reading.operators(),
            models: reading.models(),
        }
    }
}

/// Two readings of the metrics.
struct ReadingPair<'a> {
    before: &'a [MetricSample],
    after: &'a [MetricSample],
    seconds: f64,
}

impl ReadingPair<'_> {
    /// Returns the sum of the samples with these labels; `None` if there are none.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum(self.after, name, labels)
    }

    /// Returns the increase per second.
    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let [before, after] = [self.before, self.after].map(|samples| sum(samples, name, labels).unwrap_or(0.0));
        ((after - before) / self.seconds).max(0.0)
    }

    /// Returns the values of a label.
    fn values(&self, name: &str, label: &str) -> Vec<String> {
        let of_name = self.after.iter().filter(|sample| sample.name == name);
        let mut found: Vec<String> = of_name.filter_map(|sample| sample.labels.get(label).cloned()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn sources(&self) -> Vec<SourceActivity> {
        const RECORDS: &str = "tidemill_source_records_total";
        let source = |name: String| {
            // Files are read ahead of what takes effect.
            let taken = |samples: &[MetricSample]| {
                let of =
                    |outcome: &str| sum(samples, RECORDS, &[("source", &name), ("outcome", outcome)]).unwrap_or(0.0);
                let in_flight = sum(samples, "tidemill_source_in_flight_records", &[("source", &name)]);
                of("read") - in_flight.unwrap_or(0.0)
            };
            let outcome = |outcome: &str| self.sum(RECORDS, &[("source", &name), ("outcome", outcome)]).unwrap_or(0.0);
            SourceActivity {
                records_per_second: ((taken(self.after) - taken(self.before)) / self.seconds).max(0.0),
                read: outcome("read"),
                late: outcome("late"),
                dead_letters: outcome("dead_letter"),
                in_flight: self.sum("tidemill_source_in_flight_records", &[("source", &name)]).unwrap_or(0.0),
                lag: self.sum("tidemill_source_lag_records", &[("source", &name)]),
                watermark: self.sum("tidemill_watermark_timestamp_seconds", &[("source", &name)]),
                name,
            }
        };
        self.values(RECORDS, "source").into_iter().map(source).collect()
    }

    fn operators(&self) -> Vec<OperatorActivity> {
        const BUSY: &str = "tidemill_operator_busy_seconds_total";
        let operator = |name: String| {
            let of = [("operator", name.as_str())];
            let kind = self.after.iter().find(|sample| sample.name == BUSY && has(sample, &of));
            OperatorActivity {
                kind: kind.and_then(|sample| sample.labels.get("kind").cloned()).unwrap_or_default(),
                busy: self.rate(BUSY, &of),
                records_in_per_second: self.rate("tidemill_operator_records_in_total", &of),
                records_out_per_second: self.rate("tidemill_operator_records_out_total", &of),
                state_bytes: self.sum("tidemill_state_bytes", &of),
                name,
            }
        };
        let mut found: Vec<OperatorActivity> = self.values(BUSY, "operator").into_iter().map(operator).collect();
        found.sort_by(|one, other| other.busy.total_cmp(&one.busy));
        found
    }

    fn models(&self) -> Vec<ModelActivity> {
        const SCORE: &str = "tidemill_model_score";
        let mut names = self.values("tidemill_model_version", "model");
        names.extend(self.values(SCORE, "model"));
        names.sort_unstable();
        names.dedup();
        let model = |name: String| {
            let mut scores: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
            for sample in self.after.iter().filter(|sample| sample.name == SCORE && has(sample, &[("model", &name)])) {
                let label = |label: &str| sample.labels.get(label).cloned().unwrap_or_default();
                scores.entry(label("metric")).or_default().insert(label("role"), sample.value);
            }
            let champion = self.sum("tidemill_model_version", &[("model", &name), ("alias", "champion")]);
            ModelActivity { name, champion, scores }
        };
        names.into_iter().map(model).collect()
    }
}

fn has(sample: &MetricSample, labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
}

fn sum(samples: &[MetricSample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let found = samples.iter().filter(|sample| sample.name == name && has(sample, labels)).map(|sample| sample.value);
    found.reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::top::exposition::samples;

    #[test]
    fn rates_are_the_increase_per_second_and_states_are_the_newest() {
        let text = |read: u32, busy: f64| {
            samples(&format!(
                "tidemill_ready 1\ntidemill_source_records_total{{source=\"a\",partition=\"0\",outcome=\"read\"}} {read}\n\
                 tidemill_source_records_total{{source=\"a\",partition=\"1\",outcome=\"read\"}} 10\n\
                 tidemill_operator_busy_seconds_total{{operator=\"features.x\",kind=\"group\"}} {busy}\n\
                 tidemill_operator_busy_seconds_total{{operator=\"source.a\",kind=\"source\"}} 1\n\
                 tidemill_model_version{{model=\"m\",alias=\"champion\"}} 3\n\
                 tidemill_model_score{{model=\"m\",metric=\"auc\",role=\"champion\"}} 0.75\n"
            ))
        };
        let activity = JobActivity::between(&text(100, 1.0), &text(300, 2.0), Duration::from_secs(2));
        let source = &activity.sources[0];
        assert_eq!((source.records_per_second, source.read, source.lag), (100.0, 310.0, None));
        let names: Vec<&str> = activity.operators.iter().map(|operator| operator.name.as_str()).collect();
        assert_eq!((names, activity.operators[0].busy), (vec!["features.x", "source.a"], 0.5));
        assert_eq!((activity.models[0].champion, activity.models[0].scores["auc"]["champion"]), (Some(3.0), 0.75));
        assert!(activity.ready);
    }
}
