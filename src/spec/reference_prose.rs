//! Text of the reference that no table of the program has.

pub const VALUES: &str = "
## Values

A value means the same in every format. It is converted to the type of its column if nothing is lost; otherwise its record
is a dead letter. JSON is that of messages, of `.jsonl` files and of instances in requests.

| type | JSON | CSV | Parquet |
| --- | --- | --- | --- |
| `string` | text | any field | text |
| `int` | whole numbers, also with a fraction of zero (`1.0`, `1e3`) below 2^53, and text of such | text of such | integers of all sizes; floats and decimals whose value is whole; text of whole numbers |
| `float` | finite numbers, and text of such; the nearest 64-bit float | text of such | integers, floats and decimals of all sizes; text of numbers |
| `bool` | `true`, `false`, `1`, `0`, and text of such | `true`, `True`, `TRUE`, `1`, `false`, `False`, `FALSE`, `0` | bools; integers and floats that are 1 or 0; text of such |
| `timestamp` | text and numbers, see below | text, see below | dates, timestamps of any unit and zone; integers, floats, decimals and text, see below |

Null is `null` in JSON, a field that the config's `nulls` lists in CSV, and null in Parquet, where a column may also have
the type null. The fields of CSV have the `separator` of the source or table between them. Text in CSV messages is null if it is empty and not quoted. Spaces around text that is no `string` are
ignored. Text in Parquet may be dictionary-encoded, large or a view.

A Parquet column of a type that never converts, such as bytes, a list or a time of day, is an error before the first row.
So is text where an `int`, a `float` or a `bool` is declared, unless every value converts: such columns are read twice. A
column that a CSV or a Parquet file lacks is an error before the first record, nullable or not; only `_deleted` may be
missing.

