//! Documents compared with the program and the tree: reference tables, links, excerpts.
//!
//! `UPDATE_GOLDEN=1` rewrites the tables that the program generates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use tidemill::metrics::{MetricName, NAMES};
use tidemill::run::Cli;
use tidemill::run::config::{ConfigKey, keys};
use tidemill::serve::FAMILIES;
use tidemill::source::{Outcome, Reason};

use crate::tree::report;

const OPERATIONS: &str = "docs/operations.md";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown file of the tree, from the root. Build outputs, hidden folders and those beside the project are left out.
fn documents() -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !["target", "shared"].contains(&&*name)
            {
                folders.push(path);
            } else if name.ends_with(".md") {
                paths.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    paths.sort();
    paths
}

/// Checks every document by a rule that returns what is wrong in a text.
fn check(rule: fn(&str, &str) -> Vec<String>) {
    report(documents().iter().flat_map(|path| rule(path, &read(path))).collect());
}

/// The section under a heading, up to the next of its level.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let rest = &text[start + heading.len() + 2..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// The rows of the tables in a text: their cells.
pub fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The text in backticks in the first cell of every row.
fn first_names(text: &str) -> BTreeSet<&str> {
    let quoted = |row: Vec<&'_ str>| Some(row[0].strip_prefix('`')?.split('`').next()?.len());
    rows(text).into_iter().filter_map(|row| quoted(row.clone()).map(|length| &row[0][1..=length])).collect()
}

type Reference = (&'static str, fn() -> String);

/// A generated table, by its name: it stands between `<!-- NAME -->` and `<!-- /NAME -->`.
const REFERENCES: [Reference; 4] = [("verbs", verbs), ("flags", flags), ("config", config), ("metrics", metrics)];

#[test]
fn the_generated_tables_are_up_to_date() {
    let text = read(OPERATIONS);
    let mut updated = text.clone();
    for (name, write) in REFERENCES {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let from = updated.find(&begin).unwrap_or_else(|| panic!("{OPERATIONS}: no {begin}")) + begin.len();
        let to = updated.find(&end).unwrap_or_else(|| panic!("{OPERATIONS}: no {end}"));
        updated.replace_range(from..to, &write());
    }
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::write(root().join(OPERATIONS), &updated).unwrap();
    }
    assert!(read(OPERATIONS) == updated, "{OPERATIONS} is out of date; UPDATE_GOLDEN=1 rewrites it");
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut written = line(&head) + &line(&["---"; N]);
    for row in rows {
        assert!(row.iter().all(|cell| !cell.contains('\n')), "{row:?}");
        written += &line(&row.each_ref().map(String::as_str));
    }
    written
}

fn metrics() -> String {
    let labels = |labels: &[&str]| labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let row = |name: &MetricName| [format!("`{}`", name.name), labels(name.labels), name.help.to_owned()];
    table(["metric", "labels", "description"], NAMES.iter().map(row))
}

fn config() -> String {
    let default = |default: Option<String>| default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
    let row =
        |key: ConfigKey| [format!("`{}`", key.path), key.kind.to_owned(), default(key.default), key.help.to_owned()];
    table(["key", "type", "default", "description"], keys().into_iter().map(row))
}

/// The verbs, by the words that they are called by; of one with verbs of its own, those.
fn all_verbs(command: &Command) -> Vec<(String, &Command)> {
    let of = |verb| {
        let name = Command::get_name(verb);
        let own = all_verbs(verb).into_iter().map(|(words, own)| (format!("{name} {words}"), own));
        let own: Vec<_> = own.collect();
        if own.is_empty() { vec![(name.to_owned(), verb)] } else { own }
    };
    command.get_subcommands().flat_map(of).collect()
}

fn verbs() -> String {
    let command = Cli::command();
    let row = |(name, verb): (String, &Command)| {
        let named = |argument: &Arg| argument.get_long().map_or_else(String::new, |long| format!("--{long} "));
        let needed = verb.get_arguments().filter(|argument| argument.is_required_set());
        let needed: String = needed.map(|argument| format!(" {}{}", named(argument), value(argument))).collect();
        [format!("`{name}{needed}`"), verb.get_about().unwrap_or_default().to_string()]
    };
    table(["command", "description"], all_verbs(&command).into_iter().map(row))
}

