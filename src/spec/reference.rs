//! The reference of dataflow files, generated from the tables that the reader and the binder use.

use std::fmt::Write;

use super::keys::{Absent, SECTIONS, Section};
use super::reference_prose::{EXPRESSIONS, LISTS, VALUES, VIEWS};
use crate::aggregate::{self, AggregateKind, OpInput, OpParameters, WINDOWS, WindowForm};
use crate::expr::FUNCTIONS;
use crate::model::{Bounds, KINDS, METRICS, ModelKind, OPTIMIZERS, Parameter, RANKING_METRICS, TrainedBy};
use crate::source::{FILE_FORMATS, FORMATS};
use crate::value::Type;

/// Returns the text of `docs/dataflow.md`: every key of a file, every aggregate, function, kind of model, optimizer
/// and metric.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    // The keys of a file.
    for section in SECTIONS {
        out += &section_text(section);
    }
    out += FORMATS_OF_TOPICS;
    out += &table(
        &["format", "description"],
        FORMATS.iter().map(|format| vec![format!("`{}`", format.name), format.summary.to_owned()]),
    );
    out += FORMATS_OF_FILES;
    out += &table(
        &["extension", "format", "description"],
        FILE_FORMATS
            .iter()
            .map(|file| vec![format!("`.{}`", file.extension), format!("`{}`", file.format), file.summary.to_owned()]),
    );
    // Values and expressions.
    out += VALUES;
    out += VIEWS;
    out += EXPRESSIONS;
    let functions = FUNCTIONS.iter().copied().flatten();
    out += &table(
        &["function", "description"],
        functions.map(|f| vec![format!("`{}`", f.signature), f.summary.to_owned()]),
    );
    // Features and models.
    out += &windows();
    out += &aggregates();
    out += &kinds_of_models();
    out += "\n## Metrics\n\n";
    out += &table(
        &["metric", "description"],
        METRICS.iter().map(|metric| vec![format!("`{}`", metric.name), metric.summary.to_owned()]),
    );
    out += LISTS;
    out += &table(
        &["metric", "description"],
        RANKING_METRICS.iter().map(|metric| vec![format!("`{}`", metric.name), metric.summary.to_owned()]),
    );
    out += "\n## Optimizers\n\n`optimizer = \"NAME\"`, or a table such as `{ name = \"ftrl\", alpha = 0.1 }`.\n";
    for kind in OPTIMIZERS {
        write!(out, "\n### {}\n\n{}.\n\n", kind.name, sentence(kind.summary))
            .expect("writing to a string does not fail");
        out += &parameters(&kind.parameters.iter().collect::<Vec<_>>());
    }
    out
}

/// Formats the section of the kinds of windows.
fn windows() -> String {
    let row = |form: &WindowForm| {
        let suffix = format!("`{}`", form.suffix);
        [form.name, form.written, &suffix, form.records, form.state].map(str::to_owned).into()
    };
    let kinds =
        table(&["window", "written", "in names", "records as of t", "kept of an entity"], WINDOWS.iter().map(row));
    let notes = WINDOWS.iter().map(|form| form.notes).filter(|notes| !notes.is_empty());
    let notes: String = notes.map(|notes| format!("\n{notes}\n")).collect();
    format!("{WINDOWS_BEFORE}{kinds}{notes}{WINDOWS_AFTER}")
}

