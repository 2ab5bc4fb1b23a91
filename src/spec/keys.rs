//! Sections of a dataflow file and their keys, as the reader accepts them and the reference lists them.

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// The heading in the reference, and the section's name in problems.
    pub title: &'static str,
    pub summary: &'static str,
    pub keys: &'static [SectionKey],
}

/// A key of a section.
#[derive(Debug)]
pub struct SectionKey {
    pub name: &'static str,
    /// The form of the value.
    pub form: &'static str,
    pub absent: Absent,
    pub summary: &'static str,
}

/// The meaning of a missing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The key is required.
    Required,
    /// The key is optional and has no default.
    Nothing,
    /// The default, as it would be written.
    Is(&'static str),
}

use Absent::{Is, Nothing, Required};

const fn key(name: &'static str, form: &'static str, absent: Absent, summary: &'static str) -> SectionKey {
    SectionKey { name, form, absent, summary }
}

/// Every section, in the order of the reference.
pub static SECTIONS: &[&Section] = &[
    &FILE, &SOURCE, &TABLE, &COLUMN, &VIEW, &FEATURES, &AGGREGATE, &WINDOW, &MODEL, &INPUT, &LABEL, &OPTIMIZER,
    &PUBLISH,
];

pub static FILE: Section = Section {
    title: "the file",
    summary: "A dataflow. Names of sources, tables, views and feature groups are unique among all of them.",
    keys: &[
        key("name", "string", Required, "The dataflow's name: letters, digits, `_` and `-`"),
        key("source", "tables", Nothing, "Streams of records: `[source.NAME]`"),
        key("table", "tables", Nothing, "Upsert topics: `[table.NAME]`"),
        key("view", "tables", Nothing, "Derived streams: `[view.NAME]`"),
        key("features", "tables", Nothing, "Feature groups: `[features.NAME]`"),
        key("model", "tables", Nothing, "Models: `[model.NAME]`"),
    ],
};

pub static SOURCE: Section = Section {
    title: "[source.NAME]",
    summary: "A stream of records.",
    keys: &[
        key("topic", "string", Required, "The topic"),
        key(
            "format",
            "`json`, `csv` or `parquet`",
            Required,
            "How its records are encoded; a bound file's format is told by its extension",
        ),
        key(
            "key",
            "string or list of strings",
            Nothing,
            "The columns of the message key: records of one key share a partition",
        ),
        key("time", "string", Required, "The event-time column: a timestamp that is never null"),
        key("lateness", "duration", Is("\"0s\""), "How far out of order a partition's records may come"),
        key("where", "expression", Nothing, "Which records to keep; the rest is counted as *filtered*"),
        key("columns", "table", Required, "Column names and their types, in order"),
    ],
};

pub static TABLE: Section = Section {
    title: "[table.NAME]",
    summary: "The newest row per key of an upsert topic. A record with a null value deletes its key.",
    keys: &[
        key("topic", "string", Required, "The topic"),
        key(
            "format",
            "`json`, `csv` or `parquet`",
            Required,
            "How its records are encoded; a bound file's format is told by its extension",
        ),
        key("key", "string or list of strings", Required, "The columns that a row is known by; never null"),
        key("time", "string", Required, "The event-time column: a timestamp that is never null"),
        key("lateness", "duration", Is("\"0s\""), "How far out of order a partition's records may come"),
        key("columns", "table", Required, "Column names and their types, in order"),
    ],
};

pub static COLUMN: Section = Section {
    title: "a column",
    summary: "`name = \"type\"` or `name = { type = \"type\", … }`. A type is `string`, `int`, `float`, `bool` or \
              `timestamp`, with `?` behind it if it may be null.",
    keys: &[
        key("type", "string", Required, "The type"),
        key(
            "path",
            "string or list of strings",
            Is("its name"),
            "Where a JSON record has it: `\"payload.amount\"`, or a list if names contain dots",
        ),
        key("resolution", "float", Is("1e-9"), "The step to which sums of this float are exact: 1, 0.1, … 1e-9"),
        key("unit", "`s`, `ms`, `us` or `ns`", Is("\"ms\""), "The unit of a timestamp that is written as a number"),
    ],
};

pub static VIEW: Section = Section {
    title: "[view.NAME]",
    summary: "A derived stream.",
    keys: &[key("sql", "SQL", Required, "One SELECT over a source or a view, see below")],
};

pub static FEATURES: Section = Section {
    title: "[features.NAME]",
    summary: "A feature group: one entity, many aggregates.",
    keys: &[
        key("from", "string", Required, "The source or view whose records are aggregated"),
        key("entity", "string or list of strings", Required, "The columns that an entity is known by"),
        key("aggregate", "list of tables", Required, "What is aggregated"),
    ],
};

