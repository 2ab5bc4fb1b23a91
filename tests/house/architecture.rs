//! `docs/architecture.md`: the way of one event and the way of one request, a file a step.
//!
//! Each step must name a file that exists, an item that the file declares and a type that one end of its edge names, and
//! be reached from the steps before it ([`reaches`]). A way must stay short: [`MOST_FILES`] files, [`MOST_RETURNS`]
//! returns to a file already left. The drawings beside the tables are generated from them; `UPDATE_GOLDEN=1` rewrites
//! them. The places of `docs/glossary.md` are checked too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::docs::{read, root, rows, section};
use super::tokens::Source;
use super::tree::report;

const DOCUMENT: &str = "docs/architecture.md";

/// Headings of the two ways, with the drawing of each.
const WAYS: [(&str, &str); 2] = [("## One event", "docs/event.svg"), ("## One request", "docs/request.svg")];

const MOST_FILES: usize = 12;
const MOST_RETURNS: usize = 2;

/// Type names at edges that other crates declare.
const FOREIGN: [&str; 5] = ["Request", "Response", "Incoming", "Bytes", "RecordBatch"];

/// A row of a way's tables.
struct Step {
    /// The number of the step, or of the one that calls it.
    number: usize,
    file: String,
    item: String,
    /// The code spans of the last cell: what the step passes on. `None` of a file that a step calls.
    edge: Option<String>,
}

impl Step {
    /// The name of its item, without the type.
    fn name(&self) -> &str {
        self.item.rsplit("::").next().expect("a split has a last part")
    }

    /// Returns whether a source names the item, with its type if it has one.
    fn is_called_by(&self, source: &Source) -> bool {
        self.item.split("::").all(|part| names(source, part))
    }
}

/// The rows of the two tables of a way: its steps, and the files that they call.
fn tables(text: &str, heading: &str) -> (Vec<Step>, Vec<Step>) {
    let code = |cell: &str| cell.trim_matches('`').to_owned();
    let step = |row: &Vec<&str>| {
        let edge = row.get(4).map(|edge| (*edge).to_owned());
        Some(Step { number: row[0].parse().ok()?, file: code(row[1]), item: code(row[2]), edge })
    };
    rows(section(text, heading)).iter().filter_map(step).partition(|step: &Step| step.edge.is_some())
}

fn way(heading: &str) -> Vec<Step> {
    tables(&read(DOCUMENT), heading).0
}

/// Reads sources of the project, each once.
#[derive(Default)]
struct Sources(BTreeMap<String, Source>);

impl Sources {
    fn get(&mut self, file: &str) -> Option<&Source> {
        if !self.0.contains_key(file) {
            let text = fs::read_to_string(root().join(file)).ok()?;
            self.0.insert(file.to_owned(), Source::new(file, &text));
        }
        self.0.get(file)
    }
}

