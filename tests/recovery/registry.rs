//! The registry on a folder: what is written is what is served, whatever happens in between.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::training::{DAY, Trial, examples, generate};
use tidemill::blob::BlobError;
use tidemill::model::{Decision, Gate, ModelOptions, Version};
use tidemill::registry::{
    CHAMPION, Follower, LiveModels, MoveByHand, Offsets, Publication, Registry, RegistryError, ScorePoint, When,
    Writer, decode, encode,
};

pub fn versions(windows: i64) -> Vec<Version> {
    let options = ModelOptions { hash_bits: 8, bins: 4, ..ModelOptions::default() };
    Trial::new(generate(300 * windows as usize, 3, windows)).run(&options).versions
}

pub fn publication(version: &Version) -> Publication {
    Publication {
        model: "late".into(),
        version: version.clone(),
        offsets: Offsets::from([("departures".to_owned(), [(0, 17), (1, 4)].into())]),
        definition: "abc".into(),
        wall_time: 1_700_000_000_000,
    }
}

/// Publishes versions one after the other.
pub fn publish(registry: &Registry, versions: &[Version]) {
    versions.iter().for_each(|version| drop(registry.publish(&publication(version)).unwrap()));
}

/// A move that holds from an event time on, made at the epoch.
fn at(event: i64) -> When {
    When { event, wall: 0 }
}

/// A move by hand that holds from an event time on.
fn by_ann(alias: &str, event: i64) -> MoveByHand<'_> {
    MoveByHand { alias, when: at(event), reason: "to compare", by: "ann", reverts: None }
}

pub fn registry(folder: &Path) -> Registry {
    Registry::open(&format!("file://{}", folder.display())).unwrap()
}

fn predictions(predictor: &tidemill::model::Predictor) -> Vec<u64> {
    let rows = generate(100, 99, 1);
    let columns = examples(predictor.kind().task, &rows).columns;
    predictor.predict(&columns, rows.len()).values().iter().map(|p| p.to_bits()).collect()
}

#[test]
fn a_version_read_back_predicts_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    for version in versions(3) {
        let written = registry.publish(&publication(&version)).unwrap();
        let (manifest, predictor) = registry.load("late", version.number).unwrap();
        assert_eq!(manifest, written);
        assert_eq!(predictions(&predictor), predictions(&version.predictor));
        assert_eq!(encode(&predictor), encode(&version.predictor), "bytes are a function of the predictor");
    }
    assert_eq!(registry.models().unwrap(), ["late"]);
    assert_eq!(registry.versions("late").unwrap(), [1, 2, 3]);
    assert_eq!(registry.versions("never").unwrap(), [0; 0]);
}

#[test]
fn model_json_is_as_the_contract_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(2));
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(path)).unwrap()).unwrap()
    };
    let json = read("late/2/model.json");
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "checksum decision definition examples kind name offsets parent reason scores sha256 version window";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(json["window"]["start"], "1970-01-02T00:00:00.000Z");
    assert_eq!(json["offsets"]["departures"]["1"], 4);
    assert!(json["scores"]["1"]["logloss"].is_f64());
    let made = read("late/history/2.json");
    assert_eq!((&made["aliases"]["champion"], &made["time"]), (&2.into(), &"1970-01-03T00:00:00.000Z".into()));
    assert_eq!((&made["moved"], &made["by"]), (&"champion".into(), &"trainer".into()));
}

#[test]
fn publishing_again_changes_nothing_and_a_move_by_hand_stands() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let versions = versions(3);
    publish(&registry, &versions);
    registry.promote("late", 1, &by_ann(CHAMPION, 4 * DAY)).unwrap();
    let before = registry.history("late").unwrap();
    publish(&registry, &versions);
    assert_eq!(registry.history("late").unwrap(), before);
    assert_eq!(registry.aliases("late").unwrap()[CHAMPION], 1);
}

