//! The flights with lists and maps among the inputs of their model.

/// A group whose features are lists and maps of every sort, some of which depend on the asking time.
const NESTED: &str = r#"
[features.nested]
from      = "departures"
entity    = "origin"
aggregate = [
  { of = "least(delay, 180)", as = "delay", op = "last_k(3)", windows = ["3h"] },
  { of = "dest", op = ["last_distinct(4)", "histogram(6)"], windows = ["3h"] },
  { of = "least(delay, 180)", as = "mean", op = "mean", windows = ["1d"], by = "carrier" },
  { op = "time_since_last", windows = ["1h"], by = "carrier" },
  { of = "dest", op = "last", windows = ["1h"], by = "carrier" },
  { op = "count", windows = [{ series = 3, step = "1h" }] },
]

[model.late]
"#;

/// The features of the group that are inputs, by name, with the form of their JSON.
pub const NESTED_INPUTS: [(&str, char); 7] = [
    ("nested.delay_last3_3h", '['),
    ("nested.dest_lastdistinct4_3h", '['),
    ("nested.dest_histogram6_3h", '{'),
    ("nested.mean_mean_1d_by_carrier", '{'),
    ("nested.time_since_last_1h_by_carrier", '{'),
    ("nested.dest_last_1h_by_carrier", '{'),
    ("nested.count_series3x1h", '['),
];

/// Returns the text of the shipped dataflow with the group, all of whose features are inputs.
pub fn nested_flights() -> String {
    let flights = std::fs::read_to_string("dataflows/flights.toml").expect("the shipped file");
    let flights =
        flights.replacen("[model.late]", NESTED, 1).replacen("\"service.*\"", "\"service.*\", \"nested.*\"", 1);
    assert!(flights.contains("\"nested.*\""), "the model's inputs have changed");
    flights
}