pub static AGGREGATE: Section = Section {
    title: "an aggregate",
    summary: "Ops over windows of one input. It makes a feature for each window and op, named `{of}_{op}_{window}`; \
              `as` stands for `{of}`, and where there is no `of`, for `{of}_{op}`.",
    keys: &[
        key("of", "expression", Nothing, "What is aggregated; nulls are skipped"),
        key("as", "string", Nothing, "Its name in the features' names; needed where `of` is more than a column"),
        key("op", "string or list of strings", Required, "The aggregates, see below"),
        key("where", "expression", Nothing, "Which records count"),
        key("windows", "list of windows", Required, "The windows, see below"),
        key(
            "resolution",
            "float",
            Is("that of the column, or 1e-9"),
            "The step to which sums of a float are exact: 1, 0.1, … 1e-9",
        ),
    ],
};

pub static WINDOW: Section = Section {
    title: "a window",
    summary: "`\"3h\"`, or the same as a table, to choose the hop.",
    keys: &[
        key("sliding", "duration", Required, "How far back it reaches"),
        key(
            "hop",
            "duration",
            Is("by length"),
            "The step of its oldest edge: `1d` above 12 d, `1h` above 12 h, `5m` above 1 h, else a 60th. The newest edge is always exact",
        ),
    ],
};

pub static MODEL: Section = Section {
    title: "[model.NAME]",
    summary: "A model, retrained at the end of each window.",
    keys: &[
        key("kind", "string", Required, "The kind of model, see below"),
        key("examples", "string", Required, "The source or view whose every record is one example"),
        key("features", "list", Required, "Its inputs, see below"),
        key("label", "table", Required, "Where the truth comes from, see below"),
        key("window", "duration", Required, "It is retrained at the end of each such span of event time"),
        key("offset", "duration", Is("\"0s\""), "The shift of the windows' edges from midnight UTC of 1970-01-01"),
        key("optimizer", "string or table", Is("\"ftrl\""), "How weights move, see below"),
        key("crosses", "list of lists", Is("[]"), "Inputs whose combination is an input: `[[\"origin\", \"dest\"]]`"),
        key("bins", "int", Is("0"), "Number of quantile bins in which every numeric input is cut besides; 0 for none"),
        key("categorical", "list of strings", Is("[]"), "Numeric inputs that are categories"),
        key("hash_bits", "int", Is("18"), "log2 of the number of hashed weights"),
        key(
            "shards",
            "int",
            Is("1"),
            "Virtual shards that learn apart and are averaged; the result depends on it, never on workers",
        ),
        key(
            "start",
            "`warm` or `fresh`",
            Is("\"warm\""),
            "Whether a window goes on from the newest accepted version or from nothing",
        ),
        key("seed", "int", Is("0"), "The seed of what is random"),
        key(
            "publish",
            "table",
            Nothing,
            "The gate that a version must pass to be served; without it, every version is",
        ),
    ],
};

pub static INPUT: Section = Section {
    title: "an input",
    summary: "An entry of a model's `features`: `\"group.*\"` for a whole group, `\"group.feature\"`, a column of the \
              examples, or an expression over them. An expression is named by its text, or as a table:",
    keys: &[key("expr", "expression", Required, "The input"), key("as", "string", Required, "Its name")],
};

pub static LABEL: Section = Section {
    title: "label",
    summary: "The label is the first record of `from` with the same `on`, no earlier than the example and at most \
              `within` later, whose `value` is not null. Without `from`, it is an expression over the example itself.",
    keys: &[
        key("value", "expression", Required, "The label: a bool or a number"),
        key("from", "string", Nothing, "The source or view that tells it"),
        key("on", "string or list of strings", Nothing, "The columns that both must share; needed with `from`"),
        key("within", "duration", Nothing, "How long to wait for it; needed with `from`"),
        key(
            "otherwise",
            "number or bool",
            Nothing,
            "The label if none came; without it, the example is dropped and counted",
        ),
    ],
};

pub static OPTIMIZER: Section = Section {
    title: "optimizer",
    summary: "The optimizer's name, or a table of its name and its parameters.",
    keys: &[key("name", "string", Required, "The optimizer, see below")],
};

pub static PUBLISH: Section = Section {
    title: "publish",
    summary: "A version becomes champion if it is worse than the champion by no more than `tolerance`, on examples \
              that neither was trained on.",
    keys: &[
        key("metric", "string", Required, "A metric of the model's kind, see below"),
        key("tolerance", "float", Is("0.0"), "How much worse it may be"),
        key("holdout", "float", Is("0.1"), "The share of examples, by key, that is never trained on"),
        key("windows", "int", Is("3"), "How many of the newest windows' held-out examples are compared"),
    ],
};
