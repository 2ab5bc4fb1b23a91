//! `tidemill test`: the blocks of the shipped dataflows, and what is said of one that fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const DATAFLOW: &str = r#"
name = "shops"
[source.sales]
topic = "sales"
format = "json"
key = "id"
time = "at"
lateness = "1m"
where = "price >= 0"
columns = { id = "string", item = "int", price = "float", note = "string?", at = "timestamp" }
[table.items]
topic = "items"
format = "json"
key = "item"
time = "at"
columns = { item = "int", shop = "string?", at = "timestamp" }
[view.sold]
sql = "SELECT s.price, s.note, i.shop FROM sales s JOIN items i ON i.item = s.item WHERE s.price < 1000"
[features.shop]
from = "sold"
entity = "shop"
aggregate = [
  { of = "price", op = ["sum", "mean", "last_k(2)"], windows = ["1h"] },
  { op = "time_since_last", windows = ["1h"] },
  { expr = "price_sum_1h / time_since_last_1h", as = "pace" },
  MORE
]
"#;

/// The dataflow with a further window, which no record is too late for.
fn endless() -> String {
    DATAFLOW.replace("MORE", "{ of = \"note\", op = \"histogram(5)\", windows = [\"lifetime\"] },")
}

const RECORDS: &str = r#"
records.items = [
  { item = 1, shop = "a b", at = "2024-01-01T00:00:00Z" },
  { item = 2, shop = "c", at = "2024-01-01T00:00:00Z" },
  { item = 2, at = "2024-01-01T10:30:00Z", _deleted = true },
]
records.sales = [
  { id = "1", item = 1, price = 1, note = "x", at = "2024-01-01T10:00:00Z" },
  { id = "2", item = 2, price = 2.5, note = "y", at = "2024-01-01T10:20:00Z" },
  { id = "3", item = 1, price = 0.1, note = "x", at = "2024-01-01T10:19:30Z" },
  { id = "4", item = 2, price = 4, at = "2024-01-01T10:31:00Z" },
  { id = "5", item = 1, price = 2000, at = "2024-01-01T10:32:00Z" },
  { id = "6", item = 1, price = -1, at = "2024-01-01T10:33:00Z" },
]
"#;

fn test(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shops.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["test", "shops.toml"]).args(arguments).current_dir(folder.path()).output().unwrap()
}

/// Returns the exit code, stdout and stderr.
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_tests_of_the_shipped_dataflows_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("dataflows")).unwrap() {
        let path = entry.unwrap().path();
        let output = Command::new(env!("CARGO_BIN_EXE_tidemill")).arg("test").arg(&path).output().unwrap();
        let (code, printed, errors) = said(&output);
        assert_eq!((code, errors.as_str()), (0, ""), "{}: {printed}", path.display());
        assert!(printed.lines().count() > 0 && printed.lines().all(|line| line.starts_with("ok    ")), "{printed}");
    }
}

#[test]
fn a_test_has_the_features_of_views_tables_and_filters_on_any_number_of_workers() {
    let block = r#"
[[test]]
name = "a"
NEWEST
[[test]]
name = "as of a time"
at = "2024-01-01T10:20:00Z"
NEWEST
"#;
    let (newest, earlier) = (
        r#"
[test.expect]
"shop/a%20b" = { price_sum_1h = 1.1, price_last2_1h = [1, 0.1], note_histogram5_lifetime = { x = 2 }, time_since_last_1h = 810.001, pace = 0.001358023014786402 }
"shop/c" = { price_sum_1h = 2.5, price_mean_1h = 2.5, note_histogram5_lifetime = { y = 1 } }
[test.expect_null]
"shop/nowhere" = ["price_mean_1h", "price_last2_1h", "pace"]
"#,
        r#"
expect = { "shop/a%20b" = { price_last2_1h = [1.0, 0.1], time_since_last_1h = 30, pace = 0.03666666666666667 }, "shop/c" = {} }
expect_null = { "shop/c" = ["price_sum_1h", "time_since_last_1h", "pace"] }
"#,
    );
    let block = block.replacen("NEWEST", &format!("{RECORDS}{newest}"), 1);
    let block = block.replacen("NEWEST", &format!("{RECORDS}{earlier}"), 1);
    for workers in ["1", "2", "3"] {
        let output = test(&(endless() + &block), &["--workers", workers]);
        assert_eq!(said(&output), (0, "ok    a\nok    as of a time\n".to_owned(), String::new()));
    }
}

