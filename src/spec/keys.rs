//! Sections of a dataflow file and their keys, as the reader accepts them and the reference lists them.

pub use super::feature_keys::{AGGREGATE, DERIVED, FEATURES, WINDOW};
use super::section::Absent::{Is, Nothing, Required};
use super::section::key;
pub use super::section::{Absent, Section};
pub use super::stream_keys::{COLUMN, SOURCE, TABLE, VIEW};

/// Every section, in the order of the reference.
pub static SECTIONS: &[&Section] = &[
    &FILE, &SOURCE, &TABLE, &COLUMN, &VIEW, &FEATURES, &AGGREGATE, &DERIVED, &WINDOW, &MODEL, &INPUT, &LOOK_UP, &LABEL,
    &KIND, &OPTIMIZER, &PUBLISH, &RECOMMEND, &RANKING, &TEST,
];

pub static FILE: Section = Section {
    title: "the file",
    summary: "The top level of a dataflow file. Sources, tables, views and feature groups share one namespace.",
    keys: &[
        key("name", "string", Required, "The dataflow's name: letters, digits, `_` and `-`"),
        key("source", "tables", Nothing, "Streams of records: `[source.NAME]`"),
        key("table", "tables", Nothing, "Tables kept from upsert topics: `[table.NAME]`"),
        key("view", "tables", Nothing, "Streams derived by SQL: `[view.NAME]`"),
        key("features", "tables", Nothing, "Feature groups: `[features.NAME]`"),
        key("model", "tables", Nothing, "Models: `[model.NAME]`"),
        key("test", "list of tables", Nothing, "Tests of the features, which `tidemill test` runs: `[[test]]`"),
    ],
};

pub static MODEL: Section = Section {
    title: "[model.NAME]",
    summary: "A model that is retrained at the end of every window.",
    keys: &[
        key("kind", "string or table", Required, "The kind of model, see below"),
        key("examples", "string", Required, "The source or view whose records are the examples"),
        key(
            "instance",
            "string",
            Is("the source of the examples"),
            "The source, or a view on one source, whose records requests contain; required if examples come from several",
        ),
        key("features", "list", Required, "The inputs, see below"),
        key("label", "table", Nothing, "The value to predict, see below; required unless the kind learns without one"),
        key("window", "duration", Required, "Span of event time after which the model is retrained"),
        key(
            "offset",
            "duration",
            Is("\"0s\""),
            "Shift of the window boundaries, which are otherwise multiples of `window` since 1970-01-01T00:00Z",
        ),
        key(
            "optimizer",
            "string or table",
            Is("\"ftrl\""),
            "How weights are updated, see below; only for kinds that an optimizer trains",
        ),
        key(
            "crosses",
            "list of lists",
            Is("[]"),
            "Combinations of inputs that become inputs themselves: `[[\"origin\", \"dest\"]]`",
        ),
        key("bins", "int", Is("0"), "Number of quantile bins that are added for every numeric input; 0 for none"),
        key("categorical", "list of strings", Is("[]"), "Inputs to be treated as categories"),
        key(
            "tokens",
            "list of strings",
            Is("[]"),
            "Strings among the inputs that are texts: instead of one category, they are a bag of their words, in lower case",
        ),
        key("ngrams", "int", Is("1"), "Number of words of a text that are an entry together, at most; up to 5"),
        key(
            "winsorise",
            "float",
            Is("0.0"),
            "Share of the numbers at either end that is brought to the quantile there, as known from the windows before: `0.01` \
             cuts a hundredth at each end",
        ),
        key(
            "min_count",
            "int",
            Is("1"),
            "Number of examples from which on a category has a weight of its own; rarer ones of an input share one",
        ),
        key(
            "expire",
            "int",
            Is("0"),
            "Number of windows after which a category that has not come is forgotten, with what was learnt of it; 0 for never",
        ),
        key("hash_bits", "int", Is("18"), "Base-2 logarithm of the number of hashed weights"),
        key(
            "shards",
            "int",
            Is("1"),
            "Number of virtual shards that learn separately and are combined. Unlike `workers`, it changes the result",
        ),
        key(
            "start",
            "`warm` or `fresh`",
            Is("\"warm\""),
            "What a window starts from: the newest accepted version, or an untrained model",
        ),
        key(
            "min_examples",
            "int",
            Is("20"),
            "Examples from which the first version is made at least. Windows that end before are waited out: their examples are \
             kept, and learnt with those of the window in which there are enough",
        ),
        key(
            "weight",
            "expression",
            Nothing,
            "How often an example counts when it is learnt, over the columns of the examples: a number from 0, where it is not \
             learnt at all, to 1e6, at which greater ones are cut. Null counts once, a negative number as 0",
        ),
        key(
            "class_weight",
            "`\"balanced\"` or table",
            Nothing,
            "How often the examples of a class count when they are learnt: `{ true = 10 }`, `{ low = 0.5, high = 2 }`, 1 for others; \
             or inverse to the number of examples of the class so far. It moves predictions towards the classes that count more",
        ),
        key(
            "negative_sampling",
            "float",
            Is("1.0"),
            "The share, chosen by key, of the examples whose label is false that is learnt. Predictions are corrected for it",
        ),
        key("seed", "int", Is("0"), "Seed of the random numbers of kinds that draw some, as `mlp` and `forest`"),
        key(
            "publish",
            "table",
            Nothing,
            "Gate that a version must pass to become champion; without it, every version does",
        ),
        key(
            "recommend",
            "table",
            Nothing,
            "The items that `POST /recommend` ranks by the model's predictions, see below",
        ),
        key(
            "segments",
            "list of strings",
            Is("[]"),
            "Columns of the examples by whose values scores are split as well: the first 20 values of each, and `other` for the rest. A null is `null`; the texts `null` and `other` are in double quotes",
        ),
        key(
            "persistence",
            "string or list of strings",
            Nothing,
            "Columns of the examples that tell keys apart: predictions are compared with the last known label of the same key, the \
             prediction that nothing changes. A null is no key",
        ),
        key("ranking", "table", Nothing, "Scores the examples of each user as a list, see below"),
    ],
};

