//! The spec of a valid dataflow file, and random edits of a file: each is valid or refused with places.

use std::path::Path;

use proptest::prelude::*;
use tidemill::aggregate::{Sliding, WindowShape};
use tidemill::error::LineColumn;
use tidemill::spec::{self, AssumedEntities, Label, LabelOp, LearnAt, Spec, format_bytes};
use tidemill::value::Type;

use crate::features_of_features::PAY;

fn flights_text() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/flights.toml")).unwrap()
}

fn flights() -> Spec {
    spec::parse(&flights_text(), "flights.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

const SMALL: &str = r#"
name = "small"

[source.clicks]
topic   = "clicks"
format  = "json"
time    = "at"
columns = { user = "string", page = "string", ms = { type = "float", resolution = 0.01 }, n = "int", at = { type = "timestamp", path = "meta.at", unit = "s" } }

[view.slow]
sql = "SELECT c.user, c.page, c.ms, c.ms / 1000 AS seconds, c.n FROM clicks c WHERE c.ms > 100"

[features.user]
from      = "clicks"
entity    = ["user"]
aggregate = [
  { of = "ms", op = ["mean", "last"], windows = ["1h", { sliding = "1d", hop = "1ms" }] },
  { op = "count", where = "page = 'home'", windows = ["0.5h"] },
  { of = "n", op = "sum", windows = ["13d"], resolution = 1 },
]

[features.page]
from      = "slow"
entity    = "page"
aggregate = [{ of = "ms * 2", as = "double", op = "max", windows = ["2h"], resolution = 0.001 }]

[model.m]
kind     = "linear"
examples = "slow"
features = ["page.double_max_2h / (1 + user.count_30m)", "seconds", "user.ms_mean_1h", { expr = "n > 1", as = "many" }]
label    = { value = "ms + coalesce(user.ms_last_1h, 0)" }
window   = "6h"
"#;

/// A file that lacks a line is valid or refused, as one is in which another column is the event time.
#[test]
fn a_shipped_file_without_one_of_its_lines_is_valid_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows");
    let mut refused = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for at in (0..lines.len()).filter(|at| !lines[*at].trim().is_empty()) {
            let edited = [&lines[..at], &lines[at + 1..]].concat().join("\n");
            refused += usize::from(spec::parse(&edited, "edited.toml").is_err());
        }
        for column in ["user", "item", "price"] {
            let edited = text.replace("\ntime    = \"at\"", &format!("\ntime = \"{column}\""));
            refused += usize::from(edited != text && spec::parse(&edited, "edited.toml").is_err());
        }
    }
    assert!(refused > 100, "{refused}");
}

