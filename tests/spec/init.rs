//! `tidemill init`: whatever a sample has, the dataflow passes `check`, or an error says why there is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::program::Run;

/// Runs the program in a folder.
fn tidemill(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dataflow made from a sample, and what stderr said.
struct Made {
    folder: tempfile::TempDir,
    /// The folder of the sample, if it was written for the test.
    _sample: Option<tempfile::TempDir>,
    name: String,
    said: String,
}

impl Made {
    /// Makes one, which must pass `check` without a warning.
    fn of(sample: &Path, flags: &[&str]) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let output = tidemill(folder.path(), &[&["init", "--sample", sample.to_str().unwrap()], flags].concat());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{}: {said}", sample.display());
        let first = text(&output.stdout).lines().next().unwrap().to_owned();
        let name = Path::new(&first).file_stem().unwrap().to_str().unwrap().to_owned();
        let made = Made { folder, _sample: None, name, said };
        let checked = made.run(&["check"]);
        assert!(checked.status.success(), "{}: {}\n{}", sample.display(), text(&checked.stderr), made.dataflow());
        assert_eq!(text(&checked.stderr), "", "{}", sample.display());
        made
    }

    /// Makes one of a file with this text.
    fn of_text(name: &str, content: impl AsRef<[u8]>, flags: &[&str]) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        Made { _sample: Some(folder), ..Made::of(&path, flags) }
    }

    fn files(&self) -> [String; 2] {
        ["dataflows", "config"].map(|folder| format!("{folder}/{}.toml", self.name))
    }

    fn dataflow(&self) -> String {
        fs::read_to_string(self.folder.path().join(&self.files()[0])).unwrap()
    }

    fn config(&self) -> String {
        fs::read_to_string(self.folder.path().join(&self.files()[1])).unwrap()
    }

    /// Runs a verb on the dataflow and the config.
    fn run(&self, arguments: &[&str]) -> Output {
        let [dataflow, config] = self.files();
        let (verb, flags) = arguments.split_first().unwrap();
        tidemill(self.folder.path(), &[&[verb, &dataflow as &str, "--config", &config], flags].concat())
    }

    /// Checks that the dataflow has these texts, and those that are unsure on stderr.
    fn has(&self, texts: &[&str], unsure: &[&str]) {
        let dataflow = self.dataflow();
        for text in texts {
            assert!(dataflow.contains(text), "{text:?} is not in\n{dataflow}");
        }
        for text in unsure {
            assert!(self.said.contains(&format!("unsure: {text}")), "{text:?} is not in\n{}", self.said);
        }
    }
}