#[test]
fn a_version_that_is_made_again_after_it_was_deleted_is_champion_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let versions = versions(4);
    let publish_and_retain = |version: &Version| {
        registry.publish(&publication(version)).unwrap();
        registry.retain("late", 2).unwrap();
    };
    versions.iter().for_each(publish_and_retain);
    let history = registry.history("late").unwrap();
    versions[1..].iter().for_each(publish_and_retain);
    assert_eq!(registry.history("late").unwrap(), history);
    assert_eq!(registry.aliases("late").unwrap()[CHAMPION], 4);

    // Made from something else, it is champion, whatever was champion later.
    let other = |version: &Version| Publication { definition: "other".into(), ..publication(version) };
    registry.publish(&other(&versions[0])).unwrap();
    assert_eq!(registry.aliases("late").unwrap()[CHAMPION], 1);
    registry.publish(&other(&versions[3])).unwrap();
    assert_eq!(registry.aliases("late").unwrap()[CHAMPION], 4);
}

#[test]
fn the_champion_at_any_time_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(3));
    registry.rollback("late", &by_ann(CHAMPION, 3 * DAY + 5)).unwrap();
    let champion = |t| registry.champion_at("late", t).unwrap();
    let champions = [champion(DAY - 1), champion(DAY), champion(2 * DAY), champion(3 * DAY), champion(3 * DAY + 5)];
    assert_eq!(champions, [None, Some(1), Some(2), Some(3), Some(2)]);
    assert!(matches!(
        registry.promote("late", 9, &by_ann(CHAMPION, 0)),
        Err(RegistryError::NoVersion { version: 9, .. })
    ));
}

#[test]
fn rolling_back_again_leads_to_the_first_champion() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(4));
    let back = || registry.rollback("late", &by_ann(CHAMPION, 5 * DAY)).map(|entry| entry.made.aliases[CHAMPION]);
    assert_eq!([back().unwrap(), back().unwrap(), back().unwrap()], [3, 2, 1]);
    assert!(matches!(back(), Err(RegistryError::NoEarlierChampion { .. })));
    let numbers: Vec<u64> = registry.history("late").unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
}

#[test]
fn a_rollback_takes_back_a_promotion_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(4));
    let promote = |version| registry.promote("late", version, &by_ann(CHAMPION, 5 * DAY)).unwrap();
    let back = || registry.rollback("late", &by_ann(CHAMPION, 5 * DAY)).unwrap().made;
    for promoted in [1, 3] {
        let number = promote(promoted).number;
        let made = back();
        assert_eq!((made.aliases[CHAMPION], made.reverts), (4, Some(number)), "{promoted}");
    }
    promote(2);
    promote(1);
    assert_eq!([back(), back(), back(), back()].map(|made| made.aliases[CHAMPION]), [2, 4, 3, 2]);
    // A promotion after rollbacks is taken back, too.
    promote(4);
    assert_eq!([back(), back()].map(|made| made.aliases[CHAMPION]), [2, 1]);
}

#[test]
fn writers_at_once_append_all_their_moves_each_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    versions(2).iter().for_each(|version| drop(registry(folder.path()).publish(&publication(version)).unwrap()));
    std::thread::scope(|scope| {
        for alias in ["a", "b", "c"] {
            // Each has a registry of its own, as another process has.
            let registry = registry(folder.path());
            scope.spawn(move || {
                for version in [1, 2, 1, 2, 1, 2, 1, 2] {
                    registry.promote("late", version, &by_ann(alias, 2 * DAY)).unwrap();
                }
            });
        }
    });
    let history = registry(folder.path()).history("late").unwrap();
    assert_eq!(history.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=26).collect::<Vec<_>>());
    for pair in history.windows(2) {
        let (mut before, after) = (pair[0].made.aliases.clone(), &pair[1].made);
        before.insert(after.moved.clone(), after.aliases[&after.moved]);
        assert_eq!(before, after.aliases, "move {}", pair[1].number);
    }
    let moved = |alias: &str| history.iter().filter(|entry| entry.made.moved == alias).count();
    assert_eq!([moved("a"), moved("b"), moved("c"), moved(CHAMPION)], [8, 8, 8, 2]);
}

