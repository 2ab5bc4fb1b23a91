//! The explanation of features of one entity, from what was found and recomputed.

use serde_json::Value;

use super::contributions::{Contribution, Moment, Recomputed};
use super::lineage::EntityRecords;
use crate::flow::plan::GroupPlan;
use crate::serve::explainer::{
    ExplainedFeature, ExplainedRecord, ExplainedWindow, FeatureExplanation, NamedValue, NamedValues, ServedVector,
};
use crate::spec::Group;
use crate::time::format_time;
use crate::value::Scalar;

/// The parts of an explanation.
pub struct Report<'a> {
    pub spec: &'a Group,
    pub group: &'a GroupPlan,
    pub entity: &'a [Scalar],
    pub records: &'a EntityRecords,
    pub moment: Moment,
    pub contributions: &'a [Contribution],
    /// The derived features.
    pub derived: &'a [Recomputed],
    /// The vector that it is compared with.
    pub served: Option<&'a ServedVector>,
    /// The most records of a window that are listed.
    pub most_listed: usize,
}

impl Report<'_> {
    /// Returns the explanation.
    pub fn explanation(&self) -> FeatureExplanation {
        let values = self.group.entity_names.iter().zip(self.entity);
        FeatureExplanation {
            group: self.group.name.clone(),
            entity: values.map(|(name, value)| NamedValue { name: name.clone(), value: value.to_json() }).collect(),
            as_of: format_time(self.moment.closed),
            windows: self.contributions.iter().map(|contribution| self.window(contribution)).collect(),
            derived: self.features(self.derived),
        }
    }

    fn window(&self, contribution: &Contribution) -> ExplainedWindow {
        let line = &self.spec.lines[contribution.line];
        let not_listed = contribution.records.len().saturating_sub(self.most_listed);
        let listed = &contribution.records[not_listed..];
        ExplainedWindow {
            of: line.of.as_ref().map(|of| of.text().into_owned()),
            filter: line.filter.as_ref().map(|filter| filter.text().into_owned()),
            window: line.windows[contribution.window].describe(),
            features: self.features(&contribution.features),
            records: listed.iter().map(|record| self.record(contribution, *record)).collect(),
            not_listed,
        }
    }

    fn record(&self, contribution: &Contribution, record: usize) -> ExplainedRecord {
        let of = &self.records.records[record];
        let column = self.group.lines[contribution.line].of;
        ExplainedRecord {
            source: of.source.clone(),
            partition: of.partition,
            offset: of.offset,
            time: format_time(of.event_time),
            effective: format_time(of.effective),
            value: column.map(|column| self.records.value(record, column).to_json()),
        }
    }

    /// Returns features with their values, and those served.
    fn features(&self, recomputed: &[Recomputed]) -> NamedValues<ExplainedFeature> {
        let feature = |of: &Recomputed| {
            let value = of.value.to_json(self.moment.asking);
            let served: Option<&Value> = self.served.map(|served| &served.features[of.feature]);
            let expr = self.spec.derived_at(of.feature).map(|derived| derived.expr.text().trim().to_owned());
            let equal = served.map(|served| *served == value);
            let feature = ExplainedFeature { value, served: served.cloned(), equal, expr };
            NamedValue { name: self.group.names[of.feature].clone(), value: feature }
        };
        recomputed.iter().map(feature).collect()
    }
}
