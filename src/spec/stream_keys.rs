//! Keys of sources, tables, their columns, and views.

use super::section::Absent::{Is, Nothing, Required};
use super::section::{Section, key};

const TIME: &str =
    "The event time: a column that is a timestamp and never null, or an [expression](#times-by-expression)";

const SEPARATOR: &str = "What separates the fields of CSV: `\",\"`, `\";\"`, `\"\\t\"` or `\"|\"`. It holds for messages in that format, and for CSV files that the topic is bound to";

pub static SOURCE: Section = Section {
    title: "[source.NAME]",
    summary: "A stream of records.",
    keys: &[
        key("topic", "string", Required, "The topic to read"),
        key(
            "format",
            "[format](#formats)",
            Required,
            "Encoding of the topic's messages. A file bound to the topic is read by its extension instead",
        ),
        key(
            "key",
            "string or list of strings",
            Nothing,
            "Columns of the message key. Records with the same key must be in the same partition",
        ),
        key("time", "string or expression", Required, TIME),
        key("separator", "separator", Is("\",\""), SEPARATOR),
        key("lateness", "duration", Is("\"0s\""), "How far out of order the records of a partition may be"),
        key(
            "where",
            "expression",
            Nothing,
            "Condition for keeping a record; all others are counted as *filtered*, also those without a time or another \
             column for which it is false all the same, as `kind = 'trip'` is for a heartbeat",
        ),
        key("columns", "table", Required, "Names and types of the columns, in order"),
    ],
};

pub static TABLE: Section = Section {
    title: "[table.NAME]",
    summary: "The newest row of each key of an upsert topic, by event time. A message with a null value deletes the row of its \
              key. A record that is older than its key's row or delete changes nothing.",
    keys: &[
        key("topic", "string", Required, "The topic to read"),
        key(
            "format",
            "[format](#formats)",
            Required,
            "Encoding of the topic's messages. A file bound to the topic is read by its extension instead",
        ),
        key("key", "string or list of strings", Required, "Columns that identify a row; never null"),
        key("time", "string or expression", Required, TIME),
        key("separator", "separator", Is("\",\""), SEPARATOR),
        key("lateness", "duration", Is("\"0s\""), "How far out of order the records of a partition may be"),
        key("columns", "table", Required, "Names and types of the columns, in order"),
    ],
};

pub static COLUMN: Section = Section {
    title: "a column",
    summary: "`name = \"type\"` or `name = { type = \"type\", … }`. A type is `string`, `int`, `float`, `bool` or \
              `timestamp`; a `?` after it makes the column nullable.",
    keys: &[
        key("type", "string", Required, "The type"),
        key(
            "path",
            "string or list of strings",
            Is("its name"),
            "Where records have it, in every format: `\"payload.amount\"`, or a list of names if they contain dots, see \
             [values](#values)",
        ),
        key(
            "resolution",
            "float",
            Is("1e-9"),
            "Unit in which sums of this float are exact: a power of ten from 1 to 1e-9",
        ),
        key("unit", "`s`, `ms`, `us` or `ns`", Is("\"ms\""), "Unit of a timestamp that is written as a number"),
        key(
            "time_format",
            "string",
            Is("ISO 8601"),
            "Format of a timestamp that is written as text, by strftime's directives: `\"%d/%m/%Y %H:%M:%S\"`. Without \
             `%z`, times are UTC. Numbers are read by it, too",
        ),
    ],
};

pub static VIEW: Section = Section {
    title: "[view.NAME]",
    summary: "A stream derived from other streams by SQL.",
    keys: &[
        key(
            "sql",
            "SQL",
            Required,
            "A SELECT over a source or another view, or several joined by UNION ALL, see [below](#the-sql-of-a-view). It may look up \
             tables and feature groups",
        ),
        key(
            "at",
            "expression",
            Nothing,
            "The time at which its records take effect, if that is [later](#views-of-what-becomes-known-later): a \
             timestamp over its columns",
        ),
    ],
};