#[test]
fn moves_of_other_processes_take_effect_in_a_running_job() {
    let folder = tempfile::tempdir().unwrap();
    let (job, other) = (registry(folder.path()), registry(folder.path()));
    let versions = versions(5);
    let live = Arc::new(LiveModels::new(["late".to_owned()], 2));
    let mut follower = Follower::new(live.clone());
    let publish = |version: &Version| {
        live.install(&publication(version));
        job.publish(&publication(version)).unwrap();
    };
    let champion = || live.champion("late").unwrap().version;
    let mut poll = || {
        let mut moves = Vec::new();
        follower.poll(&job, |model, made| moves.push((model.to_owned(), made.aliases.clone(), made.is_by_hand())));
        moves
    };
    versions[..4].iter().for_each(publish);
    assert_eq!((poll().len(), poll().len(), champion()), (1, 0, 4));
    // Version 1 is no longer in memory.
    other.promote("late", 1, &by_ann(CHAMPION, 4 * DAY)).unwrap();
    assert_eq!(poll(), [("late".to_owned(), [(CHAMPION.to_owned(), 1)].into(), true)]);
    assert_eq!(
        (champion(), predictions(&live.champion("late").unwrap().predictor)),
        (1, predictions(&versions[0].predictor))
    );
    // Other aliases do not move the champion; the trainer's next version does.
    other.promote("late", 3, &by_ann("canary", 4 * DAY)).unwrap();
    assert_eq!((poll()[0].1["canary"], champion()), (3, 1));
    publish(&versions[4]);
    assert_eq!((champion(), poll()[0].2, champion()), (5, false, 5));
    // A version that cannot be read leaves the champion as it is, and so does a damaged move.
    other.promote("late", 2, &by_ann(CHAMPION, 5 * DAY)).unwrap();
    std::fs::write(folder.path().join("late/2/weights.safetensors"), "none").unwrap();
    assert_eq!((poll().len(), champion()), (1, 5));
    assert!(other.promote("late", 2, &by_ann(CHAMPION, 5 * DAY)).is_err(), "its weights are damaged");
    let entry = other.promote("late", 1, &by_ann(CHAMPION, 5 * DAY)).unwrap();
    std::fs::write(folder.path().join(format!("late/history/{}.json", entry.number)), "{").unwrap();
    assert_eq!((poll().len(), champion()), (0, 5));
}

#[test]
fn versions_that_are_made_again_after_a_restart_do_not_undo_a_move_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let versions = versions(5);
    publish(&registry, &versions[..4]);
    registry.promote("late", 1, &by_ann(CHAMPION, 4 * DAY)).unwrap();
    let live = Arc::new(LiveModels::new(["late".to_owned()], 4));
    assert!(live.restore(&registry, |_| None, at(0)).errors.is_empty());
    let mut follower = Follower::new(live.clone());
    let mut champion = |version: &Version| {
        live.install(&publication(version));
        registry.publish(&publication(version)).unwrap();
        let installed = live.champion("late").unwrap().version;
        follower.poll(&registry, |_, _| {});
        (installed, live.champion("late").unwrap().version)
    };
    assert_eq!([champion(&versions[2]), champion(&versions[3]), champion(&versions[4])], [(1, 1), (1, 1), (5, 5)]);
}

