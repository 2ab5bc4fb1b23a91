//! The output of `tidemill check`: what a file computes, and how much memory an entity takes.

use std::fmt::{self, Write};
use std::ops::RangeInclusive;

use super::{Group, GroupFeature, JoinedLabel, Label, LearnAt, Line, Lookup, Model, Spec, Topic, Window, feature_type};
use crate::aggregate::{OpInput, RecordLoad};
use crate::model::{GateFallback, ParameterValue, RankingMetric, Task};
use crate::padding::{pad_end, width_of};
use crate::time::format_duration;
use crate::value::{Scalar, Schema, Separator};

impl Line {
    /// Returns the bytes that an entity takes in one of the windows: for one category if there are categories.
    pub fn bytes_per_entity(&self, window: Window, load: RecordLoad) -> usize {
        self.layout().bytes_per_entity(window, load)
    }

    /// Returns the bytes of a record that waits for the lag of a window.
    pub fn bytes_per_waiting_record(&self, window: Window) -> usize {
        self.layout().bytes_per_waiting_record(window)
    }
}

impl Group {
    /// Returns the bytes that an entity takes: for one category where there are categories.
    pub fn bytes_per_entity(&self, load: RecordLoad) -> usize {
        self.layout().bytes_per_entity(load)
    }

    /// Returns the bytes of an entity by which a bound in bytes is one in entities: with 10 records in each pane of its
    /// windows.
    pub fn bytes_for_bound(&self) -> usize {
        self.bytes_per_entity(RecordLoad::EachPane(10))
    }

    /// Returns the bytes of so many entities; `None` without a number of them.
    pub(super) fn bytes_of(&self, assumed: AssumedEntities) -> Option<usize> {
        let entities = usize::try_from(assumed.entities?).unwrap_or(usize::MAX);
        Some(self.bytes_per_entity(assumed.load()).saturating_mul(entities))
    }
}

/// The entities of each group whose memory is estimated.
#[derive(Clone, Copy, Debug)]
pub struct AssumedEntities {
    /// Number of entities, if their memory in all is wanted.
    pub entities: Option<u64>,
    /// Records of an entity a day.
    pub records: u64,
}

impl AssumedEntities {
    /// Records that are assumed unless they are given.
    pub const RECORDS: u64 = 1;

    /// Records that may be given.
    pub const BOUNDS: RangeInclusive<u64> = 1..=1_000_000_000;

    /// Returns the records of an entity.
    pub fn load(&self) -> RecordLoad {
        RecordLoad::Daily(self.records)
    }
}

impl Default for AssumedEntities {
    fn default() -> Self {
        AssumedEntities { entities: None, records: Self::RECORDS }
    }
}

impl Spec {
    /// Returns the plan as text, with the memory that entities take.
    pub fn explain(&self, assumed: AssumedEntities) -> String {
        let mut out = String::new();
        self.write(&mut out, assumed).expect("writing to a string does not fail");
        out
    }

    /// Returns the bytes of the entities of all groups; `None` without a number of entities.
    pub(super) fn bytes_of(&self, assumed: AssumedEntities) -> Option<usize> {
        assumed.entities?;
        let mut groups = self.groups.iter().map(|group| group.bytes_of(assumed));
        groups.try_fold(0, |sum: usize, bytes| Some(sum.saturating_add(bytes?)))
    }

    fn write(&self, out: &mut String, assumed: AssumedEntities) -> fmt::Result {
        writeln!(out, "dataflow {}", self.name)?;
        for source in &self.sources {
            self.write_topic(out, "source", &source.topic)?;
            if let Some(filter) = &source.filter {
                writeln!(out, "  where {}", filter.text())?;
            }
        }
        for table in &self.tables {
            self.write_topic(out, "table", &table.topic)?;
        }
        for view in &self.views {
            writeln!(out, "\nview {}: {}", view.name, self.relations.describe(view.stream))?;
            writeln!(out, "  {}", columns(self.stream_schema(view.stream)))?;
        }
        for group in &self.groups {
            self.write_group(out, group, assumed)?;
        }
        if let Some(bytes) = self.bytes_of(assumed) {
            writeln!(out, "\nall feature groups: {}", format_bytes(bytes))?;
        }
        for model in &self.models {
            self.write_model(out, model)?;
        }
        Ok(())
    }

    fn write_topic(&self, out: &mut String, kind: &str, topic: &Topic) -> fmt::Result {
        write!(out, "\n{kind} {}: topic {}, {}", topic.name, topic.topic, topic.format)?;
        if topic.schema.separator != Separator::default() {
            write!(out, ", CSV separated by {:?}", topic.schema.separator.text())?;
        }
        if !topic.key.is_empty() {
            write!(out, ", key {}", names(&topic.schema, &topic.key))?;
        }
        let time = topic.time.text(&topic.schema);
        writeln!(out, ", time {time}, lateness {}", format_duration(topic.lateness_ms))?;
        writeln!(out, "  {}", columns(&topic.schema))
    }

