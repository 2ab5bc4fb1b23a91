//! The program over a registry that has been damaged: no window without predictions, and the registry is mended.

use std::path::Path;

use crate::common::servers::eventually;
use crate::locks::Clicks;

/// Flips a bit in the middle of a file, and returns what it contained.
fn flip(path: &Path) -> Vec<u8> {
    let whole = std::fs::read(path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(path, flipped).unwrap();
    whole
}

#[test]
fn a_run_whose_champion_is_damaged_serves_it_from_the_checkpoint_and_says_so() {
    let clicks = Clicks::new();
    let first = clicks.start("home", &[]);
    eventually("the end", || first.says("all files are read"));
    first.stop();
    let registry = clicks.path("home/clicks/registry/x");
    let history = || std::fs::read_dir(registry.join("history")).unwrap().count();
    let newest = history();
    assert!(newest > 10, "a version a day: {newest}");
    let moved = registry.join(format!("history/{newest}.json"));
    for (file, moves) in [("weights.safetensors", newest), ("model.json", newest), ("the newest move", newest + 1)] {
        let path = if file == "the newest move" { moved.clone() } else { registry.join(newest.to_string()).join(file) };
        let whole = flip(&path);
        let run = clicks.start("home", &[]);
        eventually("ready", || run.get("/health/ready").starts_with("HTTP/1.1 200"));
        let ready = run.get("/health/ready");
        assert!(ready.contains(&format!("model x: version {newest} of the checkpoint is served: ")), "{file}: {ready}");
        assert!(ready.contains("the registry has been mended"), "{file}: {ready}");
        assert!(run.get("/models").contains(&format!("\"champion\":{newest}")), "{file}");
        assert!(run.says("warning: model x: version "), "{file}");
        run.stop();
        if file != "the newest move" {
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{file} has been written again");
        }
        assert_eq!(history(), moves, "{file}");
        // Nothing is left to be said.
        let run = clicks.start("home", &[]);
        eventually("ready", || run.get("/health/ready").starts_with("HTTP/1.1 200"));
        let ready = run.get("/health/ready");
        assert!(!ready.contains("warnings"), "{file}: {ready}");
        run.stop();
    }
}