/// Returns what is said of a sample of which there is no dataflow.
fn refused(name: &str, content: impl AsRef<[u8]>, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    let output = tidemill(folder.path(), &[&["init", "--sample", name], flags].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(!folder.path().join("dataflows").exists());
    text(&output.stderr)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_dataflow_is_made_of_every_file_that_is_shipped() {
    let transactions = Made::of(&root().join("data/fraud/transactions.csv.gz"), &[]);
    transactions.has(
        &[
            "time     = \"at\"",
            "[features.customer]",
            "[features.terminal]",
            "[model.fraud]",
            "\"logistic\"",
            "# of two values",
        ],
        &[],
    );
    assert!(!transactions.dataflow().contains("\"transaction\","), "a number of the row is no input");
    let clicks = Made::of(&root().join("data/clicks/clicks.csv.gz"), &["--rows", "2000"]);
    clicks.has(&["the first 2000 records", "lateness = \"5s\"", "[features.user]", "[features.item]"], &[]);
    let ratings = Made::of(&root().join("data/recommender/ratings.csv.gz"), &[]);
    ratings.has(&["epoch = { type = \"timestamp\", unit = \"s\" }", "kind     = \"linear\"", "value = \"stars\""], &[]);
    for name in ["flights/schedule", "flights/departures", "flights/weather", "retail/lines", "retail/purchases"] {
        Made::of(&root().join(format!("data/{name}.csv.gz")), &["--rows", "3000"]);
    }
    for name in ["clicks/orders", "fraud/feedback", "recommender/films", "recommender/users"] {
        Made::of(&root().join(format!("data/{name}.csv.gz")), &[]);
    }
}

#[test]
fn a_run_serves_from_the_dataflow_that_was_made() {
    let made = Made::of(&root().join("data/fraud/transactions.csv.gz"), &[]);
    let [dataflow, config] = made.files();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", &dataflow, "--config", &config, "--set", "http.listen=127.0.0.1:0"]);
    let run = Run::start(command.current_dir(made.folder.path()));
    let until = Instant::now() + Duration::from_secs(120);
    // Windows may be learnt after the files are read.
    while !run.says("all files are read") || !run.get("/models/fraud/scores?metric=auc").contains("\"champion\":0.") {
        assert!(Instant::now() < until, "{}", run.get("/models/fraud/scores?metric=auc"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let vector = run.get("/features/customer/9");
    assert!(vector.contains("200 OK") && vector.contains("\"count_"), "{vector}");
    // The example of a request, which `run` prints, is answered.
    assert!(run.says("Request a prediction"));
}

#[test]
fn times_are_found_in_every_unit_and_layout() {
    for (times, written) in [
        (["1706688000", "1706688001"], "unit = \"s\""),
        (["1706688000000", "1706688000250"], "unit = \"ms\""),
        (["1706688000000000", "1706688000250000"], "unit = \"us\""),
        (["2024-01-31T08:00:00+01:00", "2024-01-31T09:00:00Z"], "created_at = \"timestamp\""),
        (["31/01/2024 08:00", "31/01/2024 09:30"], "time_format = \"%d/%m/%Y %H:%M\""),
        (["01/31/2024 8:05:09 AM", "01/31/2024 8:05:09 PM"], "time_format = \"%m/%d/%Y %I:%M:%S %p\""),
        (["20240131", "20240201"], "time_format = \"%Y%m%d\""),
    ] {
        let csv = format!("user,created_at,amount\nu1,{},1.5\nu1,{},2\n", times[0], times[1]);
        let made = Made::of_text("events.csv", csv, &[]);
        made.has(&["time     = \"created_at\"", written], &[]);
        let replayed = made.run(&["replay", "--out", "out"]);
        let printed = text(&replayed.stdout);
        assert!(printed.contains("events: 2 read, 2 applied"), "{times:?}: {printed}{}", text(&replayed.stderr));
    }
    let ambiguous = Made::of_text("events.csv", "at,x\n01/02/2024,1\n02/02/2024,2\n", &[]);
    ambiguous.has(&["Unsure: the texts may also be times of"], &["column at: the texts may also be times of"]);
    let counted = Made::of_text("table.csv", "seq,x1,label\n0,1.5,0\n1,2.5,1\n2,0.5,0\n", &[]);
    counted.has(
        &["time     = \"to_timestamp(seq)\"", "[model.label]"],
        &["time = to_timestamp(seq): no column is a time"],
    );
}

#[test]
fn awkward_files_are_read_as_far_as_they_can_be() {
    let mark = Made::of_text("mark.csv", b"\xef\xbb\xbfat,x\n2024-01-31,1\n", &[]);
    mark.has(&["at = \"timestamp\"", "x  = \"int\""], &[]);
    let nulls = Made::of_text("nulls.csv", "at,x,code\n2024-01-31,1,NA\n2024-02-01,NA,b\n", &[]);
    nulls.has(&["x    = \"int?\"", "code = \"string?\""], &[]);
    assert!(nulls.config().contains("nulls = [\"\", \"NA\"]"), "{}", nulls.config());
    let twice = Made::of_text("twice.csv", "at,x,x,\n2024-01-31,1,2,3\n", &[]);
    let left_out = |column: u32, other: u32| format!("column {column} is left out: column {other} has the same name");
    twice.has(&[], &[&left_out(2, 3), &left_out(3, 2), "column 4 is left out: it has no name"]);
    let names =
        Made::of_text("names.csv", "_time,Total Amount,a.b,order,end\n2024-01-31,1,2,3,4\n2024-02-01,2,3,4,5\n", &[]);
    names.has(
        &["time         = { type = \"timestamp\", path = \"_time\" }", "path = \"Total Amount\"", "path = [\"a.b\"]"],
        &[],
    );
    let mixed = Made::of_text(
        "mixed.jsonl",
        "{\"at\": \"2024-01-31\", \"x\": 1, \"pay\": {\"amount\": 2.5}, \"tags\": [1]}\n\n{\"at\": \"2024-02-01\", \"x\": \"one\"}\nnone\n",
        &[],
    );
    mixed.has(
        &["amount = { type = \"float?\", path = \"pay.amount\" }"],
        &["column x: 1 of 2 values are not", "\"tags\" is left out", "1 records cannot be read"],
    );
    let late = Made::of_text("late.csv", "at,x\n2024-01-31,1\n2024-01-01,2\n2024-01-15,3\n", &[]);
    late.has(&[], &["lateness: the records are not in order of time"]);
    let missing = Made::of_text("missing.csv", "at,x\n2024-01-31,1\n,2\n", &[]);
    missing.has(&["at = \"timestamp\" "], &["time = at: 1 records without a time become dead letters"]);
}

#[test]
fn columns_that_are_named_are_taken() {
    let csv = "when,who,what,much,good\n2024-01-31,1,a,1.5,yes\n2024-02-01,2,b,2.5,no\n2024-02-02,1,a,3.5,yes\n";
    let made = Made::of_text(
        "events.csv",
        csv,
        &["--entity", "who,what", "--entity", "what", "--label", "good", "--name", "mine"],
    );
    made.has(
        &["name = \"mine\"", "entity    = [\"who\", \"what\"]", "[features.what]", "[model.good]", "\"softmax\""],
        &[],
    );
    for (flags, said) in [
        (
            ["--time", "wen"],
            "--time: the sample has no column \"wen\"; expected one of when, who, what, much, good; did you mean when?",
        ),
        (["--time", "what"], "--time: \"what\" is of type string"),
        (["--entity", "much"], "--entity: \"much\" is of type float"),
        (["--label", "when"], "--label: \"when\" is of type timestamp"),
    ] {
        let stderr = refused("events.csv", csv, &flags);
        assert!(stderr.contains(said), "{flags:?}: {stderr}");
    }
}

#[test]
fn a_sample_of_which_there_is_no_dataflow_is_refused_with_the_reason() {
    for (name, content, said) in [
        ("empty.csv", "", "is empty; expected a header and records"),
        ("header.csv", "at,x\n", "the sample has no records"),
        ("values.csv", "2024-01-31,1\n2024-02-01,2\n", "its first line has only numbers and times"),
        ("again.csv", "UA,2024-01-31\nUA,2024-02-01\n", "its first line has \"UA\", which is a value further down"),
        ("airports.csv", "faa,name,lat\n04G,Lansdowne,41.1\n06A,Moton,32.4\n", "no column of the sample is a time"),
        (
            "none.jsonl",
            "[1]\n2\n",
            "the sample has no records that can be read (2 cannot; the first: it is not an object of JSON)",
        ),
        ("broken.parquet", "PAR1", "broken.parquet"),
        ("events.xml", "<a/>", "unknown extension; expected one of .csv, .jsonl, .parquet"),
    ] {
        let stderr = refused(name, content, &[]);
        assert!(stderr.contains(said), "{name}: {stderr}");
    }
}

/// Clicks with fields that have every separator, and quotes.
fn separated(separator: char) -> String {
    let mut content = String::new();
    let fields = |fields: [String; 4]| {
        let quoted = fields.map(|field| match field.contains([separator, '"', '\n']) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field,
        });
        quoted.join(&separator.to_string()) + "\n"
    };
    content += &fields(["at", "user", "price, in EUR", "bought"].map(str::to_owned));
    let texts = ["a,b", "c;d", "e\tf", "g|h", "i \"j\" k", "l\nm"];
    for n in 0..300 {
        let at = format!("2024-01-{:02}T{:02}:00:00Z", n / 24 + 1, n % 24);
        let price = format!("{}.{}", n * 7 % 90, n % 10);
        content += &fields([at, texts[n * n % 6].to_owned(), price, (n % 3 == 0).to_string()]);
    }
    content
}

#[test]
fn files_with_every_separator_make_the_same_dataflow_with_the_same_results() {
    let digest = |separator: char, name: &str| {
        let made = Made::of_text(name, separated(separator), &["--entity", "user", "--name", "clicks"]);
        let replayed = made.run(&["replay", "--out", "out"]);
        assert!(replayed.status.success(), "{separator:?}: {}", text(&replayed.stderr));
        let digest = fs::read_to_string(made.folder.path().join("out/digest.json")).unwrap();
        let checked = text(&made.run(&["check", "--json"]).stdout);
        let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
        (digest, checked["sources"][0]["separator"].clone(), made)
    };
    let (expected, default, made) = digest(',', "clicks.csv");
    assert_eq!(default, ",");
    assert!(!made.dataflow().contains("separator"), "{}", made.dataflow());
    assert!(expected.contains("\"applied\": 300") || expected.contains("\"applied\":300"), "{expected}");
    for (separator, written) in
        [(';', r#"separator = ";""#), ('\t', r#"separator = "\t""#), ('|', r#"separator = "|""#)]
    {
        let (found, told, made) = digest(separator, "clicks.csv");
        assert_eq!((told, found), (separator.to_string().into(), expected.clone()), "{separator:?}");
        made.has(&[written], &[]);
        assert!(text(&made.run(&["check"]).stdout).contains("CSV separated by"));
        // Without the key, what is wrong is said.
        let dataflow = made.folder.path().join(&made.files()[0]);
        fs::write(&dataflow, made.dataflow().replace(written, "")).unwrap();
        let wrong = made.run(&["check"]);
        let said = text(&wrong.stderr);
        assert!(
            wrong.status.code() == Some(2) && said.contains(written) && said.contains("has no column \"at\""),
            "{said}"
        );
    }
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), "at,x\n2024-01-31,1\n").unwrap();
    assert!(tidemill(folder.path(), &["init", "--sample", "a.csv"]).status.success());
    let dataflow = folder.path().join("dataflows/a.toml");
    fs::write(&dataflow, "mine").unwrap();
    fs::remove_file(folder.path().join("config/a.toml")).unwrap();
    let again = tidemill(folder.path(), &["init", "--sample", "a.csv"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("dataflows/a.toml exists already"), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(&dataflow).unwrap(), "mine");
    assert!(!folder.path().join("config/a.toml").exists());
    let other = tidemill(folder.path(), &["init", "--sample", "a.csv", "--name", "b", "--json"]);
    let written: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!(written["dataflow"], "./dataflows/b.toml");
    assert_eq!((&written["time"], &written["columns"][1]["type"]), (&"at".into(), &"int".into()));
}

#[test]
fn the_examples_of_a_replay_are_a_sample_in_parquet() {
    let made = Made::of(&root().join("data/fraud/transactions.csv.gz"), &["--rows", "3000"]);
    let replayed = made.run(&["replay", "--out", "out"]);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    let again = Made::of(&made.folder.path().join("out/examples/fraud.parquet"), &["--rows", "2000"]);
    again.has(&["path = \"_time\"", "type = \"timestamp\""], &[]);
}