pub static INPUT: Section = Section {
    title: "an input",
    summary: "An entry of a model's `features`: `\"group.*\"` for all features of a group, `\"group.feature\"`, a column of \
              the examples, or an expression over these. The name of an expression is its text, unless it is written \
              as a table:",
    keys: &[key("expr", "expression", Required, "The input"), key("as", "string", Required, "Name of the input")],
};

pub static LOOK_UP: Section = Section {
    title: "a look-up",
    summary: "A group is looked up by the columns of the examples that have the names of its entity's columns. An entry \
              of a model's `features` that is a table with a `group` can name others:",
    keys: &[
        key("group", "string", Required, "The feature group; all its features become inputs"),
        key(
            "on",
            "table",
            Is("equal names"),
            "For a column of the entity, the column of the examples that holds it: `{ target = \"source\" }`",
        ),
        key("features", "string or list of strings", Is("all"), "The features of the group that become inputs"),
    ],
};

pub static LABEL: Section = Section {
    title: "label",
    summary: "With `from`, the label is the `value` of the first record of `from` that has the same `on`, is at least `after` \
              and at most `within` later than the example, and has a `value` that is not null. If examples and labels have \
              records of the same source, only those behind the example in the [total order](concepts.md#the-total-order) \
              count: an example is never its own label. `count(*)` is the number of all such records, `sum(x)` and `max(x)` \
              are of those whose value is not null. Without `from`, the label is an expression over the example itself.",
    keys: &[
        key(
            "value",
            "expression",
            Required,
            "The label: by the kind's [task](#kinds-of-models), a bool, 0 or 1 (`binary`, `anomaly`), a number (`regression`), for \
             `poisson` one that is not negative, or a string, an int or a bool (`multiclass`). An example with another label is dropped and \
             counted. With `from`, it may name columns of the example as `example.column`, or be `count(*)`, `sum(x)` or `max(x)`",
        ),
        key("from", "string", Nothing, "The source or view that has the label"),
        key(
            "on",
            "string or list of strings",
            Nothing,
            "Columns that must be equal in both; required with `from`. A null equals nothing",
        ),
        key("after", "duration", Is("\"0s\""), "The least time from the example to the record that has the label"),
        key("within", "duration", Nothing, "How long to wait for the label, the *horizon*; required with `from`"),
        key(
            "otherwise",
            "number, bool or string",
            Nothing,
            "The label if none arrives in time; else the example is dropped",
        ),
        key(
            "learn",
            "`\"horizon\"` or `\"known\"`",
            Nothing,
            "When an example is learnt and scored: at its horizon, the default with `otherwise`, or as soon as its label is known, \
             where the first versions see only examples whose label arrives",
        ),
    ],
};

