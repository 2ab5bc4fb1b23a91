//! House rules that the compiler does not know: layers, homes of third-party crates, heads, sizes, words.
//!
//! Sources are read as tokens, so neither comments nor strings can break a rule or hide a breach. Each rule lists all
//! of its offences at once, by file and line, and is itself tried on sources that break it.

use std::fs;
use std::path::Path;

use crate::tokens::Source;
use crate::tree::{Offence, offences, report, root, tidy};

/// Top-level modules in the order of `src/lib.rs`, and the modules before it that each may use.
const LAYERS: &[(&str, &str)] = &[
    ("error", ""),
    ("secret", ""),
    ("blob", "secret"),
    ("disk", "error"),
    ("hash", ""),
    ("metrics", ""),
    ("padding", ""),
    ("threads", ""),
    ("time", ""),
    ("value", "time"),
    ("aggregate", "time value"),
    ("expr", "error time value"),
    ("model", "time value"),
    ("example", "time value aggregate expr model"),
    ("relation", "time value expr example"),
    ("source", "secret disk metrics time value aggregate expr"),
    ("store", "error secret disk hash metrics threads time value aggregate expr"),
    ("checkpoint", "error blob disk hash metrics time value"),
    ("registry", "error blob hash metrics threads time value model"),
    (
        "spec",
        "error disk hash metrics padding time value aggregate expr model example relation source store checkpoint registry",
    ),
    ("flow", "metrics time value aggregate expr model example relation source store checkpoint registry spec"),
    ("serve", "metrics threads time value aggregate expr model example store registry spec"),
    (
        "run",
        "error secret blob disk hash metrics padding threads time value aggregate expr model example relation source store checkpoint registry spec flow serve",
    ),
];

/// Third-party crates that are at home in certain places only: beginnings of paths under `src/`.
const HOMES: &[(&str, &str)] = &[
    ("timely", "flow/ run/"),
    ("differential_dataflow", "flow/ run/"),
    ("rdkafka", "source/kafka"),
    ("redis", "store/redis"),
    ("hyper", "serve/"),
    ("hyper_util", "serve/"),
    ("http_body_util", "serve/"),
    ("rustls", "serve/ run/job_tls.rs"),
    ("rustls_native_certs", "run/job_tls.rs"),
    ("tokio_rustls", "serve/"),
    ("prometheus", "metrics/"),
    ("prost", "serve/grpc/"),
    ("ndarray", "model/"),
    ("object_store", "blob.rs"),
    ("sqlparser", "expr/ spec/"),
    ("stacker", "expr/"),
    ("clap", "run/ main.rs"),
    ("indicatif", "run/ main.rs"),
    ("anyhow", "run/ main.rs"),
    ("tracing_subscriber", "run/ main.rs"),
    ("signal_hook", "run/ main.rs"),
    ("rustix", "run/ threads.rs"),
    ("csv_core", "source/ serve/mlflow/"),
    ("memchr", "source/"),
    ("mimalloc", "allocator.rs"),
    ("libmimalloc_sys", "allocator.rs"),
    ("flate2", "source/ serve/body.rs"),
    ("zstd", "source/"),
    ("parquet", "store/offline source/file/parquet"),
];

/// The pure zone, and what it does without: I/O and threads of `std`, clocks.
const PURE: &[&str] = &["value", "time", "expr", "aggregate", "model", "relation"];
const IMPURE: &[&str] = &["fs", "net", "thread", "process", "env"];
const CLOCKS: &[&str] = &["Instant", "SystemTime"];

const DEAD_WORDS: &[&str] =
    &["Manager", "Helper", "Helpers", "Util", "Utils", "Processor", "Context", "Data2", "V2", "Impl"];
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const UNFINISHED: &[&str] = &["dbg", "todo", "unimplemented"];

const LONGEST_FILE: usize = 400;
/// A `mod.rs` is a map: nothing in it is long.
const LONGEST_MAP: usize = 200;
const LONGEST_FUNCTION_OF_A_MAP: usize = 40;