fn flags() -> String {
    let command = Cli::command();
    let of = |verb: &str, command: &Command| {
        let named = command.get_arguments().filter_map(|flag| flag.get_long().map(|long| (flag, long)));
        named.map(|(flag, long)| flag_row(verb, flag, long)).collect::<Vec<_>>()
    };
    let verbs = all_verbs(&command).into_iter().flat_map(|(name, verb)| of(&format!("`{name}`"), verb));
    table(["flag", "command", "description"], of("all", &command).into_iter().chain(verbs))
}

fn flag_row(verb: &str, flag: &Arg, long: &str) -> [String; 3] {
    let mut name = format!("`--{long}`");
    let mut what = flag.get_help().map(ToString::to_string).unwrap_or_default();
    assert!(!what.is_empty(), "--{long} has no help");
    if flag.get_action().takes_values() {
        name = format!("`--{long} {}`", value(flag));
        let possible: Vec<String> =
            flag.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !possible.is_empty() {
            what += &format!(": {}", possible.join(", "));
        }
        for default in flag.get_default_values() {
            what += &format!("; by default `{}`", default.to_string_lossy());
        }
    }
    if let Some(short) = flag.get_short() {
        name += &format!(", `-{short}`");
    }
    [name, verb.to_owned(), what]
}

/// The name of an argument's value.
fn value(argument: &Arg) -> String {
    let given = argument.get_value_names().and_then(|names| names.first());
    given.map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string)
}

#[test]
fn every_metric_that_a_document_names_exists() {
    check(unknown_metrics);
}

fn unknown_metrics(path: &str, text: &str) -> Vec<String> {
    const HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];
    let known = |found: &str| {
        let is = |name: &str| found == name || found.strip_prefix(name).is_some_and(|end| HISTOGRAM.contains(&end));
        NAMES.iter().any(|name| is(name.name))
    };
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let unknown = words.filter(|word| word.starts_with("tidemill_") && !known(word));
    unknown.map(|word| format!("{path}: there is no metric {word}")).collect()
}

#[test]
fn every_route_outcome_and_reason_is_documented() {
    let text = read(OPERATIONS);
    let routes: BTreeSet<&str> = FAMILIES.iter().flat_map(|family| family.routes).map(|route| route.pattern).collect();
    assert_eq!(first_names(section(&text, "## Endpoint")), routes);
    #[cfg(feature = "grpc")]
    {
        let methods: BTreeSet<&str> = tidemill::serve::GRPC.routes.iter().map(|route| route.pattern).collect();
        assert_eq!(first_names(section(&text, "## gRPC")), methods);
    }
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
    check(dead_links);
}

fn dead_links(path: &str, text: &str) -> Vec<String> {
    let folder = root().join(path).parent().map(Path::to_owned).unwrap_or_default();
    let is_dead = |link: &&str| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = folder.join(file);
        let text = || if file.is_empty() { text.to_owned() } else { fs::read_to_string(&target).unwrap_or_default() };
        !link.contains("://")
            && !((file.is_empty() || target.exists())
                && (anchor.is_empty() || text().lines().any(|line| is_anchor(line, anchor))))
    };
    let links = text.match_indices("](").map(|(at, _)| text[at + 2..].split([')', ' ']).next().unwrap_or_default());
    links.filter(is_dead).map(|link| format!("{path}: {link} leads nowhere")).collect()
}

/// Returns whether a line is the heading of an anchor.
fn is_anchor(line: &str, anchor: &str) -> bool {
    let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()) else { return false };
    let kept = heading.to_lowercase().replace(' ', "-");
    let slug: String = kept.chars().filter(|letter| letter.is_alphanumeric() || ['-', '_'].contains(letter)).collect();
    slug == anchor
}

/// Documents for contributors, which name files and tests.
const GUIDES: [&str; 2] = ["CONTRIBUTING.md", "SECURITY.md"];

