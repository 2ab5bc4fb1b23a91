//! The state of sources, groups and operators now, read back from the metrics for people.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric};

use super::Metrics;

/// The state of a source or table, all partitions together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceStatus {
    /// Records by outcome; `read` counts all of them.
    pub outcomes: BTreeMap<String, u64>,
    pub in_flight: u64,
    pub overtaken: u64,
    /// Records that have not been read yet; `None` where that is not known, as of files.
    pub lag: Option<u64>,
    /// Seconds since the epoch before which no further record takes effect; `None` before the first record.
    pub watermark: Option<f64>,
}

/// The state of a feature group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupStatus {
    /// Entities in the online store.
    pub entities: u64,
    /// Entities dropped at the group's bound; `None` if it has none.
    pub dropped: Option<u64>,
    /// Quantiles of freshness, in seconds; `None` if the group's topics do not follow the wall clock.
    pub freshness: Option<FreshnessQuantiles>,
}

/// Quantiles of a histogram, each the upper bound of its bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreshnessQuantiles {
    pub median: f64,
    pub p99: f64,
}

impl SourceStatus {
    /// Returns how many records have been read.
    pub fn read(&self) -> u64 {
        self.outcomes.get("read").copied().unwrap_or_default()
    }
}

impl Metrics {
    /// Returns the state of each source and table, by name.
    pub fn sources(&self) -> BTreeMap<String, SourceStatus> {
        let mut sources: BTreeMap<String, SourceStatus> = BTreeMap::new();
        let mut each = |metric: &dyn Collector, update: &dyn Fn(&mut SourceStatus, &Metric)| {
            for metric in children(metric) {
                update(sources.entry(label(metric.get_label(), "source")).or_default(), &metric);
            }
        };
        each(&self.source_records, &|source, metric| {
            let outcome = source.outcomes.entry(label(metric.get_label(), "outcome")).or_default();
            *outcome += metric.get_counter().get_value() as u64;
        });
        each(&self.source_in_flight, &|source, metric| source.in_flight += metric.get_gauge().get_value() as u64);
        each(&self.source_overtaken, &|source, metric| source.overtaken += metric.get_counter().get_value() as u64);
        each(&self.source_lag, &|source, metric| {
            *source.lag.get_or_insert(0) += metric.get_gauge().get_value() as u64;
        });
        each(&self.watermark, &|source, metric| source.watermark = Some(metric.get_gauge().get_value()));
        sources
    }

    /// Returns the state of each feature group, by name.
    pub fn groups(&self) -> BTreeMap<String, GroupStatus> {
        let mut groups: BTreeMap<String, GroupStatus> = BTreeMap::new();
        for metric in children(&self.online_entities) {
            groups.entry(label(metric.get_label(), "group")).or_default().entities =
                metric.get_gauge().get_value() as u64;
        }
        for (name, dropped) in self.dropped() {
            groups.entry(name).or_default().dropped = Some(dropped);
        }
        for metric in children(&self.freshness) {
            let group = groups.entry(label(metric.get_label(), "group")).or_default();
            let median = quantile(&metric, 0.5);
            group.freshness =
                median.zip(quantile(&metric, 0.99)).map(|(median, p99)| FreshnessQuantiles { median, p99 });
        }
        groups
    }

    /// Returns the entities that groups with a bound have dropped, by group.
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        let metrics = children(&self.entities_dropped).into_iter();
        metrics.map(|metric| (label(metric.get_label(), "group"), metric.get_counter().get_value() as u64)).collect()
    }

    /// Returns the bytes of each operator's state, by operator.
    pub fn states(&self) -> BTreeMap<String, u64> {
        let metrics = children(&self.state_bytes).into_iter();
        metrics.map(|metric| (label(metric.get_label(), "operator"), metric.get_gauge().get_value() as u64)).collect()
    }
}

fn children(metric: &dyn Collector) -> Vec<Metric> {
    metric.collect().iter_mut().flat_map(|family| family.take_metric()).collect()
}

fn label(labels: &[LabelPair], name: &str) -> String {
    labels.iter().find(|pair| pair.name() == name).map(|pair| pair.value().to_owned()).unwrap_or_default()
}

/// Returns the upper bound of the bucket that has a quantile of a histogram; `None` without observations.
fn quantile(metric: &Metric, quantile: f64) -> Option<f64> {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let rank = (quantile * count as f64).ceil() as u64;
    let bucket = histogram.get_bucket().iter().find(|bucket| bucket.cumulative_count() >= rank);
    (count > 0).then(|| bucket.map_or(f64::INFINITY, |bucket| bucket.upper_bound()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_added_and_quantiles_are_bounds_of_buckets() {
        let metrics = Metrics::new("test");
        for (partition, outcome, count) in [("0", "read", 5), ("1", "read", 7), ("1", "late", 2)] {
            metrics.source_records.with_label_values(&["a", partition, outcome]).inc_by(count);
        }
        metrics.source_lag.with_label_values(&["a", "0"]).set(3);
        metrics.source_lag.with_label_values(&["a", "1"]).set(4);
        let sources = metrics.sources();
        assert_eq!(sources["a"].outcomes, BTreeMap::from([("read".to_owned(), 12), ("late".to_owned(), 2)]));
        assert_eq!((sources["a"].lag, sources["a"].watermark), (Some(7), None));

        metrics.online_entities.with_label_values(&["g"]).set(9);
        assert_eq!(metrics.groups()["g"], GroupStatus { entities: 9, dropped: None, freshness: None });
        metrics.dropped_so_far("g", 0);
        assert_eq!(metrics.groups()["g"].dropped, Some(0), "it has a bound");
        metrics.dropped_so_far("g", 3);
        assert_eq!((metrics.groups()["g"].dropped, metrics.dropped()["g"]), (Some(3), 3));
        let freshness = metrics.freshness.with_label_values(&["g"]);
        (0..99).for_each(|_| freshness.observe(0.003));
        freshness.observe(1.5);
        let expected = FreshnessQuantiles { median: 0.004, p99: 0.004 };
        assert_eq!(metrics.groups()["g"].freshness, Some(expected));
        freshness.observe(1.5);
        assert_eq!(metrics.groups()["g"].freshness.unwrap().p99, 2.048);
    }
}
