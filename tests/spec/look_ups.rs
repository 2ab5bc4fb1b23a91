//! Look-ups of groups by columns of other names than those of the entity.

use std::fmt::Write;
use std::fs::File;
use std::process::Command;

use arrow_array::Array;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill::spec;

/// Payments. The group `received` is looked up by the account that pays; `renamed` is the same group over a view in which
/// the entity has the name of that column.
const PAYS: &str = r#"
name = "pays"

[source.pays]
topic = "pays"
format = "json"
time = "at"
columns = { source = "string", target = "string", x = "float", at = "timestamp" }

[view.turned]
sql = "SELECT target AS source, source AS target, x, at FROM pays"

[features.received]
from = "pays"
entity = "target"
aggregate = [{ of = "x", op = ["sum", "count"], windows = ["1h"] }]

[features.renamed]
from = "turned"
entity = "source"
aggregate = [{ of = "x", op = ["sum", "count"], windows = ["1h"] }]

[features.back]
from = "pays"
entity = ["source", "target"]
aggregate = [{ of = "x", op = "sum", windows = ["1h"] }]

[features.turned_pair]
from = "turned"
entity = ["source", "target"]
aggregate = [{ of = "x", op = "sum", windows = ["1h"] }]

[model.m]
kind = "linear"
examples = "pays"
features = [
  { group = "received", on = { target = "source" } },
  "renamed.*",
  { group = "back", on = { source = "target", target = "source" }, features = "x_sum_1h" },
  "turned_pair.*",
]
label = { value = "x" }
window = "1d"
"#;

#[test]
fn check_shows_by_which_columns_a_group_is_looked_up() {
    let text = spec::parse(PAYS, "pays.toml").unwrap().explain(Default::default());
    assert!(text.contains("look-up of received by target = source: 2 of 2 features"), "{text}");
    assert!(text.contains("look-up of renamed by source: 2 of 2 features"), "{text}");
    assert!(text.contains("look-up of back by source = target, target = source: 1 of 1 features"), "{text}");
}

#[test]
fn the_columns_of_a_look_up_are_a_part_of_the_definition_of_a_model() {
    let definition = |text: &str| {
        let spec = spec::parse(text, "pays.toml").unwrap();
        spec.model_definition(&spec.models[0])
    };
    let equal = PAYS.replace("on = { target = \"source\" }", "on = { target = \"target\" }");
    let plain = PAYS.replace("{ group = \"received\", on = { target = \"source\" } }", "\"received.*\"");
    assert_eq!(definition(&equal), definition(&plain));
    assert_ne!(definition(PAYS), definition(&plain));
}

#[test]
fn a_look_up_by_another_column_is_that_of_a_view_which_renames_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "source,target,x,at\n".to_owned();
    for number in 0_i64..500 {
        let (source, target) = (number * 7 % 5, number * 11 % 4);
        writeln!(rows, "a{source},a{target},{},{}", number % 13, 1_577_836_800_000 + number * 90_000).unwrap();
    }
    let config = "[topics.pays]\nfile = \"pays.csv\"\n";
    for (name, text) in [("pays.csv", rows.as_str()), ("pays.toml", PAYS), ("config.toml", config)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut replay = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    replay.args(["replay", "pays.toml", "--config", "config.toml", "--out", "out", "--workers", "2"]);
    let output = replay.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let file = File::open(folder.path().join("out/examples/m.parquet")).unwrap();
    let mut seen = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{:?}", batch.schema())).clone();
        for [one, other] in [
            ["received.x_sum_1h", "renamed.x_sum_1h"],
            ["received.x_count_1h", "renamed.x_count_1h"],
            ["back.x_sum_1h", "turned_pair.x_sum_1h"],
        ] {
            assert_eq!(&column(one), &column(other), "{one}");
            seen += column(one).len() - column(one).null_count();
        }
    }
    assert!(seen > 500, "{seen}");
}