fn source(file: &str) -> Source {
    Source::new(file, &fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// Returns whether a file declares `name`: a function, or a type, trait or static.
fn declares(source: &Source, name: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "type", "static", "const"];
    source.tokens.windows(2).any(|two| kinds.contains(&two[0].1.as_str()) && two[1].1 == name)
}

fn names(source: &Source, name: &str) -> bool {
    source.tokens.iter().any(|(_, token)| token == name)
}

/// The capitalised names in the code spans of a cell.
fn types(edge: &str) -> Vec<&str> {
    let code = edge.split('`').skip(1).step_by(2);
    let words = code.flat_map(|code| code.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
    words.filter(|word| word.starts_with(char::is_uppercase) && !["Arc", "Vec", "Option"].contains(word)).collect()
}

/// Counts the steps that go back to a file that an earlier step, other than the one before, was in.
fn returns(files: &[&str]) -> usize {
    (1..files.len()).filter(|at| files[*at] != files[at - 1] && files[..*at].contains(&files[*at])).count()
}

#[test]
fn every_step_names_a_file_an_item_and_a_type_that_exist_and_is_reached() {
    let text = read(DOCUMENT);
    report(WAYS.iter().flat_map(|(heading, _)| wrong_steps(&text, heading)).collect());
}

/// The mistakes in the tables of a way.
fn wrong_steps(text: &str, heading: &str) -> Vec<String> {
    let ((steps, called), mut sources) = (tables(text, heading), Sources::default());
    let mut wrong = Vec::new();
    for step in steps.iter().chain(&called) {
        let Some(here) = sources.get(&step.file) else {
            wrong.push(format!("there is no {}", step.file));
            continue;
        };
        if !step.is_called_by(here) || !declares(here, step.name()) {
            wrong.push(format!("{} does not declare {}", step.file, step.item));
        }
    }
    if wrong.is_empty() {
        for (at, next) in steps.iter().enumerate().skip(1) {
            wrong.extend(wrong_edge(&steps[..at], next, &mut sources));
        }
        for call in &called {
            let others = called.iter().filter(|other| other.number == call.number && other.item != call.item);
            let callers = steps.iter().filter(|step| step.number == call.number).chain(others);
            let files: Vec<&str> = callers.map(|caller| caller.file.as_str()).collect();
            if !files.iter().any(|file| names(sources.get(file).expect("it was read"), call.name())) {
                wrong.push(format!("step {} does not name {}", call.number, call.item));
            }
        }
    }
    wrong
}

/// The mistakes in the edge from the last of some steps to the next one.
fn wrong_edge(before: &[Step], next: &Step, sources: &mut Sources) -> Vec<String> {
    let last = before.last().expect("an edge has a beginning");
    let mut read = |file: &str| sources.get(file).expect("it was read").tokens.clone();
    let (here, there) = (read(&last.file), read(&next.file));
    let has = |tokens: &[(usize, String)], name: &str| tokens.iter().any(|(_, token)| token == name);
    let passed = types(last.edge.as_deref().expect("a step has an edge"));
    let unknown = passed.iter().filter(|ty| !has(&here, ty) && !has(&there, ty) && !FOREIGN.contains(ty));
    let mut wrong: Vec<String> =
        unknown.map(|ty| format!("neither {} nor {} names {ty}", last.file, next.file)).collect();
    let is_shared = passed.iter().any(|ty| has(&here, ty) && has(&there, ty));
    if !is_shared && !has(&here, next.name()) && !reaches(before, next, sources) {
        wrong.push(format!("step {} does not reach {}", last.number, next.item));
    }
    wrong
}

/// Returns whether a step is in a file to which control returns, or is called by the file of a step further up.
fn reaches(before: &[Step], next: &Step, sources: &mut Sources) -> bool {
    let mut calls = |step: &Step| sources.get(&step.file).is_some_and(|source| next.is_called_by(source));
    before.iter().any(|step| step.file == next.file || calls(step))
}

#[test]
fn every_term_of_the_glossary_names_a_place_that_exists() {
    let text = read("docs/glossary.md");
    assert!(rows(&text).len() > 50, "docs/glossary.md has no table of terms");
    let all: Vec<Source> = files_below(&root().join("src")).iter().map(|file| source(&relative(file))).collect();
    report(wrong_places(&text, &all));
}

/// The places of a table of terms that are not among the sources.
fn wrong_places(text: &str, all: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    let table = rows(text);
    for place in table.iter().filter_map(|row| row.last()?.strip_prefix("`crate::")) {
        let parts: Vec<&str> = place.trim_end_matches('`').split("::").collect();
        // Re-exports may leave modules out, so an item may be anywhere in its top module.
        let files: Vec<&Source> = all.iter().filter(|file| file.path["src/".len()..].starts_with(parts[0])).collect();
        let is_known = |name: &str| {
            let is_module = |file: &Source| file.path.split(['/', '.']).any(|part| part == name);
            files.iter().any(|file| is_module(file) || declares(file, name))
        };
        let missing = parts[1..].iter().filter(|name| !is_known(name));
        wrong.extend(missing.map(|name| format!("docs/glossary.md: crate::{}: no {name}", parts.join("::"))));
        if files.is_empty() {
            wrong.push(format!("docs/glossary.md: there is no module {}", parts[0]));
        }
    }
    wrong
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn both_ways_are_short() {
    for (heading, _) in WAYS {
        let steps = way(heading);
        let files: Vec<&str> = steps.iter().map(|step| step.file.as_str()).collect();
        let distinct: BTreeSet<&&str> = files.iter().collect();
        assert!(distinct.len() <= MOST_FILES, "{heading}: {} files", distinct.len());
        assert!(returns(&files) <= MOST_RETURNS, "{heading}: {} returns", returns(&files));
    }
    assert_eq!(returns(&["a", "a", "b", "a", "c", "b", "b"]), 2);
}

#[test]
fn the_drawings_are_those_of_the_tables() {
    for (heading, drawing) in WAYS {
        let svg = draw(&way(heading));
        let path = root().join(drawing);
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            fs::write(&path, &svg).unwrap();
        }
        let known = fs::read_to_string(path).unwrap_or_default();
        assert!(known == svg, "{drawing} is out of date; UPDATE_GOLDEN=1 rewrites it");
    }
}

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 40.0;
const GAP: f64 = 30.0;
/// Space at the right for the arcs that skip a file or go back to one.
const ARCS: f64 = 140.0;
const MARGIN: f64 = 12.0;

/// Draws a box a file, downwards in order of first use, and an arrow for every edge between two files.
fn draw(steps: &[Step]) -> String {
    let mut files: Vec<&str> = Vec::new();
    for step in steps {
        if !files.contains(&step.file.as_str()) {
            files.push(&step.file);
        }
    }
    let position = |step: &Step| files.iter().position(|file| *file == step.file).expect("every file has a box");
    let top = |at: usize| at as f64 * (HEIGHT + GAP);
    let height = top(files.len()) - GAP + 2.0 * MARGIN;
    let straight = steps
        .windows(2)
        .all(|two| position(&two[1]) <= position(&two[0]) + 1 && position(&two[1]) >= position(&two[0]));
    let width = WIDTH + if straight { 0.0 } else { ARCS } + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"{} {} {width} \
         {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" \
         refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0.5,0.8 L7.5,4 L0.5,7.2 z\" \
         fill=\"#8a919c\"/></marker></defs>\n",
        -MARGIN, -MARGIN
    );
    for (at, file) in files.iter().enumerate() {
        let mut items: Vec<&str> = Vec::new();
        for step in steps.iter().filter(|step| step.file == *file) {
            if !items.contains(&step.item.as_str()) {
                items.push(&step.item);
            }
        }
        let (y, middle) = (top(at), WIDTH / 2.0);
        writeln!(
            svg,
            "<rect x=\"0\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#e3e1f6\" stroke=\"#8079c4\"/>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"600\" fill=\"#1c2128\">{file}</text>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#3d444d\">{}</text>",
            y + 17.0,
            y + 32.0,
            items.join(", ")
        )
        .expect("a string accepts all");
    }
    for (step, next) in steps.iter().zip(&steps[1..]) {
        let (from, to) = (position(step), position(next));
        let label = step
            .edge
            .as_deref()
            .unwrap_or_default()
            .replace('`', "")
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let (path, x, y) = if to == from {
            continue;
        } else if to == from + 1 {
            let (x, y) = (WIDTH / 2.0, top(from) + HEIGHT);
            (format!("M{x},{y} V{}", top(to)), x + 8.0, y + GAP / 2.0 + 4.0)
        } else {
            let (y, end) = (top(from) + HEIGHT / 2.0, top(to) + HEIGHT / 2.0);
            let bend = WIDTH + 14.0 * from.abs_diff(to) as f64;
            (format!("M{WIDTH},{y} C{bend},{y} {bend},{end} {WIDTH},{end}"), WIDTH + 16.0, y - 6.0)
        };
        writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"#8a919c\" stroke-width=\"1.4\" marker-end=\"url(#tip)\"/>\n\
             <text x=\"{x}\" y=\"{y}\" font-size=\"11\" fill=\"#6a7280\">{label}</text>"
        )
        .expect("a string accepts all");
    }
    svg + "</svg>\n"
}

