//! The report of an explanation, as a table or as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::contributions::{Contribution, Moment, Recomputed};
use super::lineage::EntityRecords;
use super::served::ServedVector;
use crate::flow::plan::GroupPlan;
use crate::spec::Group;
use crate::time::format_time;
use crate::value::Scalar;

/// An explanation of features of one entity.
pub struct Report<'a> {
    pub spec: &'a Group,
    pub group: &'a GroupPlan,
    pub entity: &'a [Scalar],
    pub records: &'a EntityRecords,
    pub moment: Moment,
    pub contributions: &'a [Contribution],
    /// The derived features.
    pub derived: &'a [Recomputed],
    /// The vector that it is compared with, and what that is in a word.
    pub served: Option<&'a ServedVector>,
    pub served_by: &'static str,
}

impl Report<'_> {
    /// Returns the names of the features that differ from those served.
    pub fn differences(&self) -> Vec<&str> {
        let all = self.contributions.iter().flat_map(|contribution| &contribution.features).chain(self.derived);
        let differs = |of: &&Recomputed| self.served_value(of).is_some_and(|served| *served != self.value(of));
        all.filter(differs).map(|of| self.group.names[of.feature].as_str()).collect()
    }

    fn value(&self, of: &Recomputed) -> Value {
        of.value.to_json(self.moment.asking)
    }

    fn served_value(&self, of: &Recomputed) -> Option<&Value> {
        self.served.map(|served| &served.features[of.feature])
    }

    /// Returns the line's input, in words.
    fn input(&self, contribution: &Contribution) -> String {
        let line = &self.spec.lines[contribution.line];
        let of = line.of.as_ref().map_or("records".into(), |of| of.text());
        let filter = line.filter.as_ref().map_or_else(String::new, |filter| format!(" where {}", filter.text()));
        format!("{of}{filter}")
    }

    fn value_of_record(&self, contribution: &Contribution, record: usize) -> Scalar {
        let column = self.group.lines[contribution.line].of;
        column.map_or(Scalar::Null, |column| self.records.value(record, column))
    }

    /// Returns the explanation as JSON.
    pub fn to_json(&self) -> Value {
        let entity: Map<String, Value> =
            self.group.entity_names.iter().cloned().zip(self.entity.iter().map(Scalar::to_json)).collect();
        let windows: Vec<Value> =
            self.contributions.iter().map(|contribution| self.window_json(contribution)).collect();
        json!({
            "group": self.group.name,
            "entity": entity,
            "as_of": format_time(self.moment.closed),
            "windows": windows,
            "derived": self.derived.iter().map(|of| self.derived_json(of)).collect::<Map<_, _>>(),
        })
    }

    fn window_json(&self, contribution: &Contribution) -> Value {
        let line = &self.spec.lines[contribution.line];
        let features: Map<String, Value> = contribution.features.iter().map(|of| self.feature_json(of)).collect();
        let record = |record: &usize| {
            let of = &self.records.records[*record];
            let mut fields = json!({
                "source": of.source, "partition": of.partition, "offset": of.offset,
                "time": format_time(of.event_time), "effective": format_time(of.effective),
            });
            if line.of.is_some() {
                fields["value"] = self.value_of_record(contribution, *record).to_json();
            }
            fields
        };
        json!({
            "of": line.of.as_ref().map(|of| of.text()),
            "where": line.filter.as_ref().map(|filter| filter.text()),
            "window": line.windows[contribution.window].describe(),
            "features": features,
            "records": contribution.records.iter().map(record).collect::<Vec<_>>(),
        })
    }

    /// Returns the name of a feature with its value, and the one served.
    fn feature_json(&self, of: &Recomputed) -> (String, Value) {
        let mut fields = json!({ "value": self.value(of) });
        if let Some(served) = self.served_value(of) {
            fields["served"] = served.clone();
            fields["equal"] = (*served == self.value(of)).into();
        }
        (self.group.names[of.feature].clone(), fields)
    }

    fn derived_json(&self, of: &Recomputed) -> (String, Value) {
        let (name, mut fields) = self.feature_json(of);
        fields["expr"] = self.expression(of).into();
        (name, fields)
    }

    /// Returns the expression of a derived feature.
    fn expression(&self, of: &Recomputed) -> String {
        self.spec.derived_at(of.feature).map_or_else(String::new, |derived| derived.expr.text().trim().to_owned())
    }

    /// Returns the explanation as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("writing to a string does not fail");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let entity = self.entity.iter().map(Scalar::to_text).collect::<Vec<_>>().join(", ");
        writeln!(out, "{} {entity} as of {}", self.group.name, format_time(self.moment.closed))?;
        for contribution in self.contributions {
            let window = self.spec.lines[contribution.line].windows[contribution.window];
            let count = contribution.records.len();
            let noun = if count == 1 { "record" } else { "records" };
            writeln!(out, "\n{}, {}: {count} {noun}", self.input(contribution), window.describe())?;
            contribution.features.iter().try_for_each(|of| self.write_feature(out, of))?;
            self.write_records(out, contribution)?;
        }
        for of in self.derived {
            writeln!(out, "\n{}", self.expression(of))?;
            self.write_feature(out, of)?;
        }
        Ok(())
    }

    fn write_feature(&self, out: &mut String, of: &Recomputed) -> std::fmt::Result {
        write!(out, "  {} = {}", self.group.names[of.feature], self.value(of))?;
        match self.served_value(of) {
            None => writeln!(out),
            Some(served) if *served == self.value(of) => writeln!(out, ", as {}", self.served_by),
            Some(served) => writeln!(out, ", but {} {}", served, self.served_by),
        }
    }

    fn write_records(&self, out: &mut String, contribution: &Contribution) -> std::fmt::Result {
        let has_value = self.group.lines[contribution.line].of.is_some();
        let cells = |record: &usize| {
            let of = &self.records.records[*record];
            let late = if of.effective == of.event_time {
                String::new()
            } else {
                format!("late, effective {}", format_time(of.effective))
            };
            let value = if has_value {
                self.value_of_record(contribution, *record).to_json().to_string()
            } else {
                String::new()
            };
            let offset = of.offset.to_string();
            [of.source.clone(), of.partition.to_string(), offset, format_time(of.event_time), value, late]
        };
        let head = ["source", "partition", "offset", "event time", if has_value { "value" } else { "" }, ""];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(contribution.records.iter().map(cells));
        if rows.len() == 1 {
            return Ok(());
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(out, "    {}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