fn small(edit: impl Fn(&str) -> String) -> Spec {
    spec::parse(&edit(SMALL), "small.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

/// Removes the one mistake of the text above: `resolution` is for floats.
fn fixed(text: &str) -> String {
    text.replace(", resolution = 1 }", " }")
}

#[test]
fn a_resolution_of_an_int_is_a_mistake() {
    let errors = spec::parse(SMALL, "small.toml").unwrap_err();
    assert_eq!(errors.problems.len(), 1, "{errors}");
}

#[test]
fn features_are_named_by_input_op_and_window() {
    let spec = small(fixed);
    let names: Vec<&str> = spec.groups[0].features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["ms_mean_1h", "ms_last_1h", "ms_mean_1d", "ms_last_1d", "count_30m", "n_sum_13d"]);
    let digits: Vec<u32> = spec.groups.iter().flat_map(|group| &group.lines).map(|line| line.digits).collect();
    assert_eq!(digits, [2, 0, 0, 3]);
}

#[test]
fn hops_follow_the_length_unless_chosen() {
    let spec = small(fixed);
    let windows = spec.groups.iter().flat_map(|group| &group.lines).flat_map(|line| line.windows.clone());
    let sizes = windows.map(|window| match window.shape {
        WindowShape::Sliding(Sliding { size_ms, hop_ms }) => (size_ms, hop_ms),
        other => panic!("{other:?} is not a sliding window"),
    });
    let sizes: Vec<(i64, i64)> = sizes.collect();
    let (hour, day) = (3_600_000, 86_400_000);
    assert_eq!(sizes, [(hour, 60_000), (day, 1), (hour / 2, 30_000), (13 * day, day), (2 * hour, 300_000)]);
}

#[test]
fn expressions_of_a_model_read_the_features_that_are_looked_up() {
    let spec = small(fixed);
    let model = &spec.models[0];
    let visits: Vec<(&str, Vec<&str>)> = model
        .lookups
        .iter()
        .map(|lookup| {
            let group = &spec.groups[lookup.group];
            let features = lookup.features.iter().map(|at| group.features[*at].name.as_str());
            (group.name.as_str(), features.collect())
        })
        .collect();
    // A label known at once may read features too, so its own is looked up.
    let user = vec!["ms_mean_1h", "ms_last_1h", "count_30m"];
    assert_eq!(visits, [("user", user), ("page", vec!["double_max_2h"])]);
    assert_eq!(model.lookups[0].entity, [0]);
    let inputs: Vec<(&str, Vec<usize>, Type)> =
        model.inputs.iter().map(|input| (input.name.as_str(), input.expr.columns(), input.expr.ty())).collect();
    assert_eq!(
        inputs,
        [
            ("page.double_max_2h / (1 + user.count_30m)", vec![7, 8], Type::Float),
            ("seconds", vec![3], Type::Float),
            ("user.ms_mean_1h", vec![5], Type::Float),
            ("many", vec![4], Type::Bool),
        ]
    );
    let Label::Immediate { value } = &model.label else { panic!("the label is known at once") };
    assert_eq!(value.columns(), [2, 6]);
}

#[test]
fn a_declaration_of_a_column_holds_in_views_of_it() {
    let spec = small(fixed);
    let clicks = &spec.sources[0].topic.schema;
    assert_eq!(clicks.columns[4].path, ["meta", "at"]);
    let slow = spec.stream_schema(spec.views[0].stream);
    assert_eq!(slow.columns[2].resolution, Some(0.01));
    assert_eq!(slow.columns[3].resolution, None);
    assert!(slow.columns[3].nullable && !slow.columns[2].nullable);
}

#[test]
fn the_flights_file_has_the_expected_spec() {
    let spec = flights();
    let model = &spec.models[0];
    let names: Vec<&str> = model.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names.len(), 26, "{names:?}");
    assert!(names.contains(&"airport.delay_mean_3h") && names.contains(&"airport.very_late_3h"));
    assert!(names.contains(&"queue.count_1h") && names.contains(&"visibility"));
    assert_eq!(model.lookups.len(), 6);
    let view = &spec.views[0];
    assert_eq!(spec.relations.describe(view.stream), "from schedule, left look-up in weather");
    let schema = spec.stream_schema(view.stream);
    assert!(schema.columns[schema.index_of("temp").unwrap()].nullable);
    let Label::Joined(label) = &model.label else { panic!("the label is joined") };
    assert_eq!((label.after_ms, label.within_ms, label.otherwise.clone()), (0, 86_400_000, None));
    assert_eq!((label.op, label.learn), (LabelOp::First, LearnAt::Known));
}

#[test]
fn a_view_comes_after_the_view_that_it_is_made_from() {
    let text = fixed(SMALL).replace(
        "[features.user]",
        "[view.a]\nsql = \"SELECT * FROM b\"\n[view.b]\nsql = \"SELECT * FROM slow\"\n[features.user]",
    );
    let spec = small(|_| text.clone());
    let views: Vec<&str> = spec.views.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(views, ["slow", "b", "a"]);
}

#[test]
fn a_definition_changes_with_what_is_computed_and_only_with_that() {
    let same = |a: &Spec, b: &Spec| a.definition() == b.definition();
    let spec = small(fixed);
    let spelt = |text: &str| {
        let text = fixed(text).replace("c.ms > 100", "(c.ms) >   100.0").replace("page = 'home'", "'home' = page");
        text.replace("'home' = page", "page='home'")
            .replace("\"6h\"", "\"360m\"")
            .replace("topic   = \"clicks\"", "topic = \"c\"")
    };
    assert!(same(&spec, &small(spelt)));
    for (from, to) in [
        ("c.ms > 100", "c.ms > 101"),
        ("\"6h\"", "\"7h\""),
        ("resolution = 0.01", "resolution = 0.1"),
        ("page = 'home'", "page = 'Home'"),
        ("op = \"sum\"", "op = \"mean\""),
        ("as = \"many\"", "as = \"several\""),
    ] {
        let other = small(|text| fixed(text).replace(from, to));
        assert!(!same(&spec, &other), "{from}");
    }
    let other =
        small(|text| fixed(text).replace("as = \"double\"", "as = \"twice\"").replace("page.double", "page.twice"));
    assert_eq!(spec.group_definition(&spec.groups[1]), other.group_definition(&other.groups[1]));
    assert_ne!(spec.model_definition(&spec.models[0]), other.model_definition(&other.models[0]));
}

