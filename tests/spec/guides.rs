//! Guides in `docs/guides`: their commands print what they show.
//!
//! The commands and scripts of a guide run one after another in one folder. In what is shown, a line `…` stands for any
//! lines. A run goes on beside the commands after it; its endpoint is on a free port, wherever the guide has it. A
//! block that begins with `# rows: FILE` has the rows of that file, of CSV or Parquet, once the commands have run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill::value::Scalar;

use crate::common::program::Run;

/// The endpoint of a guide.
const ADDRESS: &str = "127.0.0.1:8080";

/// The longest time until a run has read its files.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command and what it prints.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The commands of the blocks ```` ```console ```` and ```` ```python ````.
fn commands(guide: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for block in guide.split("\n```").skip(1).step_by(2) {
        match block.split_once('\n') {
            Some(("console", block)) => add_commands(block, &mut shown),
            Some(("python", block)) => shown.extend(script(block)),
            _ => {}
        }
    }
    shown
}

/// The files whose rows are shown, with these rows.
fn files_of_rows(guide: &str) -> Vec<(String, Vec<String>)> {
    let blocks = guide.split("```text\n# rows: ").skip(1).map(|block| block.split("\n```").next().unwrap());
    blocks
        .map(|block| {
            let mut lines = block.lines().map(str::to_owned);
            (lines.next().unwrap(), lines.collect())
        })
        .collect()
}

/// Returns the rows of a file as lines of CSV, with a header. Nulls are empty.
fn rows(path: &Path) -> Vec<String> {
    if path.extension().is_some_and(|extension| extension == "csv") {
        return fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    }
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut lines = vec![names.join(",")];
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let text = |row, column: &arrow_array::ArrayRef| match Scalar::of(column, row) {
            Scalar::Null => String::new(),
            Scalar::Timestamp(time) => tidemill::time::format_time(time),
            value => value.to_text(),
        };
        let line = |row| batch.columns().iter().map(|column| text(row, column)).collect::<Vec<_>>().join(",");
        lines.extend((0..batch.num_rows()).map(line));
    }
    lines
}

/// Adds the commands of a block ```` ```console ````.
fn add_commands(block: &str, shown: &mut Vec<Shown>) {
    let mut continues = false;
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => shown.push(Shown { command: command.to_owned(), output: Vec::new() }),
            None if continues => shown.last_mut().unwrap().command += &format!("\n{line}"),
            None => shown.last_mut().unwrap().output.push(line.to_owned()),
        }
        continues = line.ends_with('\\');
    }
}

/// The command that runs a block ```` ```python ```` that ends with a comment, which is what it prints. `None` if it
/// does not, or the clients that it imports could not be installed.
fn script(block: &str) -> Option<Shown> {
    block.lines().last().filter(|line| line.starts_with("# "))?;
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    if !clients.join("installed").exists() {
        eprintln!("SKIPPED: tests/setup could not install the Python clients in target/clients: {block}");
        return None;
    }
    let command = format!("{} - <<'END'\n{block}\nEND", clients.join("bin/python").display());
    let comments = block.lines().filter_map(|line| line.strip_prefix("# "));
    Some(Shown { command, output: comments.map(str::to_owned).collect() })
}

/// Returns whether lines are those that are shown.
fn fits(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        Some((first, rest)) => lines.split_first().is_some_and(|(line, lines)| line == first && fits(rest, lines)),
    }
}

/// A folder in which the commands of a guide run.
struct Guide {
    folder: tempfile::TempDir,
    run: Option<Run>,
}

impl Guide {
    fn new() -> Guide {
        let folder = tempfile::tempdir().unwrap();
        for name in ["dataflows", "config", "data"] {
            symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), folder.path().join(name)).unwrap();
        }
        Guide { folder, run: None }
    }

    /// Starts a run and waits until it has read its files.
    fn start(&mut self, command: &str) {
        let mut started = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let arguments = command.split_whitespace().skip(1);
        started.args(arguments).args(["--set", "http.listen=127.0.0.1:0"]).current_dir(self.folder.path());
        let run = Run::start(&mut started);
        let until = Instant::now() + PATIENCE;
        while !run.says("all files are read") {
            assert!(Instant::now() < until, "{command}");
            std::thread::yield_now();
        }
        self.run = Some(run);
    }

    /// Runs a command in a shell that has the program under its name, and returns what it prints.
    ///
    /// # Errors
    /// Its stderr if it fails.
    fn print(&self, command: &str) -> Result<String, String> {
        let address = self.run.as_ref().map(|run| run.connect().peer_addr().unwrap().to_string());
        let mut command = command.to_owned();
        if let Some(address) = address {
            command = command.replace(ADDRESS, &address);
            if command.starts_with("tidemill features get") {
                command += &format!(" --url http://{address}");
            }
        }
        let program = PathBuf::from(env!("CARGO_BIN_EXE_tidemill"));
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-c", &command]).env("PATH", path).current_dir(self.folder.path());
        let output = shell.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Checks what a command prints. Beside a run it is repeated, since the run has read its files, but may still compute.
    fn check(&self, Shown { command, output }: &Shown, path: &Path) {
        let until = Instant::now() + PATIENCE;
        loop {
            let printed = self.print(command);
            let lines: Vec<&str> = printed.as_deref().unwrap_or_default().lines().collect();
            if printed.is_ok() && fits(output, &lines) {
                return;
            }
            let again = self.run.is_some() && Instant::now() < until;
            assert!(again, "{}: $ {command}\n{}", path.display(), printed.unwrap_or_else(|error| error));
        }
    }
}

#[test]
fn the_commands_of_the_guides_print_what_is_shown() {
    let mut guides = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides")).unwrap() {
        let path = entry.unwrap().path();
        let mut guide = Guide::new();
        let text = fs::read_to_string(&path).unwrap();
        for shown in commands(&text) {
            match shown.command.starts_with("tidemill run ") {
                true => guide.start(&shown.command),
                false => guide.check(&shown, &path),
            }
        }
        for (file, shown) in files_of_rows(&text) {
            assert_eq!(rows(&guide.folder.path().join(&file)), shown, "{}: the rows of {file}", path.display());
        }
        guides += 1;
    }
    assert!(guides > 0);
}