#[test]
fn paths_in_the_guides_for_contributors_exist() {
    report(GUIDES.iter().flat_map(|guide| missing_paths(guide, &read(guide))).collect());
}

fn missing_paths(guide: &str, text: &str) -> Vec<String> {
    let tops = ["src/", "tests/", "docs/", "benches/", "dataflows/", "config/", "examples/"];
    let is_path =
        |quoted: &&str| tops.iter().any(|top| quoted.starts_with(top)) && !quoted.contains(['{', ' ', '*', 'N']);
    let paths = text.split('`').skip(1).step_by(2).filter(is_path);
    let missing = paths.filter(|path| !root().join(path).exists());
    missing.map(|path| format!("{guide}: there is no {path}")).collect()
}

/// Checks lists `` `tests/…/file.rs` `name`, `name` ``, which name tests and other items of a file.
#[test]
fn tests_in_the_guides_for_contributors_exist() {
    for guide in GUIDES {
        let text = read(guide);
        assert!(named_items(&text).next().is_some(), "{guide} names tests");
        report(missing_items(guide, &text));
    }
}

/// The items that a guide names, each with its file.
fn named_items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted: Vec<&str> = text.split('`').collect();
    let (mut file, mut named) = ("", Vec::new());
    for two in quoted[1..].chunks(2) {
        let [name, after] = two else { continue };
        if name.ends_with(".rs") {
            file = name;
        } else if !file.is_empty() {
            named.push((file, *name));
        }
        if ![" ", ", "].contains(after) {
            file = "";
        }
    }
    named.into_iter()
}

fn missing_items(guide: &str, text: &str) -> Vec<String> {
    let is_missing = |(file, name): &(&str, &str)| {
        !["fn", "const"].iter().any(|kind| read(file).contains(&format!("{kind} {name}")))
    };
    let missing = named_items(text).filter(is_missing);
    missing.map(|(file, name)| format!("{guide}: {file} has no {name}")).collect()
}

/// Checks blocks ```` ```toml ```` whose first line is `# file: PATH`: they quote that file, with `# …` for omitted lines.
#[test]
fn excerpts_are_verbatim() {
    check(wrong_excerpts);
    assert!(read("README.md").contains(EXCERPT), "the README quotes a dataflow file");
}

/// The start of a block that quotes a file.
const EXCERPT: &str = "```toml\n# file: ";

fn wrong_excerpts(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for block in text.split(EXCERPT).skip(1) {
        let (file, rest) = block.split_once('\n').unwrap();
        let whole = read(file);
        let excerpt = rest.split("```").next().unwrap();
        let parts = excerpt.split("\n# …\n").map(str::trim).filter(|part| !whole.contains(part));
        wrong.extend(parts.map(|part| format!("{path}: this is not in {file}:\n{part}")));
    }
    wrong
}

mod tried {
    use super::*;

    #[test]
    fn a_dead_link_and_an_unknown_metric_are_seen() {
        let text = "# A b\n[a](#a-b) [b](architecture.md#one-event) [c](https://none) [d](#none) [e](none.md) [f](start.md#none)\n";
        let dead = ["#none", "none.md", "start.md#none"].map(|link| format!("docs/a.md: {link} leads nowhere"));
        assert_eq!(dead_links("docs/a.md", text), dead);
        let text = "`tidemill_state_bytes` tidemill_none, tidemill_http_request_duration_seconds_bucket";
        assert_eq!(unknown_metrics("a.md", text), ["a.md: there is no metric tidemill_none"]);
    }

    #[test]
    fn a_missing_path_item_or_quotation_is_seen() {
        let text = "`src/lib.rs` `src/none.rs` `src/{name}.rs`; `tests/house/docs.rs` `none`, `read`.";
        assert_eq!(missing_paths("A", text), ["A: there is no src/none.rs"]);
        assert_eq!(missing_items("A", text), ["A: tests/house/docs.rs has no none"]);
        let text = format!("{EXCERPT}rustfmt.toml\nnone = 1\n# …\n{}```\n", read("rustfmt.toml"));
        assert_eq!(wrong_excerpts("A", &text), ["A: this is not in rustfmt.toml:\nnone = 1"]);
    }
}
