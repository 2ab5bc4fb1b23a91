//! The documents say what the program does: references are compared with it, links and excerpts with the tree.
//! `UPDATE_GOLDEN=1` rewrites what the program writes of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use tidemill::metrics::NAMES;
use tidemill::run::config::Config;
use tidemill::run::{Cli, Failure};
use tidemill::serve::Route;
use tidemill::source::{Outcome, Reason};

const OPERATIONS: &str = "docs/operations.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown file for readers, from the root.
fn documents() -> Vec<String> {
    let folders = ["", "docs", "data/flights"].into_iter();
    let files = folders.flat_map(|folder| fs::read_dir(root().join(folder)).into_iter().flatten());
    let paths = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ext| ext == "md"));
    let mut paths: Vec<String> =
        paths.map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()).collect();
    paths.sort();
    paths
}

/// The section under a heading, up to the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let rest = &text[start + heading.len() + 2..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// The rows of the tables in a text: their cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands in backticks in the first cell of every row.
fn first_names(text: &str) -> BTreeSet<&str> {
    let quoted = |row: Vec<&'_ str>| Some(row[0].strip_prefix('`')?.split('`').next()?.len());
    rows(text).into_iter().filter_map(|row| quoted(row.clone()).map(|length| &row[0][1..=length])).collect()
}

#[test]
fn the_metrics_reference_is_what_the_program_registers() {
    let path = root().join(OPERATIONS);
    let text = read(OPERATIONS);
    let (begin, end) = ("<!-- metrics -->\n", "<!-- /metrics -->");
    let from = text.find(begin).expect("the reference has a beginning") + begin.len();
    let to = text.find(end).expect("the reference has an end");
    let mut written = String::from("| metric | labels | what |\n| --- | --- | --- |\n");
    for name in NAMES {
        let labels: Vec<String> = name.labels.iter().map(|label| format!("`{label}`")).collect();
        written += &format!("| `{}` | {} | {} |\n", name.name, labels.join(", "), name.help);
    }
    let updated = format!("{}{written}{}", &text[..from], &text[to..]);
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::write(&path, &updated).unwrap();
    }
    assert!(read(OPERATIONS) == updated, "{OPERATIONS}: the metrics are out of date");
}

#[test]
fn every_metric_that_a_document_names_exists() {
    let known = |found: &str| {
        let is = |name: &str| found == name || found.strip_prefix(name).is_some_and(|end| HISTOGRAM.contains(&end));
        NAMES.iter().any(|name| is(name.name))
    };
    const HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];
    for path in documents() {
        for word in read(&path).split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            assert!(!word.starts_with("tidemill_") || known(word), "{path}: there is no metric {word}");
        }
    }
}

#[test]
fn the_config_reference_has_every_key_and_no_other() {
    let source = read("src/run/config.rs");
    let structs = fields_of_structs(&source);
    let mut keys = BTreeSet::new();
    collect_keys(&structs, "Config", "", &mut keys);
    let text = read(OPERATIONS);
    let documented: BTreeSet<String> =
        first_names(section(&text, "## Config")).into_iter().map(str::to_owned).collect();
    assert_eq!(documented, keys);
}

#[test]
fn the_config_defaults_are_those_of_the_program() {
    let text = read(OPERATIONS);
    let default = |row: &Vec<&str>| {
        Some((row[0].trim_matches('`').to_owned(), row[2].strip_prefix('`')?.strip_suffix('`')?.to_owned()))
    };
    let rows = rows(section(&text, "## Config"));
    let documented = rows.iter().filter(|row| row[0].starts_with('`') && !row[0].contains("TOPIC")).filter_map(default);
    let overrides: Vec<String> = documented.map(|(key, value)| format!("{key}={value}")).collect();
    assert!(overrides.len() > 5, "{overrides:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, "").unwrap();
    let load = |overrides: &[String]| match Config::load(&path, overrides) {
        Ok(config) => format!("{config:#?}"),
        Err(Failure::Wrong(text)) => panic!("{text}"),
        Err(Failure::Failed(error)) => panic!("{error}"),
    };
    assert_eq!(load(&overrides), load(&[]));
}

/// By struct, its fields as (name, type), those left out that are not read.
fn fields_of_structs(source: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut structs = BTreeMap::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) else { continue };
        let mut fields = Vec::new();
        let mut skipped = false;
        for line in lines.by_ref().take_while(|line| *line != "}") {
            let line = line.trim();
            if line.starts_with("#[") {
                skipped |= line == "#[serde(skip)]";
            } else if let Some((field, ty)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": "))
                && !std::mem::take(&mut skipped)
            {
                fields.push((field.to_owned(), ty.trim_end_matches(',').to_owned()));
            }
        }
        structs.insert(name.to_owned(), fields);
    }
    structs
}