**Times in text** are ISO 8601: a date (`2024-01-31`, `20240131`), or a date and a time of day after `T` or a space
(`08:00`, `08:00:30.5`, `0800`, `08`), with or without an offset (`Z`, `UTC`, `+01:00`, `+0100`, `+01`). Without an offset
they are UTC, and a date is its midnight. Decimals below the ms are dropped. Other layouts need a `time_format`, which is
then the only one: `\"%d/%m/%Y %H:%M:%S\"` reads `31/01/2024 08:00:00`. Its directives are those of
[chrono](https://docs.rs/chrono/latest/chrono/format/strftime/index.html).

**Times as numbers** count `unit`s since 1970, with or without decimals, be they numbers or text of digits. With `unit =
\"s\"`, `1706688000.5` is half a second after `2024-01-31T08:00`. Only text of eight digits that are a date from 1900 to
2199 is that date, unless the column sets `unit`. If the first thousand event times of a partition are all before 1990 or
after 2100, and another unit would place them in between, the program names that unit on stderr.

**Paths.** In JSON and Parquet, `\"payload.amount\"` is the field `amount` of the object or struct `payload` or, if there is
none, the field `payload.amount`. In a CSV file it is the column `payload.amount`. A list of names says where names have
dots. A CSV or Parquet file that has nothing at the path may have the column by its own name. An object that is null, or missing, has null fields. Several columns may have one path. Where columns lie below the
path of a `string`, that column is the text of the object.

**Deletes of tables.** A message without a value deletes the row of its key, and so does a record in which `_deleted`, or
`__deleted`, is true. In JSON, where columns are below an object named `after`, as in change records of Debezium, a record
whose `after` is null deletes the row that its `before` has. Such records need no more than the key and the time.

### Times by expression

A `time` that is no column's name is an expression over the columns that gives a timestamp:

```toml
time = \"to_timestamp(epoch)\"                           # a number of seconds, and with epoch / 1000.0 one of ms
time = \"coalesce(updated_at, created_at)\"             # the first that there is
time = \"strptime(day || ' ' || clock, '%d.%m.%Y %H:%M')\"
time = \"sent_at - interval '1 hour'\"
```

A record for which it is NULL is a dead letter: `missing_field` if a column that it reads is null, else
`unparsable_time`. A message without a value, which deletes a row of a table, has the time of the message itself. An
instance in a request has no time of its own then, only the columns.
";

pub const VIEWS: &str = "
## The SQL of a view

```sql
SELECT s.*, w.temp, date_part('hour', s.sched_ts) AS hour
FROM schedule s LEFT JOIN weather w ON w.origin = s.origin
WHERE s.distance > 0
```

A view is one SELECT over a source or another view. An item is a column, `*`, `alias.*` or `expression AS name`.

A joined table is looked up as of the record's event time. ON must compare every key column of the table with an
expression over the relations before it. If the table has no such row, JOIN drops the record and LEFT JOIN keeps it with
nulls.

A feature group is joined like a table, by [LEFT JOIN](#features-of-features).

```sql
SELECT id, amount, 'card' AS method FROM card_payments
UNION ALL
SELECT t.id, t.total, 'bank' FROM transfers t WHERE t.total > 0
```

UNION ALL merges the records of any number of SELECTs, each with its own joins and WHERE. Columns correspond by position
and must have equal types. Their names are those of the first SELECT, and a column is nullable if it is in any of them.
Records of equal time are ordered by the name of their source, and within a source as usual. If the examples of a model
come from several sources, `instance` names the one whose records requests contain.

### Views of what becomes known later

```toml
[view.chargebacks]
sql = \"SELECT p.id, p.card, p.amount, p.sent_at FROM payments p WHERE p.is_fraud\"
at  = \"sent_at + interval '6 hours'\"
```

With `at`, a record of a view is one of that time to everything that reads the view: features and labels see it from then
on, examples are made then, and tables are looked up as of then. It takes effect when that time is closed. A record never
takes effect before the one that it is made from: if `at` is earlier than its event time, the event time stands, and
`tidemill_null_values_total` counts it (`early_time`). A record whose `at` is NULL, or no time that an event may have, is
dropped and counted there (`no_time`). Records that wait are kept in memory and in checkpoints. A replay ends at `--to`, or
just after the newest event: what would take effect later does not. `--cold` reads topics from their beginning, since the
shift is not known before.

### Features of features

```toml
[view.scored]
sql = \"SELECT p.*, p.amount / c.amount_mean_1d AS relative FROM payments p LEFT JOIN card c ON c.card = p.card\"

[features.merchant]
from      = \"scored\"
entity    = \"merchant\"
aggregate = [{ of = \"relative\", op = \"max\", windows = [\"7d\"] }]
```

`LEFT JOIN group ON` adds the features of an entity as of the record's time, the same that an example of a model would look up
then: those of all records of the group strictly before it. ON compares every column of the entity with an expression over the
relations before it. The columns of the group are those of the entity, then its features, without lists and maps: a SELECT from
a group that has some must name the others, since `*` stands for all. From there
on they are columns like any other: for feature groups, models, labels, other views and UNION ALL.

- Every entity has features: one without records, or one that was dropped at the bound of its group, those of no records. JOIN
  without LEFT is therefore rejected.
- A record does not see itself, unless a feature is `current`. FROM must then have, by name and type, the columns that the
  aggregate reads.
- A record of such a view reaches the feature groups over it when its time closes.
- A prediction looks the newest vector up, by the columns of the instance.

A group answers a record when it has all records before it, so it cannot be asked twice in a row, nor be made from its own
answers. `tidemill check` rejects a group whose `from` leads back to itself by way of joins, with the way; a view or a model
that looks up a group whose features the records have already, where they are to be selected in the view instead; and two
groups that would each have to answer after the other. A second group of the same definition helps where one would have to
answer twice.

All other SQL (GROUP BY, DISTINCT, ORDER BY, subqueries, parentheses around a SELECT, UNION without ALL, INTERSECT,
EXCEPT) is rejected: use a feature group to aggregate, and a second view in place of a subquery.
";

pub const EXPRESSIONS: &str = "
## Expressions

Expressions are SQL scalar expressions and follow PostgreSQL's rules:

- Literals: `42`, `1.5`, `'text'`, `true`, `false`, `null`, `timestamp '2024-01-31T08:00:00Z'`. Text in single quotes
  becomes a timestamp where one is expected, as in a comparison with a timestamp.
- Columns: `column`, or `relation.column`. Names are case-sensitive; one that is not an identifier, as one with a space, is
  written in double quotes: `\"Total Amount\" > 5`.
- `+ - * / %` on numbers. Two ints give an int, so `7 / 2` is 3; if either operand is a float, the result is one.
- `t + interval '6 hours'`, `t - interval '1 day 30 minutes'`, `t + n * interval '1 second'` on timestamps. Units are
  milliseconds to weeks: they have a fixed length. There are no columns of intervals.
- `= <> < <= > >=`, `BETWEEN`, `IN (…)` on values of the same type. Strings are compared byte by byte.
- `AND OR NOT`, `IS [NOT] NULL`, `IS [NOT] TRUE`, `IS [NOT] FALSE` with SQL's three-valued logic.
- `LIKE` and `ILIKE` (`%` matches any text, `_` any character, and `\\` escapes the next character), `||`.
- `CASE WHEN … THEN … ELSE … END`, `CAST(x AS type)` or `x::type`, `EXTRACT(field FROM t)`.

An expression without a valid result is NULL: a float that is not finite, an int that overflows, a division by zero, a
text that a cast cannot parse. The metric `tidemill_null_values_total` counts them by operator. `check` rejects a constant
expression without a valid result.

An expression may have 200 levels of parentheses, calls and CASE, one inside the other, and 100,000 names, values and
operators between two commas (a test such as IS NULL or LIKE counts as ten); `IN (…)` may have any number of values. One that is deeper or longer is rejected at the place
where it is. Checking takes time that grows with the length of the text.

";

pub const LISTS: &str = "
With `ranking`, a model's examples are scored in lists, too: those of one user in one window, in the order of the predictions
that were made at their times. Examples whose user is null are in no list. An item is relevant if its label is `relevant` or more. Metrics are means over the lists that have
two items at least and a relevant one; equal predictions are in the order of the examples' keys, hashed. They are reported beside
those of the same lists ranked by `popularity`, which is `no_skill` in the registry.

";
