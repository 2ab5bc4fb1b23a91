//! A small dataflow for runs of the program: ten hours of clicks by seven users, one of them malformed.

use std::fs;
use std::path::Path;

const SPEC: &str = r#"
name = "clicks"
[source.clicks]
topic = "clicks"
format = "csv"
key = ["id"]
time = "at"
columns = { id = "string", user = "string", paid = "bool", at = "timestamp" }
[features.user]
from = "clicks"
entity = "user"
aggregate = [{ op = "count", windows = ["1h"] }]
[model.paid]
kind = "logistic"
examples = "clicks"
features = ["user.*"]
label = { value = "paid" }
window = "1h"
"#;

/// The binding of the topic, the beginning of every config.
pub const TOPICS: &str = "[topics.clicks]\nfile = \"clicks.csv\"\n";

/// Writes `clicks.toml` and `clicks.csv`.
pub fn write(folder: &Path) {
    let mut rows = "id,user,paid,at\n".to_owned();
    for at in 0..600 {
        rows += &format!("c{at},u{},{},{}\n", at % 7, at % 3 == 0, 1_577_836_800_000_i64 + at * 60_000);
    }
    rows += "x,u1,maybe,1577836800000\n";
    fs::write(folder.join("clicks.csv"), rows).unwrap();
    fs::write(folder.join("clicks.toml"), SPEC).unwrap();
}