/// Formats the section of the aggregates.
fn aggregates() -> String {
    let mut out = String::new();
    out += "\n## Aggregates\n\nThe values of `op`. Nulls are skipped. The column *empty* has the result for an entity without records.\n\n";
    let takes = |kind: &AggregateKind| {
        let types = Type::ALL.into_iter().filter(|ty| kind.accepts(Some(*ty))).map(Type::name);
        let types: Vec<&str> = types.collect();
        let list = if types.len() == Type::ALL.len() { "any type".to_owned() } else { types.join(", ") };
        let list = if kind.input == OpInput::Pair { format!("{list}, and `with`: {list}") } else { list };
        if kind.accepts(None) { format!("nothing, or {list}") } else { list }
    };
    let empty = |kind: &AggregateKind| (kind.empty)(&OpParameters::default()).to_json(0).to_string();
    let spelling = |kind: &AggregateKind| {
        let parameters: Vec<&str> = kind.parameters.iter().map(|parameter| parameter.name).collect();
        if parameters.is_empty() { kind.name.to_owned() } else { format!("{}({})", kind.name, parameters.join(", ")) }
    };
    out += &table(
        &["op", "of", "empty", "description"],
        aggregate::KINDS
            .iter()
            .map(|kind| vec![format!("`{}`", spelling(kind)), takes(kind), empty(kind), kind.summary.to_owned()]),
    );
    out += OP_PARAMETERS;
    let of_kind = |kind: &'static AggregateKind| {
        kind.parameters.iter().map(move |parameter| {
            let name = format!("`{}{}`", parameter.short, parameter.of.example());
            vec![
                format!("`{}`", kind.name),
                format!("`{}`", parameter.name),
                parameter.expected(),
                parameter.summary.to_owned(),
                name,
            ]
        })
    };
    out += &table(
        &["op", "parameter", "value", "description", "in names"],
        aggregate::KINDS.iter().copied().flat_map(of_kind),
    );
    out
}

/// Formats the section of the kinds of models, with the parameters of each.
fn kinds_of_models() -> String {
    let mut out = String::new();
    out += "\n## Kinds of models\n\nThe values of `kind`, the metrics by which their versions are scored, and how their predictions are\n[explained](models.md#explanations).\n\n";
    out += &table(
        &["kind", "task", "metrics", "optimizer", "explained", "description"],
        KINDS.iter().map(|kind| {
            let metrics: Vec<String> = kind.metrics().map(|metric| format!("`{}`", metric.name)).collect();
            let metrics = if metrics.is_empty() { "none".to_owned() } else { metrics.join(", ") };
            let optimizer = if kind.trained_by == TrainedBy::Optimizer { "yes" } else { "no" };
            let (name, task) = (format!("`{}`", kind.name), format!("`{}`", kind.task.name()));
            let explained = kind.attribution.summary().to_owned();
            vec![name, task, metrics, optimizer.to_owned(), explained, kind.summary.to_owned()]
        }),
    );
    out += CLASSES;
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    names.dedup();
    for name in names {
        // Of all tasks of the kind, each once.
        let mut all: Vec<&Parameter> = Vec::new();
        for parameter in ModelKind::tasks_of(name).flat_map(|kind| kind.parameters) {
            if !all.iter().any(|known| known.name == parameter.name) {
                all.push(parameter);
            }
        }
        if !all.is_empty() {
            write!(out, "\n### {name}\n\n").expect("writing to a string does not fail");
            out += &parameters(&all);
        }
    }
    out
}

/// Formats a table of the parameters of a kind or an optimizer.
fn parameters(parameters: &[&Parameter]) -> String {
    let row = |parameter: &&Parameter| {
        let description = format!("{}; {}", parameter.summary, bounds(&parameter.bounds));
        let default = match parameter.bounds.words() {
            [] => parameter.describe_default(),
            _ => format!("\"{}\"", parameter.describe_default()),
        };
        vec![format!("`{}`", parameter.name), format!("`{default}`"), description]
    };
    table(&["parameter", "default", "description"], parameters.iter().map(row))
}

/// Describes the values that a parameter may have.
fn bounds(bounds: &Bounds) -> String {
    match bounds {
        Bounds::Above(bound) => format!("above {bound}"),
        Bounds::AtLeast(bound) => format!("at least {bound}"),
        Bounds::Between(low, high) => format!("between {low} and {high}"),
        Bounds::UpTo(low, most) => format!("above {low}, at most {most}"),
        Bounds::Within(least, most) => format!("{least} to {most}"),
        Bounds::Whole(least, most) => format!("{least} to {most}"),
        Bounds::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Bounds::If(other, word, inner) => format!("{}; only with `{other} = \"{word}\"`", self::bounds(inner)),
    }
}