fn collect_keys(
    structs: &BTreeMap<String, Vec<(String, String)>>,
    of: &str,
    before: &str,
    keys: &mut BTreeSet<String>,
) {
    for (field, ty) in &structs[of] {
        let of_map = ty.strip_prefix("BTreeMap<String, ").and_then(|rest| rest.strip_suffix('>'));
        let inner = of_map.unwrap_or(ty);
        if structs.contains_key(inner) {
            let each = if of_map.is_some() {
                format!("{}.", field.trim_end_matches('s').to_uppercase())
            } else {
                String::new()
            };
            collect_keys(structs, inner, &format!("{before}{field}.{each}"), keys);
        } else {
            keys.insert(format!("{before}{field}"));
        }
    }
}

#[test]
fn every_verb_and_flag_is_documented_and_no_other() {
    let text = read(OPERATIONS);
    let section = section(&text, "## Command line");
    let documented: BTreeSet<&str> =
        first_names(section).into_iter().map(|name| name.split(' ').next().unwrap()).collect();
    let command = Cli::command();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let flags = |command: &clap::Command| -> Vec<String> {
        command.get_arguments().filter_map(|flag| flag.get_long()).map(|flag| format!("--{flag}")).collect()
    };
    known.extend(flags(&command));
    for verb in command.get_subcommands() {
        known.insert(verb.get_name().to_owned());
        known.extend(flags(verb));
    }
    assert_eq!(documented, known.iter().map(String::as_str).collect());
}

#[test]
fn every_route_outcome_and_reason_is_documented() {
    let text = read(OPERATIONS);
    let routes: BTreeSet<&str> =
        Route::ALL.iter().filter(|route| **route != Route::Unknown).map(|r| r.name()).collect();
    assert_eq!(first_names(section(&text, "## Endpoint")), routes);
    let reasons: Vec<String> =
        Reason::ALL.iter().map(|reason| serde_json::to_string(reason).unwrap().trim_matches('"').to_owned()).collect();
    let folders = first_names(section(&text, "## Folders"));
    for reason in &reasons {
        assert!(folders.contains(reason.as_str()), "{OPERATIONS}: no row for the reason {reason}");
    }
    for outcome in Outcome::ALL {
        assert!(section(&text, "## Metrics").contains(&format!("`{}`", outcome.name())), "{}", outcome.name());
    }
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in documents() {
        let text = read(&path);
        let folder = root().join(&path).parent().map(Path::to_owned).unwrap_or_default();
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            let there = target.exists()
                && (anchor.is_empty()
                    || fs::read_to_string(&target).unwrap_or_default().lines().any(|l| is_anchor(l, anchor)));
            if !there {
                wrong.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these links lead nowhere:\n{}", wrong.join("\n"));
}

/// Whether a line is the heading that an anchor means.
fn is_anchor(line: &str, anchor: &str) -> bool {
    let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()) else { return false };
    let kept = heading.to_lowercase().replace(' ', "-");
    let slug: String = kept.chars().filter(|letter| letter.is_alphanumeric() || ['-', '_'].contains(letter)).collect();
    slug == anchor
}

#[test]
fn paths_in_the_guide_for_contributors_exist() {
    let text = read("CONTRIBUTING.md");
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path =
            ["src/", "tests/", "docs/", "benches/", "dataflows/", "config/"].iter().any(|top| quoted.starts_with(top));
        if is_path && !quoted.contains(['{', ' ', '*', 'N']) {
            assert!(root().join(quoted).exists(), "CONTRIBUTING.md: there is no {quoted}");
        }
    }
}

/// A block ```` ```toml ```` whose first line is `# file: PATH` quotes that file; `# …` stands for what is left out.
#[test]
fn excerpts_are_verbatim() {
    let mut seen = 0;
    for path in documents() {
        for block in read(&path).split("```toml\n# file: ").skip(1) {
            let (file, rest) = block.split_once('\n').unwrap();
            let whole = read(file);
            let excerpt = rest.split("```").next().unwrap();
            for part in excerpt.split("\n# …\n").map(str::trim).filter(|part| !part.is_empty()) {
                assert!(whole.contains(part), "{path}: this is not in {file}:\n{part}");
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the README quotes a dataflow file");
}