#[test]
fn a_model_whose_features_swap_their_names_is_another() {
    let definitions = |first: &str, second: &str, list: &str| {
        let text = format!(
            "name = \"swapped\"\n\
             [source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
             columns = {{ user = \"string\", x = \"float\", y = \"float\", at = \"timestamp\" }}\n\
             [features.user]\nfrom = \"clicks\"\nentity = \"user\"\n\
             aggregate = [{{ of = \"x\", as = \"{first}\", op = \"mean\", windows = [\"1h\"] }}, \
             {{ of = \"y\", as = \"{second}\", op = \"mean\", windows = [\"1h\"] }}]\n\
             [model.m]\nkind = \"logistic\"\nexamples = \"clicks\"\nfeatures = [{list}]\n\
             label = {{ value = \"x > 1\" }}\nwindow = \"1d\"\n"
        );
        let spec = tidemill::spec::parse(&text, "swapped.toml").unwrap();
        (spec.group_definition(&spec.groups[0]), spec.model_definition(&spec.models[0]))
    };
    let list = "\"user.a_mean_1h\", \"user.b_mean_1h\"";
    let (plain, swapped) = (definitions("a", "b", list), definitions("b", "a", list));
    assert_eq!(plain.0, swapped.0, "the state of the group is the same");
    assert_ne!(plain.1, swapped.1, "the model would take x for y");
    assert_ne!(plain.1, definitions("a", "b", "\"user.b_mean_1h\", \"user.a_mean_1h\"").1, "weights go by position");
}

#[test]
fn the_plan_is_printed_with_what_it_costs() {
    let spec = flights();
    let thousand = AssumedEntities { entities: Some(1000), ..AssumedEntities::default() };
    let text = spec.explain(thousand);
    for part in
        ["features airport: of departures by origin", "for 1000 entities", "stddev of least(delay, 180)", "26 inputs"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let outline = spec.to_json(thousand);
    let groups = outline["features"].as_array().unwrap();
    let sum: u64 = groups.iter().map(|group| group["bytes"].as_u64().unwrap()).sum();
    assert!(groups.len() > 1 && outline["bytes"] == sum, "{} {sum}", outline["bytes"]);
    let all = format!("\nall feature groups: {}\n", format_bytes(sum as usize));
    assert!(text.contains(&all), "{all} is not in\n{text}");
    let without = AssumedEntities::default();
    assert!(spec.to_json(without)["bytes"].is_null() && !spec.explain(without).contains("all feature groups"));
    let group = &outline["features"][0];
    assert_eq!(group["bytes"].as_i64().unwrap(), group["bytes_per_entity"].as_i64().unwrap() * 1000);
    assert_eq!(outline["models"][0]["inputs"].as_array().unwrap().len(), 26);
}

/// A small edit of a text.
#[derive(Clone, Debug)]
enum Edit {
    Delete(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    Swap(prop::sample::Index, prop::sample::Index),
}

impl Edit {
    fn apply(&self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        match self {
            Edit::Delete(at, count) => {
                let from = at.index(letters.len() + 1).min(letters.len());
                letters.drain(from..(from + count).min(letters.len()));
            }
            Edit::Insert(at, new) => {
                let from = at.index(letters.len() + 1);
                letters.splice(from..from, new.chars());
            }
            Edit::Swap(a, b) => {
                let mut lines: Vec<&str> = text.lines().collect();
                if lines.is_empty() {
                    return text.to_owned();
                }
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                return lines.join("\n");
            }
        }
        letters.into_iter().collect()
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    use prop::sample::Index;
    let piece = prop_oneof![
        "[a-z_]{1,8}",
        "[\\[\\]{}\"'=,.*()\\\\\n?é-]{1,3}",
        prop::sample::select(vec![
            "\"\"\"",
            "null",
            "cast(",
            "group by x",
            "select ",
            "[view.x]\nsql = \"select 1\"\n",
            "windows = [\"1h\"]",
            "0.1",
            "\u{1F980}",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        (any::<Index>(), 1usize..12).prop_map(|(at, count)| Edit::Delete(at, count)),
        (any::<Index>(), piece).prop_map(|(at, new)| Edit::Insert(at, new)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_of_a_file_is_accepted_or_refused_with_places_in_it(
        edits in prop::collection::vec(edit(), 1..4),
        which in 0usize..3,
    ) {
        let start = [flights_text(), fixed(SMALL), PAY.to_owned()][which].clone();
        let text = edits.iter().fold(start, |text, edit| edit.apply(&text));
        if let Err(errors) = spec::parse(&text, "edited.toml") {
            prop_assert!(!errors.problems.is_empty());
            let lines: Vec<&str> = text.split('\n').collect();
            for problem in &errors.problems {
                let LineColumn { line, column } = problem.place.expect("a text has places");
                prop_assert!(line <= lines.len(), "{errors}");
                prop_assert!(column <= lines[line - 1].chars().count() + 1, "{errors}");
            }
        }
    }
}

/// A group of one aggregate.
fn group_of(aggregate: &str) -> (Vec<String>, String) {
    let text = format!(
        r#"
name = "small"

[source.payments]
topic = "payments"
format = "json"
time = "at"
columns = {{ user = "string", method = "string?", amount = "float", fee = {{ type = "float", resolution = 0.01 }}, at = "timestamp" }}

[features.user]
from = "payments"
entity = "user"
aggregate = [{aggregate}]
"#
    );
    let spec = spec::parse(&text, "small.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let group = &spec.groups[0];
    let features = group.features.iter().map(|feature| format!("{} {}", feature.name, feature.ty));
    (features.collect(), spec.group_definition(group))
}

#[test]
fn a_category_is_part_of_the_names_and_types_of_features() {
    let (features, _) =
        group_of(r#"{ of = "method", op = ["mode", "rate"], by = "method", windows = ["1h", "lifetime"] }"#);
    let expected = [
        "method_mode_1h_by_method map<string>",
        "method_rate_1h_by_method map<float>",
        "method_mode_lifetime_by_method map<string>",
        "method_rate_lifetime_by_method map<float>",
    ];
    assert_eq!(features, expected);
    let (features, _) = group_of(r#"{ op = "count", by = "method", as = "paid", windows = ["1h"] }"#);
    assert_eq!(features, ["paid_1h_by_method map<int>"]);
}

#[test]
fn modifiers_change_the_definition_of_a_group() {
    let definitions = [
        r#"{ of = "amount", op = "mean", windows = ["1h"] }"#,
        r#"{ of = "amount", op = "mean", by = "method", windows = ["1h"] }"#,
        r#"{ of = "amount", op = "mean", by = "user", windows = ["1h"] }"#,
        r#"{ of = "amount", op = "mean", current = true, windows = ["1h"] }"#,
        r#"{ of = "amount", op = "mean", default = 0, windows = ["1h"] }"#,
        r#"{ of = "amount", op = "mean", default = 1, windows = ["1h"] }"#,
        r#"{ of = "amount", with = "fee", op = "covariance", windows = ["1h"] }"#,
        r#"{ of = "amount", with = "fee * 1", op = "covariance", windows = ["1h"] }"#,
    ]
    .map(|aggregate| group_of(aggregate).1);
    for (at, definition) in definitions.iter().enumerate() {
        assert!(!definitions[..at].contains(definition), "{at}");
    }
    let same = group_of(r#"{ of = "amount", op = "mean", default = 0.0, windows = ["1h"], as = "paid" }"#).1;
    assert_eq!(same, definitions[4], "a definition has no names, and the values that defaults have");
}

#[test]
fn a_label_that_is_probably_not_meant_is_a_warning() {
    let warnings = |spec: &Spec| spec.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    // Through a view: `seconds` is made from `ms`.
    let [leak] = &warnings(&small(fixed))[..] else { panic!("one warning") };
    let expected = "warning: the label is made from 'ms', as is the input 'seconds', and an instance must contain it; \
                    expected inputs that are known before the label";
    assert!(leak.ends_with(expected), "{leak}");
    let apart = small(|text| {
        fixed(text).replace("value = \"ms + coalesce(user.ms_last_1h, 0)\"", "value = \"user.ms_last_1h\"")
    });
    assert_eq!(warnings(&apart), [""; 0], "a feature that is no input");

    let [open] = &warnings(&flights())[..] else { panic!("one warning") };
    assert!(open.contains("warning: an example without a label within 1d is left out; expected 'otherwise'"), "{open}");
    for decided in [", otherwise = false }", ", learn = \"known\" }", ", learn = \"horizon\" }"] {
        let text = flights_text().replace("within = \"24h\" }", &format!("within = \"24h\"{decided}"));
        let spec = spec::parse(&text, "flights.toml").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(warnings(&spec), [""; 0], "{decided}");
    }
}