mod tried {
    use super::*;

    /// A way of steps, each with its number, file, item and edge, and of files that they call.
    fn mistakes(rows: &[&str]) -> Vec<String> {
        wrong_steps(&format!("\n## One\n{}\n", rows.join("\n")), "## One")
    }

    #[test]
    fn a_step_that_is_missing_or_not_reached_is_seen() {
        let server = "| 1 | `src/serve/server.rs` | `admit` | a | `TcpStream` |";
        let connection = "| 2 | `src/serve/connection.rs` | `serve` | b | `Request` |";
        let memory = "| 2 | `src/store/memory.rs` | `OnlineTable::write` | c | `Vector` |";
        assert_eq!(mistakes(&[server, connection]), Vec::<String>::new());
        let unreached = ["step 1 does not reach OnlineTable::write"];
        assert_eq!(mistakes(&[server, memory]), unreached);
        assert_eq!(
            mistakes(&[server, &memory.replace("write", "none")]),
            ["src/store/memory.rs does not declare OnlineTable::none"]
        );
        assert_eq!(mistakes(&[&server.replace("server.rs", "none.rs"), connection]), ["there is no src/serve/none.rs"]);
        let other_type = "neither src/serve/server.rs nor src/serve/connection.rs names Vector";
        assert_eq!(mistakes(&[&server.replace("TcpStream", "Vector"), connection])[0], other_type);
        let call = "| 2 | `src/serve/rules.rs` | `ConnectionRules::check` | d |";
        assert_eq!(mistakes(&[server, connection, &call.replace("check", "tls")]).len(), 1);
        let uncalled = "| 1 | `src/store/memory.rs` | `OnlineTable::get_encoded` | d |";
        assert_eq!(mistakes(&[server, connection, uncalled]), ["step 1 does not name OnlineTable::get_encoded"]);
    }

    #[test]
    fn a_term_without_a_place_is_seen() {
        let sources = [Source::new("src/a/b.rs", "pub struct C;\n")];
        let text =
            "| c | a thing | `crate::a::C` |\n| d | a thing | `crate::a::b::D` |\n| e | a thing | `crate::e` |\n";
        let wrong = ["docs/glossary.md: crate::a::b::D: no D", "docs/glossary.md: there is no module e"];
        assert_eq!(wrong_places(text, &sources), wrong);
    }
}