fn section_text(section: &Section) -> String {
    let title = match section.title.starts_with('[') {
        true => format!("`{}`", section.title),
        false => section.title.to_owned(),
    };
    let rows = section.keys.iter().map(|key| {
        let absent = match key.absent {
            Absent::Required => "required".to_owned(),
            Absent::Nothing => "none".to_owned(),
            Absent::Is(value) if value.contains(' ') => value.to_owned(),
            Absent::Is(value) => format!("`{value}`"),
        };
        vec![format!("`{}`", key.name), key.form.to_owned(), absent, key.summary.to_owned()]
    });
    let keys = table(&["key", "value", "default", "description"], rows);
    format!("\n## {}\n\n{}\n\n{keys}", sentence(&title), section.summary)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Formats a Markdown table.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let escaped = |cell: String| cell.replace('|', "\\|").replace('\n', " ");
    let mut out = line(&heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
    out += &line(&vec!["---".to_owned(); heads.len()]);
    for row in rows {
        out += &line(&row.into_iter().map(escaped).collect::<Vec<_>>());
    }
    out
}

const WINDOWS_BEFORE: &str = "
## Windows

The values of `windows`. As of t, each has records that took effect before t; the column *records as of t* says which. W is
the length, and times are in ms since 1970-01-01T00:00Z. A value is what an aggregate keeps of a set of records; the bytes
are in the plan that `check` prints.

";

const WINDOWS_AFTER: &str = "
**Lag.** `lag = \"7d\"` in a line makes all its windows those as of t − 7d, to the ms. Answers that depend on the asking time
are as of then, too. Records wait for that long, each on its own: `check` says how many bytes one takes.

What is served before a record closes: in sliding and lifetime windows, what has closed and all records of the entity that
have arrived since; in tumbling, cumulative, session, last N and series windows, the window just after the newest of these
records, as if all of them had closed; in windows that lag, what has closed.
";

const OP_PARAMETERS: &str = "
A parameter is written in parentheses: `last_k(5)`, `quantile(0.9)`, `ewma(\"1h\")`. In the names of features it follows a
short form of the operation: `amount_last5_1d`. A share is in percent there, with `_` for the point: `p90`, `p99_9`. Lists
and maps are lists and objects in JSON and `list` and `map` columns in Parquet. A model reads them as several
inputs, see [concepts](concepts.md#lists-maps-and-approximations).

";

const INTRODUCTION: &str = "\
# Dataflow files

<!-- Generated from the program's tables: `UPDATE_GOLDEN=1 cargo test --test house`. -->

A dataflow file is a TOML file that defines what is computed; the [config](operations.md#config) defines where it runs.
`tidemill check FILE` reports all problems of a file at once, each as
`PATH:LINE:COLUMN: error: what is wrong; expected …; did you mean …?`. If there are none, it prints the plan.

A duration is a number followed by one of the units `ms`, `s`, `m`, `h`, `d` and `w`: `\"90s\"`, `\"1.5h\"`. Names of
sources, tables, views, feature groups and models consist of letters, digits and `_`, and begin with a letter. An
expression is [SQL](#expressions).
";

const CLASSES: &str = "
A kind with the task `multiclass` predicts classes. Its label is a string, an int or a bool, and its predictions are objects from
class to probability. A version lists the classes that it has learnt, in ascending order; a class that first appears in a window is
known from the end of that window on. In offline files `_label` is the class as text, and `_score` a map from class to
probability.

A kind that is listed for several tasks has the first unless `task` says otherwise. A kind without an optimizer updates its
weights by a rule of its own, and has no `optimizer`.
";

const FORMATS_OF_TOPICS: &str = "
## Formats

The values of `format` for the messages of a Kafka topic, both when they are read and when `load` writes them. The key of
a message that deletes a row of a table has the same format or, if there is one key column, is the plain value.

";

const FORMATS_OF_FILES: &str = "
If a topic is bound to files, their extension determines the format, not `format`. Text files may be compressed, with `.gz`
or `.zst` appended. A `format` that is not in the table above is accepted for such topics only.

";