#[test]
fn modules_use_only_what_is_below_them() {
    tidy("src", layers);
}

#[test]
fn third_party_crates_stay_at_home() {
    tidy("src", homes);
}

#[test]
fn the_pure_zone_has_no_clock_no_io_and_no_threads() {
    tidy("src", pure);
}

#[test]
fn every_file_opens_with_what_it_is() {
    tidy("src", heads);
}

#[test]
fn no_file_is_too_long_and_a_mod_rs_is_a_map() {
    tidy("src", sizes);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    let left = ["src", "tests", "benches", "examples"].into_iter().flat_map(|folder| offences(folder, unfinished));
    report(left.chain(offences("src", allow)).collect());
}

#[test]
fn no_type_or_file_has_a_dead_word_for_a_name() {
    tidy("src", words);
}

#[test]
fn the_table_of_layers_has_every_module_in_the_order_of_the_crate() {
    report(disorder(&fs::read_to_string(root().join("src/lib.rs")).unwrap(), LAYERS));
}

/// The differences between the modules that `lib.rs` declares and a table of layers, and the layers that may use one
/// that is not above them.
fn disorder(lib: &str, layers: &[(&str, &str)]) -> Vec<String> {
    let source = Source::new("lib.rs", lib);
    let (declared, known) = (source.modules(), layers.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    if declared != known {
        wrong.push(format!("src/lib.rs declares {}, and LAYERS has {}", declared.join(" "), known.join(" ")));
    }
    for (at, (name, below)) in layers.iter().enumerate() {
        let others = below.split_terminator(' ').filter(|other| !known[..at].contains(other));
        wrong.extend(others.map(|other| format!("{name} may use {other}, which is not above it in LAYERS")));
    }
    wrong
}

fn layers(source: &Source) -> Vec<Offence> {
    let Some((own, below)) = LAYERS.iter().find(|(name, _)| *name == source.top()) else { return Vec::new() };
    let wrong = |(line, name): &(usize, String)| {
        let known = LAYERS.iter().any(|(layer, _)| layer == name);
        (known && name != own && !below.split(' ').any(|other| other == name))
            .then(|| (*line, format!("{own} may not use {name}")))
    };
    source.crate_paths().iter().filter_map(wrong).collect()
}

fn homes(source: &Source) -> Vec<Offence> {
    let local = [source.modules(), source.imports()].concat();
    let strange = |(line, name): (usize, &str)| {
        let (_, homes) = HOMES.iter().find(|(home, _)| *home == name)?;
        let at_home = homes.split(' ').any(|home| source.path.starts_with(home));
        (!at_home && !local.contains(&name))
            .then(|| (line, format!("{name} is at home in {} only", homes.replace(' ', ", "))))
    };
    source.roots().filter_map(strange).collect()
}

fn pure(source: &Source) -> Vec<Offence> {
    if !PURE.contains(&source.top()) {
        return Vec::new();
    }
    let std = source.tokens.iter().enumerate().filter(|(_, (_, token))| token == "std");
    let impure = std.flat_map(|(at, _)| source.heads_after(at + 1)).filter(|(_, module)| IMPURE.contains(module));
    let clocks = source.tokens.iter().filter(|(_, token)| CLOCKS.contains(&token.as_str()));
    let found = impure.chain(clocks.map(|(line, token)| (*line, token.as_str())));
    let tests = source.test_line();
    let found = found.filter(|(line, _)| *line < tests);
    found.map(|(line, what)| (line, format!("{what} in the pure zone"))).collect()
}

fn heads(source: &Source) -> Vec<Offence> {
    let first = source.text.lines().next().unwrap_or_default();
    let opens = first.strip_prefix("//! ").is_some_and(|head| !head.trim().is_empty());
    if opens { Vec::new() } else { vec![(1, "does not open with `//! ` and what it is".to_owned())] }
}

fn sizes(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    let lines = source.test_line().saturating_sub(1);
    let map = source.path.ends_with("mod.rs");
    let longest = if map { LONGEST_MAP } else { LONGEST_FILE };
    if lines > longest {
        offences.push((lines, format!("{lines} lines before its tests; {longest} is the most")));
    }
    if map {
        for function in source.functions() {
            let (name, lines) = (function.name, function.lines());
            if lines > LONGEST_FUNCTION_OF_A_MAP {
                offences.push((function.line, format!("fn {name} has {lines} lines, and a mod.rs is a map")));
            }
        }
    }
    offences
}

fn unfinished(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (line, comment) in &source.comments {
        let words = comment.split(|letter: char| !letter.is_ascii_alphanumeric());
        offences
            .extend(words.filter(|word| MARKERS.contains(word)).map(|word| (*line, format!("{word} in a comment"))));
    }
    let tokens: Vec<&str> = source.tokens.iter().map(|(_, token)| token.as_str()).collect();
    for (at, (line, token)) in source.tokens.iter().enumerate() {
        if UNFINISHED.contains(&token.as_str()) && tokens.get(at + 1) == Some(&"!") {
            offences.push((*line, format!("{token}!")));
        }
        if token == "ignore" && tokens.get(at.wrapping_sub(1)) == Some(&"[") && tokens.get(at + 1) != Some(&"=") {
            offences.push((*line, "#[ignore] without a reason".to_owned()));
        }
    }
    offences
}

fn allow(source: &Source) -> Vec<Offence> {
    let tokens = source.tokens.windows(2);
    let found = tokens.filter(|pair| pair[0].1 == "[" && pair[1].1 == "allow");
    found.map(|pair| (pair[1].0, "#[allow(…)]".to_owned())).collect()
}

fn words(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for pair in source.tokens.windows(2) {
        let [(_, keyword), (line, name)] = pair else { continue };
        if ["struct", "enum", "trait", "type", "union"].contains(&keyword.as_str()) {
            let dead = camel_words(name).into_iter().find(|word| DEAD_WORDS.contains(&word.as_str()));
            offences.extend(dead.map(|word| (*line, format!("{keyword} {name}: {word} says nothing"))));
        }
    }
    let stem = Path::new(&source.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let dead = |part: &str| DEAD_WORDS.iter().any(|word| word.eq_ignore_ascii_case(part));
    if let Some(part) = stem.split('_').find(|part| dead(part)) {
        offences.push((1, format!("the file's name says {part}, which says nothing")));
    }
    offences
}

/// `Model2Rows` is `Model2`, `Rows`.
fn camel_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

mod tried {
    use super::*;
    use crate::tree::{NONE, lines};

    #[test]
    fn a_wrong_layer_is_seen_in_every_form() {
        let wrong = "use crate::flow::Plan;\nuse crate::{\n    value::{Batch, flow},\n    serve,\n};\n\
                     fn f() -> crate::run::Config {\n    crate::spec::load()\n}\nuse super::super::store::Online;\n\
                     use super::flow;\nuse super::super::super::flow;\n";
        assert_eq!(lines(layers, "model/kind/linear.rs", wrong), [1, 4, 6, 7, 11]);
        assert_eq!(lines(layers, "model/kind/mod.rs", "use super::super::flow::Plan;\n"), [1]);
        assert_eq!(lines(layers, "model/mod.rs", "pub use super::flow::Plan;\n"), [1]);
        assert_eq!(lines(layers, "time.rs", "#[cfg(test)]\nmod tests {\n    use super::super::flow;\n}\n"), [3]);
    }

    #[test]
    fn a_module_without_a_layer_and_one_in_another_order_are_seen() {
        let lib = "pub mod a;\npub mod b;\n";
        assert_eq!(disorder(lib, &[("a", ""), ("b", "a")]), Vec::<String>::new());
        assert_eq!(disorder(lib, &[("a", "")]), ["src/lib.rs declares a b, and LAYERS has a"]);
        let found = disorder(lib, &[("b", "a"), ("a", "")]);
        let other = "b may use a, which is not above it in LAYERS";
        assert_eq!(found, ["src/lib.rs declares a b, and LAYERS has b a", other]);
    }

    #[test]
    fn comments_and_strings_break_no_layer() {
        let right = "//! [`crate::flow`]\n/* use crate::flow; /* crate::run */ */\nconst A: &str = \"crate::flow\";\n\
                     const B: &str = r#\"\" crate::flow\"#;\nconst C: char = '\"'; // crate::flow\nconst D: &[u8] = b\"\\\"crate::flow\";\n\
                     fn e<'a>(f: &'a str) -> char { '\\'' } // crate::run\n";
        assert_eq!(lines(layers, "value/mod.rs", right), NONE);
        assert_eq!(lines(layers, "value/mod.rs", &format!("{right}use crate::run;")), [8]);
        assert_eq!(lines(layers, "run/job.rs", "use crate::{flow, serve, spec};\n"), NONE);
    }

    #[test]
    fn a_crate_away_from_home_is_seen_in_every_form() {
        let wrong = "use timely::progress::Antichain;\nuse ::hyper as h;\nuse redis;\nfn f(a: &prometheus::Registry) {}\n\
                     use {csv_core::Reader, ndarray};\n#[derive(clap::Parser)]\nstruct A<'a>(&'a anyhow::Error);\n";
        assert_eq!(lines(homes, "example/mod.rs", wrong), [1, 2, 3, 4, 5, 6, 7]);
        let right = "mod parquet;\nuse super::{redis, store};\npub use parquet::PARQUET;\nuse super::csv::CSV;\nlet timely = a.timely(redis::<u8>);\nredis::start();";
        assert_eq!(lines(homes, "example/mod.rs", &right.replace("redis::<u8>", "redis")), NONE);
        assert_eq!(lines(homes, "store/redis.rs", "use redis::Client;"), NONE);
        assert_eq!(lines(homes, "store/memory.rs", "use redis::Client;"), [1]);
    }

    #[test]
    fn clocks_files_and_threads_are_seen() {
        let wrong = "use std::{collections::BTreeMap, fs};\nuse std::thread::spawn;\nuse std::time::Instant;\n\
                     #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(lines(pure, "model/rows.rs", wrong), [1, 2, 3]);
        assert_eq!(lines(pure, "source/file.rs", wrong), NONE);
    }

    #[test]
    fn a_missing_head_and_too_many_lines_are_seen() {
        assert_eq!(lines(heads, "a.rs", "use a;\n"), [1]);
        assert_eq!(lines(heads, "a.rs", "//!\n"), [1]);
        let long = "// a\n".repeat(LONGEST_FILE);
        let tests = "#[cfg(test)]\nmod tests {}\n";
        assert_eq!(lines(sizes, "a.rs", &format!("{long}{tests}")), NONE);
        assert_eq!(lines(sizes, "a.rs", &format!("{long}\n{tests}")), [LONGEST_FILE + 1]);
        assert_eq!(lines(sizes, "a/mod.rs", &format!("{long}{tests}")), [LONGEST_FILE]);
        let function = format!("fn f(a: [u8; 2]) {{\n{}}}\n", "a();\n".repeat(LONGEST_FUNCTION_OF_A_MAP + 1));
        assert_eq!(lines(sizes, "a/mod.rs", &function), [1]);
        assert_eq!(lines(sizes, "a/b.rs", &function), NONE);
    }

    #[test]
    fn unfinished_silenced_and_badly_named_code_is_seen() {
        let marker = MARKERS[0];
        let wrong = format!("// {marker}: later\nfn f() {{ todo!() }}\n#[ignore]\nfn g() {{}}\n#[ignore = \"slow\"]\n");
        assert_eq!(lines(unfinished, "a.rs", &wrong), [1, 2, 3]);
        assert_eq!(lines(allow, "a.rs", "#![allow(dead_code)]\nfn allow() {}\n#[allow(unused)]\n"), [1, 3]);
        let named =
            "struct JobManager;\nenum Util {}\ntype ContextOf = u8;\nuse anyhow::Context;\nstruct Contextual;\n";
        assert_eq!(lines(words, "run/job.rs", named), [1, 2, 3]);
        assert_eq!(lines(words, "run/job_utils.rs", ""), [1]);
    }
}