#[test]
fn a_test_that_fails_shows_what_was_expected_and_got_with_the_records() {
    let block = "
[[test]]
name = \"wrong\"
records.items = [{ item = 1, shop = \"a\", at = 0 }]
records.sales = [
  { id = \"1\", item = 1, price = 1, at = 10_000_000 },
  { id = \"2\", item = 1, price = 2, at = 10 },
]
expect = { \"shop/a\" = { price_sum_1h = 2, price_last2_1h = [1.0] } }
expect_null = { \"shop/a\" = [\"price_mean_1h\"] }
[[test]]
name = \"right\"
records.sales = [{ id = \"1\", item = 1, price = 1, at = 10 }]
expect_null = { \"shop/a\" = [\"price_sum_1h\"] }
";
    let text = DATAFLOW.replace("MORE", "") + block;
    let line = text.lines().position(|line| line == "[[test]]").unwrap() + 1;
    let (code, printed, errors) = said(&test(&text, &[]));
    let expected = format!(
        "FAIL  wrong (shops.toml:{line})
      the record of line {late} is a dead letter, too_late: 1970-01-01T00:00:00.010Z is 9939990 ms behind the watermark: nothing could still hold it
      shop/a price_sum_1h: expected 2.0, got 1.0
      shop/a price_mean_1h: expected null, got 1.0
      from the records
        sales:{first} {{\"at\":10000000,\"id\":\"1\",\"item\":1,\"price\":1}}
        sales:{late} {{\"at\":10,\"id\":\"2\",\"item\":1,\"price\":2}}
        items:{items} {{\"at\":0,\"item\":1,\"shop\":\"a\"}}
ok    right
",
        items = line + 2,
        first = line + 4,
        late = line + 5,
    );
    assert_eq!((code, printed.as_str(), errors.as_str()), (1, expected.as_str(), "error: 1 of 2 tests failed\n"));
    let (code, printed, errors) = said(&test(&text, &["--name", "right"]));
    assert_eq!((code, printed.as_str(), errors.as_str()), (0, "ok    right\n", ""));
    let (code, printed, errors) = said(&test(&text, &["--name", "rigth"]));
    let hint = "error: --name: shops.toml has no test \"rigth\"; did you mean \"right\"?\n";
    assert_eq!((code, printed.as_str(), errors.as_str()), (2, "", hint));
    let (code, printed, errors) = said(&test(&text, &["--name", "right", "-q"]));
    assert_eq!((code, printed.as_str(), errors.as_str()), (0, "", ""));
}

#[test]
fn a_file_without_tests_is_wrong_usage_and_definitions_do_not_depend_on_tests() {
    let plain = endless();
    let (code, _, errors) = said(&test(&plain, &[]));
    assert_eq!((code, errors.as_str()), (2, "error: shops.toml has no tests; expected blocks under [[test]]\n"));
    let block = "[[test]]\nname = \"a\"\nrecords.sales = [{ id = \"1\", item = 1, price = 1, at = 10 }]\nexpect = {}\n";
    let hash = |text: &str| tidemill::spec::parse(text, "shops.toml").unwrap().definition();
    assert_eq!(hash(&plain), hash(&(plain.clone() + block)));
}

#[test]
fn features_of_features_are_tested_like_any_other() {
    let text = DATAFLOW.replace("  MORE\n", "")
        + r#"
[view.rated]
sql = "SELECT s.note, s.price / g.price_mean_1h AS relative FROM sold s LEFT JOIN shop g ON g.shop = s.shop"

[features.note]
from = "rated"
entity = "note"
aggregate = [{ of = "relative", op = ["max", "count"], windows = ["1d"] }]

[[test]]
name = "relative to the mean of the shop"
records.items = [{ item = 1, shop = "a", at = "2024-01-01T00:00:00Z" }]
records.sales = [
  { id = "1", item = 1, price = 2, note = "x", at = "2024-01-01T10:00:00Z" },
  { id = "2", item = 1, price = 3, note = "x", at = "2024-01-01T10:10:00Z" },
  { id = "3", item = 1, price = 10, note = "x", at = "2024-01-01T10:20:00Z" },
]
expect = { "note/x" = { relative_max_1d = 4, relative_count_1d = RIGHT } }
"#;
    let (code, out, err) = said(&test(&text.replace("RIGHT", "2"), &["--workers", "2"]));
    assert_eq!((code, out.as_str()), (0, "ok    relative to the mean of the shop\n"), "{err}");
    let (code, out, _) = said(&test(&text.replace("RIGHT", "3"), &[]));
    assert!(code == 1 && out.contains("relative_count_1d"), "{out}");
}
