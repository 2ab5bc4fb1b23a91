//! Third-party crates: their licences, sources and versions are those that `deny.toml` allows.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::tree::{report, root};

/// A package of the lock file.
struct Package {
    name: String,
    version: String,
    license: String,
    /// `None` for this project itself.
    source: Option<String>,
}

fn policy() -> toml::Table {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

/// Returns the texts under a key of the entries of a list, or the entries themselves if they are texts.
fn texts(list: &toml::Value, key: &str) -> Vec<String> {
    let text = |entry: &toml::Value| entry.get(key).unwrap_or(entry).as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}

/// Returns the packages that a build for Linux may use.
fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments =
        ["metadata", "--offline", "--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"];
    let output = Command::new(cargo).current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: Vec<&Value> = metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    let package = |package: &Value| Package {
        name: package["name"].as_str().unwrap().to_owned(),
        version: package["version"].as_str().unwrap().to_owned(),
        license: package["license"].as_str().unwrap_or("none").to_owned(),
        source: package["source"].as_str().map(str::to_owned),
    };
    let all = metadata["packages"].as_array().unwrap();
    all.iter().filter(|package| used.contains(&&package["id"])).map(package).collect()
}

/// Returns whether a licence expression of SPDX, or of the old form `A/B`, can be met with the allowed licences.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any_of(&words, allowed);
    assert!(rest.is_empty(), "{expression}");
    met
}

fn any_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all_of(words, allowed);
    while let ["OR", right @ ..] = rest {
        let (other, after) = all_of(right, allowed);
        (met, rest) = (met | other, after);
    }
    (met, rest)
}

fn all_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", right @ ..] = rest {
        let (other, after) = one(right, allowed);
        (met, rest) = (met & other, after);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (met, rest) = any_of(inner, allowed);
            assert_eq!(rest.first(), Some(&")"));
            (met, &rest[1..])
        }
        [name, rest @ ..] => (allowed.contains(&name.replace("_WITH_", " WITH ")), rest),
        [] => (false, words),
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let policy = policy();
    let allowed = texts(&policy["licenses"]["allow"], "");
    let exceptions = policy["licenses"]["exceptions"].as_array().unwrap();
    let mut used = vec![false; exceptions.len()];
    for Package { name, version, license, .. } in packages() {
        if is_met(&license, &allowed) {
            continue;
        }
        let exception = exceptions.iter().position(|entry| entry["crate"].as_str() == Some(&name));
        let met = exception.is_some_and(|at| is_met(&license, &texts(&exceptions[at]["allow"], "")));
        assert!(met, "{name} {version}: the licence {license:?} is not one of {allowed:?}");
        used[exception.expect("it is met")] = true;
    }
    assert!(used.iter().all(|used| *used), "an exception is not needed: {exceptions:?}");
}

#[test]
fn every_dependency_is_from_an_allowed_registry() {
    report(foreign(&packages(), &texts(&policy()["sources"]["allow-registry"], "")));
}

/// The packages that are from none of the allowed registries.
fn foreign(packages: &[Package], allowed: &[String]) -> Vec<String> {
    let others = packages.iter().filter_map(|package| Some((&package.name, package.source.as_ref()?)));
    let is_foreign = |source: &str| !allowed.iter().any(|registry| source == format!("registry+{registry}"));
    others.filter(|(_, source)| is_foreign(source)).map(|(name, source)| format!("{name}: {source}")).collect()
}

#[test]
fn no_dependency_is_there_twice_without_a_reason() {
    report(duplicates(&packages(), &texts(&policy()["bans"]["skip"], "crate")));
}

/// The packages of more than one version that are not `skipped`, and the skipped ones of one version.
fn duplicates(packages: &[Package], skipped: &[String]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    packages.iter().for_each(|package| versions.entry(&package.name).or_default().push(&package.version));
    versions.retain(|_, versions| versions.len() > 1);
    let needless = skipped.iter().filter(|name| !versions.contains_key(name.as_str()));
    let needless = needless.map(|name| format!("{name} is skipped and has one version"));
    let twice = versions.iter().filter(|(name, _)| !skipped.iter().any(|known| known == *name));
    twice.map(|(name, versions)| format!("{name} has the versions {}", versions.join(", "))).chain(needless).collect()
}

#[test]
fn a_foreign_registry_and_a_duplicate_are_seen() {
    let package = |name: &str, version: &str, source: Option<&str>| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        license: String::new(),
        source: source.map(str::to_owned),
    };
    let packages = [
        package("own", "1", None),
        package("a", "1", Some("registry+https://crates")),
        package("a", "2", Some("registry+https://crates")),
        package("b", "1", Some("git+https://crates")),
    ];
    assert_eq!(foreign(&packages, &["https://crates".to_owned()]), ["b: git+https://crates"]);
    assert_eq!(
        duplicates(&packages, &["b".to_owned()]),
        ["a has the versions 1, 2", "b is skipped and has one version"]
    );
    assert_eq!(duplicates(&packages, &["a".to_owned()]), Vec::<String>::new());
}

#[test]
fn licence_expressions_are_read_as_spdx_has_them() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("Unlicense/MIT", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND MIT", true),
        ("MIT OR GPL-3.0 AND GPL-2.0", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("none", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}