#[test]
fn scores_stay_when_versions_are_deleted_and_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let versions = versions(4);
    let publish_and_retain = |version: &Version| {
        registry.publish(&publication(version)).unwrap();
        registry.retain("late", 2).unwrap();
    };
    versions.iter().for_each(publish_and_retain);
    let points = registry.scores("late").unwrap();
    let expected: Vec<ScorePoint> = versions.iter().map(ScorePoint::of).collect();
    assert_eq!(points, expected);
    assert_eq!(registry.versions("late").unwrap(), [3, 4], "the points outlive their versions");
    assert!(points[0].champion.is_empty() && points[3].champion["logloss"] < points[3].no_skill["logloss"]);
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("late/scores/1.json")).unwrap()).unwrap();
    assert_eq!(
        (&json["points"][1]["version"], &json["points"][1]["window_end"]),
        (&2.into(), &"1970-01-03T00:00:00.000Z".into())
    );
    // Writing again changes nothing, and damage costs only what was in the object.
    versions.iter().for_each(publish_and_retain);
    assert_eq!(registry.scores("late").unwrap(), expected);
    std::fs::write(folder.path().join("late/scores/1.json"), "{").unwrap();
    assert_eq!(registry.scores("late").unwrap(), []);
    publish_and_retain(&versions[3]);
    assert_eq!(registry.scores("late").unwrap(), expected[3..]);
    // Versions of another definition start a new list.
    registry.publish(&Publication { definition: "other".into(), ..publication(&versions[0]) }).unwrap();
    assert_eq!(registry.scores("late").unwrap(), expected[..1]);
    assert_eq!((registry.models().unwrap(), registry.scores("never").unwrap()), (vec!["late".to_owned()], vec![]));
}

#[test]
fn a_champion_that_falls_behind_is_rolled_back_in_the_registry_and_in_service() {
    let mut rows = generate(6000, 31, 6);
    rows.iter_mut().filter(|row| row.known / DAY == 3).for_each(|row| row.label = 1.0 - row.label);
    let publish = Some(Gate {
        metric: "accuracy".into(),
        tolerance: 1e9,
        holdout: 0.2,
        windows: 3,
        unanswered: Default::default(),
        rollback: Some(0.2),
    });
    let versions = Trial::new(rows).run(&ModelOptions { hash_bits: 8, publish, ..ModelOptions::default() }).versions;
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let live = LiveModels::new(["late".to_owned()], 8);
    let mut champions = Vec::new();
    for version in &versions {
        live.install(&publication(version));
        registry.publish(&publication(version)).unwrap();
        registry.retain("late", 1).unwrap();
        champions.push((live.champion("late").unwrap().version, registry.aliases("late").unwrap()[CHAMPION]));
    }
    assert_eq!(champions, [1, 2, 3, 4, 3, 6].map(|champion| (champion, champion)));
    let history = registry.history("late").unwrap();
    let moved = &history[4].made;
    assert_eq!((moved.aliases[CHAMPION], moved.time, moved.by.as_str()), (3, 5 * DAY, "trainer"));
    // The move that made version 4 champion.
    assert_eq!(moved.reverts, Some(4));
    assert!(moved.reason.contains("version 4, which is rolled back to version 3"), "{}", moved.reason);
    // Publishing again after a restart repeats no move.
    let restarted = LiveModels::new(["late".to_owned()], 8);
    assert!(restarted.restore(&registry, |_| None, at(0)).errors.is_empty());
    for version in &versions[3..] {
        restarted.install(&publication(version));
        registry.publish(&publication(version)).unwrap();
        assert_eq!(restarted.champion("late").unwrap().version, 6);
    }
    assert_eq!(registry.history("late").unwrap(), history);
}

#[test]
fn two_writers_of_one_history_lose_no_move() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (registry(folder.path()), registry(folder.path()));
    for version in versions(3) {
        one.publish(&publication(&version)).unwrap();
        other.promote("late", version.number, &by_ann("challenger", 0)).unwrap();
    }
    let history = one.history("late").unwrap();
    assert_eq!(history.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(history[4].made.aliases, [(CHAMPION.to_owned(), 3), ("challenger".to_owned(), 2)].into());
}

#[test]
fn the_oldest_versions_go_but_never_one_that_an_alias_points_to() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(5));
    registry.promote("late", 2, &by_ann("challenger", 5 * DAY)).unwrap();
    assert_eq!(registry.retain("late", 2).unwrap(), [1, 3]);
    assert_eq!(registry.versions("late").unwrap(), [2, 4, 5]);
    // The champion before the present one stays, so that there is one to roll back to.
    assert_eq!(registry.retain("late", 1).unwrap(), [0; 0]);
    assert_eq!(registry.earlier_champion("late").unwrap().map(|earlier| earlier.version), Some(4));
}

