//! The dataflow file and the config of a sketch, as text.

use std::fmt::Write;

use super::column::GuessedColumn;
use super::groups::{DraftedGroup, is_row_number, is_time, one_line, why};
use super::names::{self, quoted};
use super::sketch::SampleSketch;
use super::target::GuessedTarget;
use crate::padding::{pad_end, width_of};
use crate::time::{DAY_MS, format_duration};
use crate::value::{Separator, Type};

/// The most different texts or keys of a column that is an input.
const MOST_CATEGORIES: usize = 1000;

/// Keys and comments are aligned at this width.
const WIDTH: usize = 40;

/// The place that the records are read from.
pub enum SampledPlace {
    /// The path of a file, relative to the config, as a glob that only it matches.
    File(String),
    /// A topic of Kafka.
    Topic,
}

/// A dataflow to begin with.
pub struct DataflowDraft {
    /// The dataflow file.
    pub dataflow: String,
    /// The config; `None` if there is one already, as for a topic.
    pub config: Option<String>,
}

impl DataflowDraft {
    /// Drafts a dataflow of a sample. `origin` says where it is from, `topic` is the topic's name.
    pub fn new(sketch: &SampleSketch, name: &str, topic: &str, origin: &str, place: &SampledPlace) -> Self {
        let source = names::plain(name);
        let mut text = head(sketch, name, origin);
        text += &source_text(sketch, &source, topic);
        let mut taken = vec![source.clone()];
        let mut groups = Vec::new();
        for entity in &sketch.entities {
            groups.push(DraftedGroup::new(sketch, entity, &source, &mut taken));
        }
        for group in &groups {
            let _ = write!(text, "\n{}", group.text);
        }
        if groups.is_empty() {
            text += &format!(
                "\n# No column has values that identify an entity and come again; `--entity COLUMN` names one:\n#\n\
                 # [features.GROUP]\n# from      = {}\n# entity    = \"COLUMN\"\n\
                 # aggregate = [{{ op = \"count\", windows = [\"1h\", \"1d\"] }}]\n",
                quoted(&source)
            );
        }
        text += &model(sketch, &source, &groups);
        DataflowDraft { dataflow: text, config: config(sketch, topic, place) }
    }
}

fn head(sketch: &SampleSketch, name: &str, origin: &str) -> String {
    let first = if sketch.has_more { "the first " } else { "" };
    let mut text = format!(
        "# A dataflow to begin with, which `tidemill init` has guessed from {first}{} records of {}.\n\
         # Comments say why; what is marked \"Unsure\" needs a look.\n",
        sketch.rows,
        one_line(origin)
    );
    for left_out in &sketch.left_out {
        let _ = writeln!(text, "# Unsure: {}.", one_line(left_out));
    }
    let _ = write!(text, "\nname = {}\n", quoted(name));
    text
}

fn source_text(sketch: &SampleSketch, source: &str, topic: &str) -> String {
    let timing = &sketch.timing;
    let mut text = format!("\n[source.{source}]\ntopic    = {}\n", quoted(topic));
    let line = |setting: String, comment: String| format!("{setting:WIDTH$} # {comment}\n");
    text += &line("format   = \"json\"".to_owned(), "of messages; a file is read by its extension".to_owned());
    if sketch.separator != Separator::default() {
        let separator = format!("separator = {:?}", sketch.separator.text());
        text += &line(separator, "between the fields of a CSV file".to_owned());
    }
    text += &line(format!("time     = {}", quoted(&timing.text)), why(&timing.why, &timing.doubt));
    let lateness = quoted(&format_duration(timing.lateness_ms));
    text += &line(format!("lateness = {lateness}"), why(&timing.why_lateness, &timing.doubt_of_lateness));
    let _ = write!(text, "\n[source.{source}.columns]\n");
    let width = width_of(sketch.columns.iter().map(|column| column.column.name.as_str()));
    for GuessedColumn { column, time_keys, why: reason, doubt, .. } in &sketch.columns {
        let mark = if column.nullable { "?" } else { "" };
        let ty = quoted(&format!("{}{mark}", column.ty));
        let mut keys = vec![format!("type = {ty}")];
        if column.path != [column.name.clone()] {
            keys.push(format!("path = {}", path(&column.path)));
        }
        keys.extend(Some(time_keys.clone()).filter(|keys| !keys.is_empty()));
        let value = if keys.len() == 1 { ty } else { format!("{{ {} }}", keys.join(", ")) };
        text += &line(format!("{} = {value}", pad_end(&column.name, width)), why(reason, doubt));
    }
    text
}

