//! Sections of a feature group and their keys.

use super::section::Absent::{Is, Nothing, Required};
use super::section::{Section, key};

pub static FEATURES: Section = Section {
    title: "[features.NAME]",
    summary: "A feature group: aggregates over the records of each entity.",
    keys: &[
        key("from", "string", Required, "The source or view whose records are aggregated"),
        key("entity", "string or list of strings", Required, "Columns that identify an entity"),
        key("aggregate", "list of tables", Required, "The aggregates, see below"),
        key("max_entities", "int", Nothing, "The most entities, see [bounds](concepts.md#bounds-of-feature-groups)"),
        key(
            "max_bytes",
            "int",
            Nothing,
            "The same in bytes, of entities with 10 records in each pane of their windows",
        ),
        key(
            "request_windows",
            "bool",
            Is("false"),
            "True to let requests ask for other windows than those declared, as `GET /features/{group}/{key}?window=2h`: any \
             multiple of the hop of a declared sliding window without a lag, up to its length. The online store then holds the \
             panes of each entity's widest window of each hop, once more than the group's state does; a look-up merges them",
        ),
    ],
};

pub static AGGREGATE: Section = Section {
    title: "an aggregate",
    summary: "Operations on one input over one or more windows. Each pair of operation and window is a feature, named \
              `{of}_{op}_{window}`. `as` replaces `{of}`, or `{of}_{op}` if there is no `of`.",
    keys: &[
        key("of", "expression", Nothing, "The input; nulls are skipped"),
        key("with", "expression", Nothing, "The second input of `covariance` and `correlation`: an int or a float"),
        key("as", "string", Nothing, "Name of the input in feature names; required if `of` is not a plain column"),
        key("op", "string or list of strings", Required, "The operations, see below"),
        key("where", "expression", Nothing, "Condition for a record to be aggregated"),
        key(
            "by",
            "string",
            Nothing,
            "Column of categories: each feature is a map from the text of a category to the answer for its records in the \
             window. Records in which it is null are skipped. `_by_{column}` is appended to the names of the features",
        ),
        key(
            "current",
            "bool",
            Is("false"),
            "True if the record that looks the features up counts, too: an example, or an instance of a request. Its stream \
             must have, by name and type, the columns that the aggregate reads. Not in a line whose windows all end before t: \
             those of a line with a `lag`, and tumbling ones",
        ),
        key(
            "default",
            "bool, number, string or time",
            Nothing,
            "The answer, of the type of the operations, without records that count: instead of null, or of the 0 of a `count`. \
             Not with `by`, nor for lists and maps",
        ),
        key("windows", "list of windows", Required, "The windows, see below"),
        key(
            "lag",
            "duration",
            Nothing,
            "The time before t as of which the windows are. Names of features end in it: `amount_sum_1d_lag7d`",
        ),
        key(
            "resolution",
            "float",
            Is("that of the column, or 1e-9"),
            "Unit in which sums of a float are exact: a power of ten from 1 to 1e-9",
        ),
    ],
};

pub static DERIVED: Section = Section {
    title: "a derived feature",
    summary: "An entry of `aggregate` that is computed from the other features of the group, such as `{ expr = \"amount_sum_1h / \
              amount_sum_7d\", as = \"ratio\" }`. It follows them, wherever the entry stands.",
    keys: &[
        key(
            "expr",
            "expression",
            Required,
            "An expression over features of the group, in any windows, but no lists, maps or derived features. What has no \
             finite result is null",
        ),
        key("as", "string", Required, "The name of the feature"),
    ],
};

pub static WINDOW: Section = Section {
    title: "a window",
    summary: "A text such as `\"3h\"`, or a table with one of the kinds of windows below and the keys that belong to it: \
              `{ sliding = \"3h\", hop = \"1m\" }`.",
    keys: &[
        key("sliding", "duration", Nothing, "Length of a sliding window"),
        key("tumbling", "duration", Nothing, "Length of a tumbling window"),
        key(
            "cumulative",
            "duration",
            Nothing,
            "Length of the stretches of time at each of which a cumulative window restarts",
        ),
        key("session", "duration", Nothing, "The longest gap between the records of a session"),
        key("series", "int", Nothing, "Number of answers in a series"),
        key("step", "duration", Nothing, "Length of a step of a series; required with `series`"),
        key(
            "hop",
            "duration",
            Is("by length"),
            "Step in which the oldest edge of a sliding window, or of a step of a series, moves. By default 1 d for lengths above 12 d, 1 h above 12 h, 5 min above 1 h, else a 60th of the length. The newest edge is exact to the ms. In a series, a hop that is written must divide the step",
        ),
        key(
            "offset",
            "duration",
            Is("\"0s\""),
            "Shift of a tumbling or a cumulative window from multiples of its length since 1970-01-01T00:00Z. It may be negative, and is shorter than the window",
        ),
        key("max", "duration", Nothing, "The span at which a session is cut; longer than its gap"),
    ],
};
