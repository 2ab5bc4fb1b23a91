//! The reference of dataflow files, generated from the tables that the reader and the binder use.

use std::fmt::Write;

use super::keys::{Absent, SECTIONS, Section};
use crate::aggregate;
use crate::expr::FUNCTIONS;
use crate::model::{KINDS, METRICS, OPTIMIZERS};
use crate::value::Type;

/// Returns the text of `docs/dataflow.md`: every key of a file, every aggregate, function, kind of model, optimizer
/// and metric.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in SECTIONS {
        out += &section_text(section);
    }
    out += VIEWS;
    out += EXPRESSIONS;
    let functions = FUNCTIONS.iter().copied().flatten();
    out += &table(&["function", "what"], functions.map(|f| vec![format!("`{}`", f.signature), f.summary.to_owned()]));
    out +=
        "\n## Aggregates\n\nThe values of `op`. Nulls are skipped; an entity without records has the empty answer.\n\n";
    let takes = |kind: &aggregate::Kind| {
        let types = Type::ALL.into_iter().filter(|ty| aggregate::accepts(kind, Some(*ty))).map(Type::name);
        let types: Vec<&str> = types.collect();
        let list = if types.len() == Type::ALL.len() { "any type".to_owned() } else { types.join(", ") };
        if aggregate::accepts(kind, None) { format!("nothing, or {list}") } else { list }
    };
    let empty = |kind: &aggregate::Kind| if kind.nullable { "null" } else { "0" };
    out += &table(
        &["op", "of", "empty", "what"],
        aggregate::KINDS
            .iter()
            .map(|kind| vec![format!("`{}`", kind.name), takes(kind), empty(kind).to_owned(), kind.summary.to_owned()]),
    );
    out += "\n## Kinds of models\n\nThe values of `kind`, and the metrics that versions are scored by.\n\n";
    out += &table(
        &["kind", "metrics", "what"],
        KINDS.iter().map(|kind| {
            let metrics: Vec<String> = kind.metrics().map(|metric| format!("`{}`", metric.name)).collect();
            vec![format!("`{}`", kind.name), metrics.join(", "), kind.summary.to_owned()]
        }),
    );
    out += "\n## Metrics\n\n";
    out += &table(
        &["metric", "what"],
        METRICS.iter().map(|metric| vec![format!("`{}`", metric.name), metric.summary.to_owned()]),
    );
    out += "\n## Optimizers\n\n`optimizer = \"NAME\"`, or a table such as `{ name = \"ftrl\", alpha = 0.1 }`.\n";
    for kind in OPTIMIZERS {
        write!(out, "\n### {}\n\n{}.\n\n", kind.name, sentence(kind.summary))
            .expect("writing to a string does not fail");
        out += &table(
            &["parameter", "default", "what"],
            kind.parameters.iter().map(|parameter| {
                let bound = if parameter.above { "above" } else { "at least" };
                let what = format!("{}; {bound} {}", parameter.summary, parameter.least);
                vec![format!("`{}`", parameter.name), format!("`{}`", parameter.default), what]
            }),
        );
    }
    out
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
    let keys = table(&["key", "value", "default", "what"], rows);
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

const INTRODUCTION: &str = "\
# Dataflow files

<!-- Written by the program from its own tables: `UPDATE_GOLDEN=1 cargo test --test house`. -->

A dataflow file (TOML) says what is computed; the config says where. `tidemill check FILE` reports every problem of a
file at once, each as `PATH:LINE:COLUMN: error: what is wrong; expected …; did you mean …?`, and then prints the plan.

A duration is a number and one of `ms s m h d w`: `\"90s\"`, `\"1.5h\"`. Names of sources, tables, views, groups and
models are letters, digits and `_`, with a letter first. An expression is SQL, see below.
";

const VIEWS: &str = "
## The SQL of a view

```sql
SELECT s.*, w.temp, date_part('hour', s.sched_ts) AS hour
FROM schedule s LEFT JOIN weather w ON w.origin = s.origin
WHERE s.distance > 0
```

One SELECT over a source or another view. A joined table is looked up as of the record's event time: ON compares every
key column of the table with an expression over what stands before it; a record without a row is dropped by JOIN and
kept with nulls by LEFT JOIN. An item is a column, `*`, `alias.*` or `expression AS name`. Everything else in SQL
(GROUP BY, DISTINCT, ORDER BY, subqueries, UNION) is refused: aggregation is the work of feature groups, and a subquery
can be a view of its own.
";

const EXPRESSIONS: &str = "
## Expressions

SQL scalar expressions with PostgreSQL's rules:

- Literals: `42`, `1.5`, `'text'`, `true`, `false`, `null`, `timestamp '2024-01-31T08:00:00Z'`. Text in single quotes
  is a timestamp where it stands beside one.
- Columns: `column`, or `relation.column`. Names are exact; a name that is no identifier is written in double quotes.
- `+ - * / %` on numbers. An int with an int stays an int, so `7 / 2` is 3; a float on either side makes a float.
- `= <> < <= > >=`, `BETWEEN`, `IN (…)` on values of one type; strings compare by their bytes.
- `AND OR NOT`, `IS [NOT] NULL`, `IS [NOT] TRUE`, `IS [NOT] FALSE` with SQL's three-valued logic.
- `LIKE` and `ILIKE` (`%` is any text, `_` any character, `\\` takes the next one as it is), `||`.
- `CASE WHEN … THEN … ELSE … END`, `CAST(x AS type)` or `x::type`, `EXTRACT(field FROM t)`.

Where there is no answer, the result is NULL and counted: a float that is not finite, an int that does not fit, a
division by zero, a text that a cast cannot read. A constant without an answer is refused by `check`.

";