#[test]
fn the_trainers_champion_and_the_one_before_it_stay_whatever_is_moved_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(5));
    for version in [1, 2] {
        registry.promote("late", version, &by_ann(CHAMPION, 5 * DAY)).unwrap();
    }
    // The trainer compares with 5 and can roll back to 4; by hand, 2 can be taken back to 1.
    assert_eq!(registry.retain("late", 1).unwrap(), [3]);
    assert_eq!(registry.versions("late").unwrap(), [1, 2, 4, 5]);
}

#[test]
fn damage_is_named_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let version = versions(1).remove(0);
    registry.publish(&publication(&version)).unwrap();
    let weights = folder.path().join("late/1/weights.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    for at in 0..whole.len() {
        assert!(decode(&whole[..at], "weights").is_err(), "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Ok(predictor) = decode(&flipped, "weights") {
            assert!(predictor.inputs().len() < 100);
        }
    }
    std::fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(registry.load("late", 1), Err(RegistryError::HashMismatch { .. })));
    std::fs::remove_file(&weights).unwrap();
    assert!(matches!(registry.load("late", 1), Err(RegistryError::NoVersion { .. })));
    let manifest = folder.path().join("late/1/model.json");
    let json = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &json[..json.len() / 2]).unwrap();
    assert!(matches!(registry.load("late", 1), Err(RegistryError::DamagedJson { .. })));
    // Publishing again mends it.
    registry.publish(&publication(&version)).unwrap();
    assert_eq!(predictions(&registry.load("late", 1).unwrap().1), predictions(&version.predictor));
}

#[test]
fn a_url_that_is_no_folder_is_refused() {
    assert!(matches!(Registry::open("gs://bucket"), Err(RegistryError::Store { source: BlobError::Url(_) })));
    assert!(matches!(Registry::open("/dev/null/x"), Err(RegistryError::Store { source: BlobError::Folder { .. } })));
}

#[test]
fn the_writer_writes_in_order_and_shows_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let live = Arc::new(LiveModels::new(["late".to_owned()], 2));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (showing, told) = (Arc::clone(&live), Arc::clone(&seen));
    let written = move |manifest: tidemill::registry::Manifest, deleted: &[u64]| {
        told.lock().unwrap().push(manifest.version);
        showing.stored(&manifest, deleted);
    };
    let writer = Writer::start(registry(folder.path()), 2, written, |_| {}).unwrap();
    let versions = versions(4);
    for version in &versions {
        live.install(&publication(version));
        writer.publish(publication(version));
        assert_eq!(live.champion("late").unwrap().version, version.number, "live at once, written later");
    }
    writer.finish().unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4]);
    assert_eq!(live.manifests("late").iter().map(|m| m.version).collect::<Vec<_>>(), [3, 4]);

    let restarted = LiveModels::new(["late".to_owned(), "new".to_owned()], 2);
    assert!(restarted.restore(&registry(folder.path()), |_| None, at(0)).errors.is_empty());
    let champion = restarted.champion("late").unwrap();
    assert_eq!((champion.version, champion.window_end), (4, versions[3].window_end));
    assert_eq!(predictions(&champion.predictor), predictions(&versions[3].predictor));
    assert!(restarted.champion("new").is_none() && restarted.version("late", 3).is_some());
}

#[test]
fn a_registry_that_is_away_for_a_while_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder.path().join("registry"));
    // A file stands where the model's folder should be.
    let obstacle = folder.path().join("registry/late");
    std::fs::write(&obstacle, "").unwrap();
    let writer = Writer::start(registry.clone(), 9, |_, _| {}, |_| {}).unwrap();
    writer.publish(publication(&versions(1)[0]));
    std::thread::sleep(std::time::Duration::from_millis(150));
    std::fs::remove_file(&obstacle).unwrap();
    writer.finish().unwrap();
    assert_eq!(registry.versions("late").unwrap(), [1]);
}

