//! `docs/architecture.md`: the way of one event and the way of one request, a file a step.
//!
//! Each step must name a file that exists, an item that the file declares and a type that both ends of its edge use,
//! and a way must stay short: [`MOST_FILES`] files, [`MOST_RETURNS`] returns to a file already left. The drawings beside
//! the tables are generated from them; `UPDATE_GOLDEN=1` rewrites them. The places of `docs/glossary.md` are checked too.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::docs::{read, root, rows, section};
use super::tokens::Source;

const DOCUMENT: &str = "docs/architecture.md";

/// Headings of the two ways, with the drawing of each.
const WAYS: [(&str, &str); 2] = [("## One event", "docs/event.svg"), ("## One request", "docs/request.svg")];

const MOST_FILES: usize = 12;
const MOST_RETURNS: usize = 2;

/// Type names at edges that other crates declare.
const FOREIGN: [&str; 5] = ["Request", "Response", "Incoming", "Bytes", "RecordBatch"];

/// A row of a way's table.
struct Step {
    file: String,
    item: String,
    /// The code spans of the last cell: what the step passes on.
    edge: String,
}

fn way(heading: &str) -> Vec<Step> {
    let text = read(DOCUMENT);
    let code = |cell: &str| cell.trim_matches('`').to_owned();
    let step = |row: &Vec<&str>| Step { file: code(row[1]), item: code(row[2]), edge: row[4].to_owned() };
    rows(section(&text, heading)).iter().filter(|row| row[0].parse::<usize>().is_ok()).map(step).collect()
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
fn every_step_names_a_file_an_item_and_a_type_that_exist() {
    for (heading, _) in WAYS {
        let steps = way(heading);
        assert!(steps.len() > 5, "{DOCUMENT}: {heading} has no table of steps");
        for (step, next) in steps.iter().zip(steps.iter().skip(1).map(Some).chain([None])) {
            let here = source(&step.file);
            let mut path = step.item.split("::");
            assert!(path.all(|name| names(&here, name)), "{}: no {}", step.file, step.item);
            let last = step.item.rsplit("::").next().expect("a split has a last part");
            assert!(declares(&here, last), "{} does not declare {}", step.file, step.item);
            for ty in types(&step.edge) {
                let there = next.map(|next| source(&next.file));
                let known = names(&here, ty) || there.is_some_and(|there| names(&there, ty));
                assert!(known || FOREIGN.contains(&ty), "neither {} nor the next file names {ty}", step.file);
            }
        }
    }
}

#[test]
fn every_term_of_the_glossary_names_a_place_that_exists() {
    let text = read("docs/glossary.md");
    let table = rows(&text);
    let places: Vec<&str> = table.iter().filter_map(|row| row.last()?.strip_prefix("`crate::")).collect();
    assert!(places.len() > 50, "docs/glossary.md has no table of terms");
    let all: Vec<Source> = files_below(&root().join("src")).iter().map(|file| source(&relative(file))).collect();
    for place in places {
        let parts: Vec<&str> = place.trim_end_matches('`').split("::").collect();
        // Re-exports may leave modules out, so an item may be anywhere in its top module.
        let files: Vec<&Source> = all.iter().filter(|file| file.path["src/".len()..].starts_with(parts[0])).collect();
        for name in &parts[1..] {
            let is_module = |file: &Source| file.path.split(['/', '.']).any(|part| part == *name);
            let known = files.iter().any(|file| is_module(file) || declares(file, name));
            assert!(known, "docs/glossary.md: crate::{}: no {name}", parts.join("::"));
        }
    }
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
        let items: Vec<&str> = steps.iter().filter(|step| step.file == *file).map(|step| step.item.as_str()).collect();
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
        let label = step.edge.replace('`', "").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
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