pub static KIND: Section = Section {
    title: "kind",
    summary: "The name of a kind of model, or a table with its name, its task and its parameters: \
              `{ name = \"linear\", loss = \"huber\" }`, `{ name = \"mlp\", task = \"regression\", hidden = 32 }`.",
    keys: &[
        key("name", "string", Required, "The kind of model, see below"),
        key(
            "task",
            "string",
            Is("the kind's first task"),
            "`\"binary\"`, `\"multiclass\"`, `\"regression\"` or another: the meaning of labels and predictions, for kinds that have \
             several, see below",
        ),
    ],
};

pub static OPTIMIZER: Section = Section {
    title: "optimizer",
    summary: "The name of an optimizer, or a table with its name and parameters.",
    keys: &[key("name", "string", Required, "The optimizer, see below")],
};

pub static PUBLISH: Section = Section {
    title: "publish",
    summary: "A new version becomes champion if it is worse than the champion by at most `tolerance`, measured on examples \
              that neither was trained on.",
    keys: &[
        key(
            "metric",
            "string",
            Required,
            "A metric of the model's kind, see below; with a `ranking`, also one of lists, such as `ndcg@10`",
        ),
        key("tolerance", "float", Is("0.0"), "How much worse a new version may be"),
        key(
            "holdout",
            "float",
            Is("0.1"),
            "Share of the examples, chosen by key, that is never trained on; for a metric of lists, the share of whole lists",
        ),
        key("windows", "int", Is("3"), "Number of newest windows whose held-out examples are compared"),
        key(
            "unanswered",
            "string",
            Is("\"keep\""),
            "What happens where the metric has no answer, as the `auc` of examples of one class: `\"keep\"` refuses the \
             new version, `\"publish\"` accepts it. The first version of a model is always accepted",
        ),
        key(
            "rollback",
            "float",
            Nothing,
            "How much worse than the champion before it a champion may be, by the prequential `metric` of one window. One that is \
             worse is rolled back at the window's end",
        ),
    ],
};

pub static RECOMMEND: Section = Section {
    title: "recommend",
    summary: "Makes a model that predicts one value of a user and an item rank items for a user: an instance of each, best \
              first. The key columns of the table of items are columns of the record that an instance is; all others \
              are the user's.",
    keys: &[
        key(
            "items",
            "string",
            Required,
            "The table whose rows are the items, unless a request has candidates of its own",
        ),
        key(
            "seen",
            "string",
            Nothing,
            "A feature `group.feature` of the user that lists the items to be left out: `distinct_values`, `last_k` or \
             another list of the items' key, which is one column then",
        ),
        key(
            "popularity",
            "string",
            Nothing,
            "A feature `group.feature` of the item, a number, that ranks the items for users that are new: those of whom \
             the group of `seen` has no record",
        ),
    ],
};

pub static RANKING: Section = Section {
    title: "ranking",
    summary: "Scores the examples of one user in one window as a list that the model ranks, see [metrics](#metrics). For models \
              that predict one value.",
    keys: &[
        key("by", "string or list of strings", Required, "Columns of the examples that tell users apart"),
        key("relevant", "float", Is("0.5"), "The least label of a relevant item"),
        key("popularity", "string", Nothing, "A numeric input by which the same lists are ranked for comparison"),
    ],
};

pub static TEST: Section = Section {
    title: "[[test]]",
    summary: "Records, and the features that must come of them. `tidemill test FILE` runs each block through the graph of a \
              replay, in memory and without a network. A test changes nothing else that the file computes.",
    keys: &[
        key("name", "string", Required, "The name of the test, which no other has"),
        key(
            "records",
            "table",
            Required,
            "Records of sources and tables, in the order in which they arrive: `{ clicks = [ { user = \"u1\", … }, … ] }`. \
             They are decoded as JSON messages of the topic are; a null is left out. A row of a table with \
             `_deleted = true` deletes",
        ),
        key(
            "expect",
            "table",
            Nothing,
            "Values of features, by group and entity: `{ \"user/u1\" = { count_1h = 2 } }`. The columns of the entity follow \
             the group in their order, each percent-encoded as in the path of `/features`. An entity without records has \
             the empty answers",
        ),
        key(
            "expect_null",
            "table",
            Nothing,
            "Features that must be null, by group and entity: `{ \"user/u1\" = [\"x_mean_1h\"] }`",
        ),
        key(
            "at",
            "timestamp",
            Is("just after the newest record"),
            "The time as of which features are asked for, one that an event may have: only what takes effect before it counts",
        ),
    ],
};
