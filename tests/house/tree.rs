//! The sources of the project, and rules run over them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tokens::Source;

/// A broken rule: the line and what is wrong there.
pub type Offence = (usize, String);

/// A rule that looks at one file.
pub type Rule = fn(&Source) -> Vec<Offence>;

/// The root of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The `.rs` files of a folder of the project, by path.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join(folder), &mut files);
    files.sort();
    let source = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(root().join(folder)).unwrap().to_string_lossy().replace('\\', "/");
        Source::new(&path, &text)
    };
    files.into_iter().map(source).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every offence against a rule in a folder, as `path:line: what`.
pub fn offences(folder: &str, rule: Rule) -> Vec<String> {
    let of_file = |source: &Source| {
        let at = |(line, what)| format!("{folder}/{}:{line}: {what}", source.path);
        rule(source).into_iter().map(at).collect::<Vec<_>>()
    };
    sources(folder).iter().flat_map(of_file).collect()
}

/// Checks a rule in a folder.
///
/// # Panics
/// If it is broken; the text lists every offence.
pub fn tidy(folder: &str, rule: Rule) {
    report(offences(folder, rule));
}

/// # Panics
/// If there are any offences.
pub fn report(offences: Vec<String>) {
    assert!(offences.is_empty(), "{} untidy:\n{}", offences.len(), offences.join("\n"));
}

/// No line, for the tests of rules.
pub const NONE: [usize; 0] = [];

/// The lines of a text that break a rule, for the tests of rules.
pub fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).into_iter().map(|(line, _)| line).collect()
}