    fn write_group(&self, out: &mut String, group: &Group, assumed: AssumedEntities) -> fmt::Result {
        // The group and its memory.
        let AssumedEntities { entities, records } = assumed;
        let entity = names(self.stream_schema(group.from), &group.entity);
        let bytes = group.bytes_per_entity(assumed.load());
        write!(out, "\nfeatures {}: of {} by {entity}", group.name, self.stream_name(group.from))?;
        write!(out, "; about {} an entity", format_bytes(bytes))?;
        if group.lines.iter().any(|line| line.by.is_some()) {
            write!(out, " of one category")?;
        }
        let [few, many] = [AssumedEntities::BOUNDS.start(), AssumedEntities::BOUNDS.end()].map(|records| *records);
        if group.bytes_per_entity(RecordLoad::Daily(few)) != group.bytes_per_entity(RecordLoad::Daily(many)) {
            write!(out, " with {records} {} a day", if records == 1 { "record" } else { "records" })?;
        }
        if let (Some(entities), Some(total)) = (entities, group.bytes_of(assumed)) {
            write!(out, "; {} for {entities} entities", format_bytes(total))?;
        }
        writeln!(out)?;
        if let Some(bound) = group.bound {
            let entities = usize::try_from(bound.entities()).unwrap_or(usize::MAX);
            let total = format_bytes(entities.saturating_mul(group.bytes_for_bound()));
            write!(out, "  at most {} entities, {total} if each pane has 10 records, ", bound.entities())?;
            match bound.parts() {
                1 => {}
                parts => write!(out, "in {parts} parts, ")?,
            }
            writeln!(out, "then those longest without a record are dropped")?;
        }
        // Its features and windows.
        let width = width_of(group.feature_names());
        for feature in &group.features {
            let what = group.describe(feature, self.stream_schema(group.from));
            writeln!(out, "  {}  {:9}  {what}", pad_end(&feature.name, width), feature.ty)?;
        }
        for derived in &group.derived {
            let (name, ty) = (pad_end(&derived.name, width), derived.expr.ty());
            writeln!(out, "  {name}  {:9}  {}", ty.name(), derived.expr.text().trim())?;
        }
        for line in &group.lines {
            for window in &line.windows {
                let ops: Vec<String> = line.ops.iter().map(ToString::to_string).collect();
                write!(out, "  window {} of {}: ", window.size(), ops.join(", "))?;
                window.details().map_or(Ok(()), |details| write!(out, "{details}, "))?;
                window.panes().map_or(Ok(()), |panes| write!(out, "at most {panes} {}, ", window.pane_name()))?;
                write!(out, "{}", format_bytes(line.bytes_per_entity(*window, assumed.load())))?;
                if window.lag_ms > 0 {
                    let (lag, bytes) = (format_duration(window.lag_ms), line.bytes_per_waiting_record(*window));
                    write!(out, ", and {} for each record of the last {lag}", format_bytes(bytes))?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn write_model(&self, out: &mut String, model: &Model) -> fmt::Result {
        let options = &model.options;
        let (kind, examples) = (&options.kind.name, self.stream_name(model.examples));
        let window = format_duration(model.window_ms);
        writeln!(out, "\nmodel {}: {kind}, examples {examples}, retrained every {window}", model.name)?;
        if self.relations.sources(model.examples).len() > 1 {
            writeln!(out, "  an instance is a record of {}", self.stream_name(model.instance[0]))?;
        }
        for lookup in &model.lookups {
            let group = &self.groups[lookup.group];
            let entity = self.describe_entity(model, lookup);
            let (taken, all) = (lookup.features.len(), group.feature_count());
            writeln!(out, "  look-up of {} by {entity}: {taken} of {all} features", group.name)?;
        }
        // Training.
        writeln!(out, "  label {}", self.describe_label(&model.label))?;
        let parameters = |written: &[(String, ParameterValue)]| -> String {
            written.iter().map(|(name, value)| format!(", {name} {value}")).collect()
        };
        if !options.kind.parameters.is_empty() || options.kind.task.is_some() {
            let task = options.kind.task.map_or("", Task::name);
            let space = if task.is_empty() { "" } else { " " };
            writeln!(out, "  kind {task}{space}{kind}{}", parameters(&options.kind.parameters))?;
        }
        match &options.optimizer {
            Some(optimizer) => writeln!(out, "  optimizer {}{}", optimizer.name, parameters(&optimizer.parameters))?,
            None => writeln!(out, "  no optimizer")?,
        }
        if let Some(weight) = &options.sampling.weight {
            writeln!(out, "  each example counts {weight} times")?;
        }
        if let Some(share) = options.sampling.negative_sampling {
            writeln!(out, "  learns {share} of the examples that are not true")?;
        }
        match &options.publish {
            Some(gate) => {
                let (metric, tolerance, holdout) = (&gate.metric, gate.tolerance, gate.holdout);
                let windows = gate.windows;
                let lists = if RankingMetric::find(metric).is_some() { "the lists of " } else { "" };
                writeln!(
                    out,
                    "  published if {metric} is worse by {tolerance} at most, on {holdout} of {lists}{windows} windows"
                )?;
                if gate.unanswered == GateFallback::Publish {
                    writeln!(out, "  published where {metric} has no answer")?;
                }
            }
            None => writeln!(out, "  every version is published")?,
        }
        if let Some(recommend) = &model.recommend {
            writeln!(out, "  recommends {}", self.tables[recommend.table].topic.name)?;
        }
        // Inputs.
        writeln!(out, "  {} inputs", model.inputs.len())?;
        let width = width_of(model.inputs.iter().map(|input| input.name.as_str()));
        for input in &model.inputs {
            let question = if input.expr.nullable() { "?" } else { "" };
            writeln!(out, "  {}  {}{question}", pad_end(&input.name, width), feature_type(&input.column()))?;
        }
        Ok(())
    }

    /// Lists the columns by which a group is looked up, as `column`, or as `entity column = column` if the names differ.
    pub(super) fn describe_entity(&self, model: &Model, lookup: &Lookup) -> String {
        let group = &self.groups[lookup.group];
        let (from, to) = (self.stream_schema(group.from), self.stream_schema(model.examples));
        let pairs = group.entity.iter().zip(&lookup.entity).map(|(theirs, ours)| {
            let (theirs, ours) = (&from.columns[*theirs].name, &to.columns[*ours].name);
            if theirs == ours { ours.clone() } else { format!("{theirs} = {ours}") }
        });
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// Describes a label in words.
    pub fn describe_label(&self, label: &Label) -> String {
        match label {
            Label::Immediate { value } => format!("{}, known at once", value.text()),
            Label::Unlabelled => "none".to_owned(),
            Label::Joined(label) => {
                let JoinedLabel { from, from_on, after_ms, within_ms, learn, otherwise, .. } = label;
                let on = names(self.stream_schema(*from), from_on);
                let otherwise = match otherwise {
                    Some(Scalar::Float(value)) => value.to_string(),
                    Some(class) => class.to_json().to_string(),
                    None => "dropped".to_owned(),
                };
                let (value, from, within) = (label.text(), self.stream_name(*from), format_duration(*within_ms));
                let after = match after_ms {
                    0 => String::new(),
                    ms => format!(" after {}", format_duration(*ms)),
                };
                let learn = match learn {
                    LearnAt::Known => String::new(),
                    LearnAt::Horizon => format!(", learnt {within} after the example"),
                };
                format!("{value} from {from} on {on}{after} within {within}, otherwise {otherwise}{learn}")
            }
        }
    }
}

impl Group {
    /// Describes a feature in words, given the columns of `from`.
    pub fn describe(&self, feature: &GroupFeature, from: &Schema) -> String {
        let line = &self.lines[feature.line];
        let mut text = self.op(feature).to_string();
        if let Some(of) = &line.of {
            text += &format!(" of {}", of.text());
        }
        if let Some(with) = line.with.as_ref().filter(|_| self.op(feature).kind.input == OpInput::Pair) {
            text += &format!(" with {}", with.expr.text());
        }
        if let Some(filter) = &line.filter {
            text += &format!(" where {}", filter.text());
        }
        text += &format!(", {}", self.window(feature).describe());
        if let Some(column) = line.by {
            text += &format!(", by {}", from.columns[column].name);
        }
        if line.current {
            text += ", and the record that looks them up";
        }
        if let Some(default) = line.defaults.get(feature.op) {
            text += &format!(", {} without records", default.to_json());
        }
        text
    }
}

/// Lists columns as `name type, …`.
fn columns(schema: &Schema) -> String {
    let column = |c: &crate::value::Column| format!("{} {}{}", c.name, c.ty, if c.nullable { "?" } else { "" });
    schema.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn names(schema: &Schema, columns: &[usize]) -> String {
    columns.iter().map(|at| schema.columns[*at].name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Formats a number of bytes in the unit that leaves one to four digits.
pub fn format_bytes(bytes: usize) -> String {
    let mut rest = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1024.0 {
            let digits = usize::from(unit != "B" && rest < 10.0);
            return format!("{rest:.digits$} {unit}");
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} TiB")
}
