//! Windows in dataflow files: the names of their features, what the plan says of them, and which of them are the same.

use tidemill::aggregate::{Feature, FeatureType};
use tidemill::spec::{self, AssumedEntities, Spec};
use tidemill::value::{Scalar, Type};

/// A file with an aggregate.
fn file(aggregate: &str) -> String {
    format!(
        r#"
name = "windows"

[source.payments]
topic = "payments"
format = "json"
time = "at"
columns = {{ user = "string", amount = "float", at = "timestamp" }}

[features.user]
from = "payments"
entity = "user"
aggregate = [{aggregate}]
"#
    )
}

fn checked(aggregate: &str) -> Spec {
    spec::parse(&file(aggregate), "windows.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// A window of each kind.
const KINDS: &str = r#"[
    "3h", { sliding = "1d", hop = "1ms" }, { tumbling = "1h" }, { cumulative = "1d", offset = "-5h" },
    { session = "30m" }, { session = "1.5h", max = "12h" }, "lifetime", "last 10",
    { series = 7, step = "1d" }, { series = 24, step = "1h", hop = "30m" },
]"#;

#[test]
fn names_end_in_the_window_and_in_its_lag() {
    let spec = checked(&format!(r#"{{ of = "amount", op = "sum", windows = {KINDS}, lag = "7d" }}"#));
    let names: Vec<&str> = spec.groups[0].features.iter().map(|feature| feature.name.as_str()).collect();
    let expected = [
        "3h",
        "1d",
        "tumbling1h",
        "cumulative1d",
        "session30m",
        "session90m",
        "lifetime",
        "last10",
        "series7x1d",
        "series24x1h",
    ];
    assert_eq!(names, expected.map(|window| format!("amount_sum_{window}_lag7d")));
}

#[test]
fn the_plan_has_the_records_and_the_cost_of_each_window() {
    let plan = checked(&format!(r#"{{ of = "amount", op = "sum", windows = {KINDS} }}"#)).explain(Default::default());
    for line in [
        "window tumbling 1h of sum: at most 2 panes, ",
        "window cumulative 1d of sum: offset -5h, at most 1 panes, ",
        "window session 30m of sum: ",
        "window session 90m of sum: max 12h, ",
        "window last 10 of sum: at most 10 records, ",
        "window series of 7 times 1d of sum: hop 1h, at most 170 panes, ",
        "list<float>  sum of amount, each of the last 7 times 1d",
    ] {
        assert!(plan.contains(line), "{line:?} is not in\n{plan}");
    }
    let lagged = checked(r#"{ of = "amount", op = "sum", windows = ["1h"], lag = "7d" }"#).explain(Default::default());
    assert!(lagged.contains("the last 1h, as of 7d before"), "{lagged}");
    assert!(lagged.contains(" for each record of the last 7d"), "{lagged}");
}

#[test]
fn the_plan_as_data_has_the_properties_of_each_window() {
    let json = checked(&format!(r#"{{ of = "amount", op = "sum", windows = {KINDS}, lag = "1s" }}"#))
        .to_json(Default::default());
    let features = json["features"][0]["features"].as_array().expect("a list");
    let windows: Vec<String> = features.iter().map(|feature| feature["window"].to_string()).collect();
    assert!(windows[2].contains(r#""tumbling_ms":3600000"#), "{windows:?}");
    assert!(windows[3].contains(r#""offset_ms":-18000000"#), "{windows:?}");
    assert!(windows[5].contains(r#""max_ms":43200000"#), "{windows:?}");
    assert!(windows[7].contains(r#""last":10"#), "{windows:?}");
    assert!(windows[9].contains(r#""hop_ms":1800000"#), "{windows:?}");
    assert!(windows.iter().all(|window| window.contains(r#""lag_ms":1000"#)), "{windows:?}");
}

#[test]
fn windows_of_different_records_have_different_definitions() {
    let of = |windows: &str| {
        let spec = checked(&format!(r#"{{ of = "amount", op = "sum", windows = [{windows}] }}"#));
        spec.group_definition(&spec.groups[0])
    };
    let windows = [
        r#""1d""#,
        r#"{ tumbling = "1d" }"#,
        r#"{ tumbling = "1d", offset = "1h" }"#,
        r#"{ cumulative = "1d" }"#,
        r#"{ session = "1d" }"#,
        r#"{ session = "1d", max = "2d" }"#,
        r#""last 1""#,
        r#"{ series = 1, step = "1d" }"#,
    ];
    let mut definitions = windows.map(of).to_vec();
    definitions.sort_unstable();
    definitions.dedup();
    assert_eq!(definitions.len(), windows.len());
    let moved = |offset: &str| of(&format!(r#"{{ cumulative = "1d", offset = "{offset}" }}"#));
    assert_eq!(moved("-5h"), moved("19h"), "of the same records");
}

#[test]
fn panes_for_requests_are_of_the_state_of_a_group_and_of_no_model_that_reads_it() {
    let line = r#"{ of = "amount", op = ["sum", "max"], windows = ["3h", "1d", "lifetime"] }"#;
    let model = "[model.m]\nkind = \"linear\"\nexamples = \"payments\"\nfeatures = [\"user.*\"]\n\
                 label = { value = \"amount\" }\nwindow = \"1d\"\n";
    let plain = format!("{}{model}", file(line));
    let kept = plain.replace("entity = \"user\"", "entity = \"user\"\nrequest_windows = true");
    let [plain, kept] = [plain, kept].map(|text| spec::parse(&text, "windows.toml").unwrap());
    assert_ne!(plain.group_definition(&plain.groups[0]), kept.group_definition(&kept.groups[0]));
    assert_ne!(plain.definition(), kept.definition(), "a checkpoint of the one is none of the other");
    assert_eq!(plain.model_definition(&plain.models[0]), kept.model_definition(&kept.models[0]));
    let plan = kept.explain(Default::default());
    assert!(plan.contains("window 1d of sum, max: hop 1h, panes with vectors, at most "), "{plan}");
    assert!(plan.contains("window 3h of sum, max: hop 5m, panes with vectors, at most "), "{plan}");
    let bytes = |spec: &Spec| spec.groups[0].bytes_per_entity(AssumedEntities::default().load());
    assert!(bytes(&kept) > bytes(&plain), "the panes are copied beside the vector");
    let of_model = |spec: &Spec| spec.to_json(Default::default())["models"][0].clone();
    assert_eq!(of_model(&plain), of_model(&kept));
}

#[test]
fn a_window_of_more_panes_than_fit_any_memory_has_an_estimate() {
    let windows =
        r#"[{ sliding = "36500d", hop = "1ms" }, { series = 1000, step = "36500d", hop = "1ms" }, "last 1000"]"#;
    for op in ["sum", "distinct", "last_k(100)", "quantile(0.5)", "decayed_sum(\"1h\")"] {
        let of = format!(r#"{{ of = "amount", op = {op:?}, windows = {windows} }}"#);
        let of = if op == "sum" { of } else { of.replace(r#"{ series = 1000, step = "36500d", hop = "1ms" }, "#, "") };
        let spec = checked(&of);
        let plan = spec.explain(AssumedEntities { entities: Some(u64::MAX), records: *AssumedEntities::BOUNDS.end() });
        assert!(plan.contains(" TiB for 18446744073709551615 entities"), "{plan}");
    }
}

#[test]
fn a_series_of_an_entity_without_records_has_an_empty_answer_for_each_step() {
    let spec = checked(r#"{ of = "amount", op = ["sum", "count", "rate"], windows = [{ series = 3, step = "1d" }] }"#);
    let types: Vec<FeatureType> = spec.groups[0].features.iter().map(|feature| feature.ty).collect();
    assert_eq!(types, [Type::Float, Type::Int, Type::Float].map(FeatureType::List));
    let plan = tidemill::flow::Plan::new(std::sync::Arc::new(spec));
    let list = |value: Scalar| Feature::List(vec![value; 3].into());
    assert_eq!(plan.groups[0].layout.empty(), [Scalar::Null, Scalar::Int(0), Scalar::Float(0.0)].map(list));
}