#[test]
fn a_refused_version_is_kept_with_its_reason_and_moves_nothing() {
    let mut rows = generate(3000, 31, 4);
    rows.iter_mut().filter(|row| row.known / DAY == 2).for_each(|row| row.label = 1.0 - row.label);
    let gate = Some(Gate {
        metric: "logloss".into(),
        tolerance: 0.02,
        holdout: 0.2,
        windows: 3,
        unanswered: Default::default(),
        rollback: None,
    });
    let versions =
        Trial::new(rows).run(&ModelOptions { hash_bits: 8, publish: gate, ..ModelOptions::default() }).versions;
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions);
    let refused = versions.iter().find(|version| version.decision == Decision::Refused).unwrap();
    let manifest = registry.manifest("late", refused.number).unwrap();
    assert_eq!((manifest.decision.as_str(), manifest.reason.as_str()), ("refused", refused.reason.as_str()));
    assert!(manifest.scores.contains_key(&refused.number) && manifest.scores.len() == 2);
    assert!(registry.history("late").unwrap().iter().all(|entry| entry.made.aliases[CHAMPION] != refused.number));
}

#[test]
fn the_versions_that_are_listed_can_be_asked_for_while_the_registry_lags_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder.path().join("registry"));
    let live = Arc::new(LiveModels::new(["late".to_owned()], 2));
    let listed = |live: &LiveModels| live.manifests("late").iter().map(|manifest| manifest.version).collect::<Vec<_>>();
    let askable = |live: &LiveModels| {
        let can = |version: &u64| live.version("late", *version).is_some() || registry.load("late", *version).is_ok();
        (0..20).filter(can).collect::<Vec<_>>()
    };
    // Nothing can be written: the newest versions and the champion are in memory, the others nowhere.
    let obstacle = folder.path().join("registry/late");
    std::fs::write(&obstacle, "").unwrap();
    let showing = live.clone();
    let writer =
        Writer::start(registry.clone(), 3, move |manifest, deleted| showing.stored(&manifest, deleted), |_| {})
            .unwrap();
    let versions = versions(6);
    for version in &versions {
        live.install(&publication(version));
        writer.publish(publication(version));
        assert!(listed(&live).contains(&live.champion("late").unwrap().version));
    }
    assert_eq!((listed(&live), askable(&live)), (vec![5, 6], vec![5, 6]));
    let made = live.manifests("late");
    // All are written, and those beyond three deleted again.
    std::fs::remove_file(&obstacle).unwrap();
    writer.finish().unwrap();
    assert_eq!((listed(&live), askable(&live)), (vec![4, 5, 6], vec![4, 5, 6]));
    assert_eq!(&live.manifests("late")[1..], &made[..], "the manifest of a version is the one that is written");
    // A restart lists what the registry has, in memory or not.
    let restarted = LiveModels::new(["late".to_owned()], 1);
    assert!(restarted.restore(&registry, |_| None, at(0)).errors.is_empty());
    assert_eq!((listed(&restarted), askable(&restarted)), (vec![4, 5, 6], vec![4, 5, 6]));
}

#[test]
fn a_registry_thread_that_panics_is_known_to_the_process_which_can_then_end() {
    let folder = tempfile::tempdir().unwrap();
    let writer =
        Writer::start(registry(folder.path()), 2, |manifest, _| panic!("version {}", manifest.version), |_| {})
            .unwrap();
    writer.publish(publication(&versions(1)[0]));
    let end = loop {
        if let Some(end) = tidemill::threads::process().first_end() {
            break end;
        }
        std::thread::yield_now();
    };
    assert_eq!(end.to_string(), "thread registry has panicked: version 1");
    assert_eq!(writer.written(), 0, "so that no checkpoint counts on it");
}
