//! House rule for imports: the files of a folder can be read in an order, because none needs one that needs it.
//!
//! A folder's `mod.rs` is a map of it: it lists the files and they use its types, which is no circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::tokens::Source;
use crate::tree::{report, sources};

#[test]
fn the_files_of_a_folder_form_no_circle() {
    report(circles(&sources("src")));
}

/// Imports between the modules of one folder: by importer and imported, the first place.
type Imports<'a> = BTreeMap<(&'a str, &'a str), String>;

/// A shortest circle through each import that is part of one, as `folder: a -> b -> a`, with the places of its imports.
fn circles(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, imports) in imports(sources) {
        let mut seen = BTreeSet::new();
        for (from, to) in imports.keys() {
            let Some(back) = way(&imports, to, from) else { continue };
            if seen.insert(back.iter().copied().collect::<BTreeSet<_>>()) {
                let circle = [&[*from], back.as_slice()].concat();
                let places = circle.windows(2).map(|pair| imports[&(pair[0], pair[1])].as_str());
                let places = places.collect::<Vec<_>>().join(", ");
                found.push(format!("src/{folder}: {}: {places}", circle.join(" -> ")));
            }
        }
    }
    found
}

/// The imports of each folder. A name that its `mod.rs` re-exports is an import of the module that it is from.
fn imports(sources: &[Source]) -> BTreeMap<String, Imports<'_>> {
    let exports: BTreeMap<String, Vec<(&str, &str)>> =
        sources.iter().map(|source| (source.module().join("/"), source.exports())).collect();
    let modules: BTreeSet<String> = sources.iter().map(|source| source.module().join("/")).collect();
    let mut imports: BTreeMap<String, Imports<'_>> = BTreeMap::new();
    for source in sources {
        let own = source.module();
        for (line, path) in source.paths() {
            let shared = own.iter().zip(&path).take_while(|(own, other)| own == other).count();
            let (Some(from), Some(name)) = (own.get(shared), path.get(shared)) else { continue };
            let folder = own[..shared].join("/");
            let child = if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
            let exported = || exports.get(&folder)?.iter().find(|(known, _)| known == name).map(|(_, module)| *module);
            let Some(to) = Some(*name).filter(|_| modules.contains(&child)).or_else(exported) else { continue };
            if to != *from {
                let place = || format!("src/{}:{line}", source.path);
                imports.entry(folder).or_default().entry((from, to)).or_insert_with(place);
            }
        }
    }
    imports
}

/// The shortest way from a module to another along imports.
fn way<'a>(imports: &Imports<'a>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let (mut queue, mut seen) = (VecDeque::from([vec![from]]), BTreeSet::from([from]));
    while let Some(way) = queue.pop_front() {
        let last = way[way.len() - 1];
        if last == to {
            return Some(way);
        }
        for (_, next) in imports.keys().filter(|(from, _)| *from == last) {
            if seen.insert(next) {
                queue.push_back([way.as_slice(), &[*next]].concat());
            }
        }
    }
    None
}

mod tried {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<String> {
        circles(&files.iter().map(|(path, text)| Source::new(path, text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_circle_is_seen_by_file_and_by_what_the_map_exports() {
        let map = ("a/mod.rs", "mod b;\nmod c;\npub use b::{B, d::D};\npub use c::C;\n");
        let found = tree(&[map, ("a/b.rs", "use super::{C, x};\n"), ("a/c.rs", "fn f() -> super::b::B {}\n")]);
        assert_eq!(found, ["src/a: b -> c -> b: src/a/b.rs:1, src/a/c.rs:1"]);
        let found = tree(&[
            map,
            ("a/b/mod.rs", "mod d;\n"),
            ("a/b/d.rs", "use crate::a::c::C;\n"),
            ("a/c.rs", "use super::D;\n"),
        ]);
        assert_eq!(found, ["src/a: b -> c -> b: src/a/b/d.rs:1, src/a/c.rs:1"]);
        let three = [("a.rs", "use crate::b;\n"), ("b.rs", "use crate::c::C;\n"), ("c.rs", "use super::{z, a::A};\n")];
        assert_eq!(tree(&three), ["src/: a -> b -> c -> a: src/a.rs:1, src/b.rs:1, src/c.rs:1"]);
    }

    #[test]
    fn a_map_and_what_it_lists_are_no_circle_nor_are_tests() {
        let map =
            ("a/mod.rs", "mod b;\nmod c;\npub use b::B;\npub struct Kind;\npub const KINDS: &[Kind] = &[b::B];\n");
        let b = ("a/b.rs", "use super::{Kind, c::C};\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n");
        let c = ("a/c.rs", "use super::Kind;\n#[cfg(test)]\nmod tests {\n    use super::super::B;\n}\n");
        assert_eq!(tree(&[map, b, c]), Vec::<String>::new());
    }
}
