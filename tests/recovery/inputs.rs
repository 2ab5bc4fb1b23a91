//! Inputs that are mostly bad, and a run that is started from an earlier checkpoint.

use std::process::Command;

use crate::disk_full::{Small, row, said, tidemill};

/// A record whose time cannot be read.
fn bad(n: i64) -> (String, String, String) {
    ("user".to_owned(), n.to_string(), "31.01.2020 08:00".to_owned())
}

/// Records of which every `nth` is bad.
fn small(count: i64, nth: i64) -> Small {
    Small::new((0..count).map(|n| if n % nth == 0 { bad(n) } else { row(n, "user", n * 1000) }))
}

/// Replays into a folder and returns stderr; the replay must end with this exit code.
fn replay(small: &Small, code: i32, set: &str) -> String {
    let mut command = tidemill();
    command.arg("replay").arg(small.home("small.toml")).arg("--config").arg(small.home("config.toml"));
    command.arg("--out").arg(small.home("out")).args(["--set", set]);
    said(command.output().unwrap(), code)
}

fn letters(small: &Small, folder: &str) -> usize {
    std::fs::read_to_string(small.home(folder).join("dead_letters.jsonl")).unwrap().lines().count()
}

#[test]
fn a_replay_and_a_run_of_bad_records_end_with_the_reasons() {
    let all_bad = small(3, 1);
    let why = "error: asks: 3 of the 3 records are dead letters, more than max_dead_letters = 0.1 allows: unparsable_time 3; \
               the first is partition 0, offset 0: ";
    let stderr = replay(&all_bad, 1, "workers=1");
    assert!(stderr.contains(why) && stderr.contains("31.01.2020 08:00"), "{stderr}");
    assert_eq!(letters(&all_bad, "out"), 3);
    let stderr = said(all_bad.run(tidemill(), "home", &[]), 1);
    assert!(stderr.contains(why), "{stderr}");
    assert_eq!(letters(&all_bad, "home/small"), 3);

    let many_bad = small(20_000, 8);
    let stderr = replay(&many_bad, 1, "workers=2");
    assert!(stderr.contains("error: asks: 1250 of the first 10000 records are dead letters"), "{stderr}");
    let stderr = replay(&many_bad, 0, "max_dead_letters=0.125");
    assert!(stderr.contains("warning: asks: 2500 of 20000 records are dead letters: unparsable_time 2500"), "{stderr}");
    assert_eq!(letters(&many_bad, "out"), 2500);

    let few = small(20, 2);
    let stderr = replay(&few, 0, "workers=1");
    assert!(stderr.contains("warning: asks: 10 of 20 records are dead letters"), "{stderr}");
}

#[test]
fn a_run_that_is_started_from_an_earlier_checkpoint_forgets_the_later_ones_and_what_was_overtaken() {
    let small = Small::new((0..20_000).map(|n| row(n, &format!("user{}", n % 10), n * 1000)));
    let expected = small.expected();
    small.begins(tidemill(), "home");
    let checkpoints = small.home("home").join("small/checkpoints");
    let kept = ["play.speed=100000", "checkpoint.interval=20ms", "checkpoint.keep=1000"];
    small.ends("home", &kept);
    assert!(checkpoints.join("00000003.json").exists(), "several checkpoints");
    // A record that event time had left behind, by far.
    let overtaken = r#"{"source":"asks","topic":"asks","partition":0,"offset":15000,"time":1577900000000}"#;
    let checksum = &tidemill::hash::sha256(overtaken)[..16];
    let overtaken = overtaken.replace('}', &format!(",\"checksum\":\"{checksum}\"}}"));
    std::fs::create_dir_all(checkpoints.join("journal")).unwrap();
    std::fs::write(checkpoints.join("journal/00000001.jsonl"), format!("{overtaken}\n")).unwrap();

    let start = |path: &str| {
        let mut command: Command = tidemill();
        let command = small.told(&mut command, "home", &["play.speed=max"]).arg("--until-end");
        command.arg("--checkpoint").arg(checkpoints.join(path)).output().unwrap()
    };
    let stderr = said(start("00000777.json"), 2);
    assert!(stderr.contains("error: --checkpoint: ") && stderr.contains("No such file"), "{stderr}");
    std::fs::write(checkpoints.join("../00000001.json"), "{}").unwrap();
    let stderr = said(start("../00000001.json"), 2);
    assert!(stderr.contains("expected a manifest NUMBER.json in"), "{stderr}");
    let stderr = said(start("00000001.json"), 0);
    assert!(stderr.contains("resuming from checkpoint 1,") && stderr.contains("checkpoint 3 is set aside"), "{stderr}");
    assert_eq!(small.digest("home"), expected);
    assert!(checkpoints.join("00000003.json.set_aside").exists() && !checkpoints.join("00000003.json").exists());
    assert!(!checkpoints.join("journal/00000001.jsonl").exists());
}