/// Returns a path as TOML: names with dots between them, or a list if they have dots themselves.
fn path(path: &[String]) -> String {
    match path.iter().any(|name| name.contains('.') || name.is_empty()) {
        false => quoted(&path.join(".")),
        true => format!("[{}]", path.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the model, or how to write one.
fn model(sketch: &SampleSketch, source: &str, groups: &[DraftedGroup]) -> String {
    let window = quoted(&format_duration(sketch.span.training_window()));
    let Some(target) = &sketch.target else {
        return format!(
            "\n# No column looks like a label; `--label COLUMN` names one:\n#\n# [model.NAME]\n\
             # kind     = \"logistic\"\n# examples = {}\n# features = [\"GROUP.*\"]\n\
             # label    = {{ value = \"COLUMN\" }}\n# window   = {window}\n",
            quoted(source)
        );
    };
    let column = &sketch.columns[target.column];
    let inputs = inputs(sketch, target, groups);
    let name = names::plain(&column.column.name);
    if inputs.entries.is_empty() {
        return format!("\n# There is no column to predict {name} from, so there is no model.\n");
    }
    let mut text = format!("\n# {}: {}.\n", name, why(&target.why, &target.doubt));
    text += "# As this label is part of the record, it is known as soon as the record is. One that becomes known later\n\
             # belongs to a source of its own, with `from`, `on` and `within`.\n";
    for revealing in &target.revealing {
        let left_out = &sketch.columns[*revealing].column.name;
        let _ = writeln!(text, "# Unsure: {name} follows from {left_out}, which is left out of the inputs.");
    }
    let kind = format!("kind     = {}", quoted(target.kind));
    let _ = write!(text, "[model.{name}]\n{kind:WIDTH$} # {}\nexamples = {}\n", target.why_kind, quoted(source));
    let _ = writeln!(text, "features = [\n  {},\n]", inputs.entries.join(",\n  "));
    if !inputs.categories.is_empty() {
        let names: Vec<String> = inputs.categories.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(text, "categorical = [{}]", names.join(", "));
    }
    let _ = writeln!(text, "label    = {{ value = {} }}", quoted(&names::spelt(&column.column)));
    let retrained = format!("window   = {window}");
    let _ = writeln!(text, "{retrained:WIDTH$} # retrained at the end of each");
    if matches!(target.kind, "logistic" | "softmax") {
        text += "publish  = { metric = \"logloss\", tolerance = 0.02 }\n";
    }
    text
}

/// The inputs of a model.
struct DraftedInputs {
    /// The entries of `features`, as TOML.
    entries: Vec<String>,
    /// Columns of ints that are categories.
    categories: Vec<String>,
}

/// Returns the inputs: all groups, columns that the label does not follow from, and the hour and the weekday.
fn inputs(sketch: &SampleSketch, target: &GuessedTarget, groups: &[DraftedGroup]) -> DraftedInputs {
    let mut entries: Vec<String> = groups.iter().map(|group| quoted(&format!("{}.*", group.name))).collect();
    let mut categories = Vec::new();
    let entities: Vec<usize> = sketch.entities.iter().flat_map(|entity| entity.columns.iter().copied()).collect();
    for (at, column) in sketch.columns.iter().enumerate() {
        let is_key = entities.contains(&at);
        let is_category = column.column.ty == Type::String || is_key;
        let too_many = column.distinct > MOST_CATEGORIES || column.distinct == column.values.len() && is_category;
        let is_input = at != target.column
            && !target.revealing.contains(&at)
            && column.column.ty != Type::Timestamp
            && column.distinct > 0
            && !is_time(sketch, column)
            && (is_key || !is_row_number(column))
            && !(is_category && too_many && column.values.len() > 2);
        if !is_input {
            continue;
        }
        let name = &column.column.name;
        let of = names::spelt(&column.column);
        entries.push(match of == *name {
            true => quoted(name),
            false => format!("{{ expr = {}, as = {} }}", quoted(&of), quoted(name)),
        });
        if is_key && column.column.ty == Type::Int {
            categories.push(name.clone());
        }
    }
    if let Some(at) = sketch.timing.column.filter(|_| sketch.span.ms >= 2 * DAY_MS) {
        let time = names::spelt(&sketch.columns[at].column);
        for (part, name) in [("hour", "hour"), ("dow", "weekday")] {
            if sketch.columns.iter().all(|column| column.column.name != name) {
                let expr = quoted(&format!("date_part('{part}', {time})"));
                entries.push(format!("{{ expr = {expr}, as = {} }}", quoted(name)));
            }
        }
    }
    DraftedInputs { entries, categories }
}

/// Returns the config that binds the topic to the file.
fn config(sketch: &SampleSketch, topic: &str, place: &SampledPlace) -> Option<String> {
    let SampledPlace::File(path) = place else { return None };
    let mut text = format!(
        "# Where the dataflow runs: in one process, with a file in place of the topic.\n\ndata_dir = \"var\"\n\n\
         [topics.{}]\nfile  = {}\n",
        if names::is_plain(topic) { topic.to_owned() } else { quoted(topic) },
        quoted(path)
    );
    if !sketch.null_texts.is_empty() {
        let nulls: Vec<String> = sketch.null_texts.iter().map(|text| quoted(text)).collect();
        let nulls = format!("nulls = [{}]", nulls.join(", "));
        let _ = writeln!(text, "{nulls:WIDTH$} # texts that mean null");
    }
    let speed = "speed = \"max\"";
    let _ = write!(text, "\n[play]\n{speed:WIDTH$} # or event seconds per second: 3600 plays an hour in a second\n");
    text += "\n[http]\nlisten = \"127.0.0.1:8080\"\n";
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::run::Failure;
    use crate::run::config::Config;
    use crate::run::init::sketch::NamedColumnsOfSample;
    use crate::source::{RecordSample, SampleColumn, SampleValue};
    use crate::spec;

    const NAMES: [&str; 34] = [
        "time",
        "at",
        "date",
        "ts",
        "created",
        "order",
        "end",
        "select",
        "case",
        "from",
        "where",
        "null",
        "true",
        "all",
        "label",
        "is_fraud",
        "class",
        "target",
        "user",
        "customer_id",
        "item",
        "origin",
        "seq",
        "hour",
        "weekday",
        "_time",
        "_label",
        "count",
        "features",
        "sample",
        "table",
        "Total Amount",
        "a.b",
        "",
    ];

    /// The values of a column: of one form, of two, or with nulls.
    fn values(rows: usize) -> impl Strategy<Value = Vec<SampleValue>> {
        let text =
            |texts: &'static [&'static str]| select(texts).prop_map(|text| SampleValue::Text(text.into())).boxed();
        let kinds = vec![
            (-3i64..50).prop_map(SampleValue::Int).boxed(),
            (0i64..2).prop_map(SampleValue::Int).boxed(),
            (-1e3..1e3).prop_map(SampleValue::Float).boxed(),
            any::<bool>().prop_map(SampleValue::Bool).boxed(),
            (1_700_000_000i64..1_700_900_000).prop_map(SampleValue::Int).boxed(),
            (1_700_000_000_000i64..1_700_900_000_000).prop_map(SampleValue::Time).boxed(),
            any::<i64>().prop_map(SampleValue::Int).boxed(),
            any::<f64>().prop_map(SampleValue::Float).boxed(),
            text(&["a", "b", "c", "d"]),
            text(&["yes", "no"]),
            text(&["2024-01-31", "2024-01-31T08:00:00+01:00", "2023-05-05 12:00"]),
            text(&["1.5", "2", "NA", ""]),
            text(&["007", "x\ny", "\"", "\\", "ä", "true"]),
            Just(SampleValue::Null).boxed(),
            Just(SampleValue::Unreadable).boxed(),
        ];
        let kind = select(kinds);
        (kind.clone(), kind, 0.0..1.0).prop_flat_map(move |(one, other, share): (_, _, f64)| {
            let share = if share < 0.7 { 0.0 } else { share - 0.7 };
            vec((one, other, any::<prop::sample::Index>()), rows).prop_map(move |values| {
                let pick = |(one, other, index): (SampleValue, SampleValue, prop::sample::Index)| {
                    if (index.index(1000) as f64) < share * 1000.0 { other } else { one }
                };
                values.into_iter().map(pick).collect()
            })
        })
    }

    /// A sample of CSV, or of JSON with objects in objects.
    fn samples() -> impl Strategy<Value = RecordSample> {
        let name = || prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), "[a-zA-Z_ .\"'ä0-9-]{0,12}"];
        (1usize..40, any::<bool>()).prop_flat_map(move |(rows, is_text)| {
            let path = vec(name(), 1..if is_text { 2 } else { 3 });
            vec((path, values(rows)), 1..9).prop_map(move |columns| {
                let text = |value: SampleValue| match value {
                    SampleValue::Int(value) => SampleValue::Text(value.to_string().into()),
                    SampleValue::Float(value) => SampleValue::Text(value.to_string().into()),
                    SampleValue::Bool(value) => SampleValue::Text(value.to_string().into()),
                    SampleValue::Time(value) => SampleValue::Text(crate::time::format_time(value).into()),
                    SampleValue::Null => SampleValue::Text("".into()),
                    other => other,
                };
                let mut sample = RecordSample { rows, is_text, ..RecordSample::default() };
                for (path, values) in columns {
                    let values: Vec<SampleValue> =
                        if is_text { values.into_iter().map(text).collect() } else { values };
                    // A name comes once, as in what is read.
                    if sample.columns.iter().all(|column| column.path != path) {
                        sample.columns.push(SampleColumn { path, values });
                    }
                }
                sample
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_dataflow_of_any_sample_passes_check(sample in samples(), by_name in any::<bool>()) {
            let mut named = NamedColumnsOfSample::default();
            if by_name {
                named.label = sample.columns.last().map(|column| column.path.join("."));
                named.entities.extend(sample.columns.first().map(|column| column.path.join(".")));
            }
            let sketch = match SampleSketch::new(sample, &named) {
                Ok(sketch) => sketch,
                Err(Failure::Usage(text)) => {
                    prop_assert!(text.starts_with("error: "), "{text}");
                    return Ok(());
                }
                Err(Failure::Runtime(error)) => panic!("{error:#}"),
            };
            let place = SampledPlace::File("../data/a b.csv".to_owned());
            let draft = DataflowDraft::new(&sketch, "events", "events", "a\nfile", &place);
            if let Err(errors) = spec::parse(&draft.dataflow, "events.toml") {
                panic!("{errors}\n{}", draft.dataflow);
            }
            let config = draft.config.unwrap_or_default();
            prop_assert!(toml::from_str::<Config>(&config).is_ok(), "{config}");
        }
    }
}
