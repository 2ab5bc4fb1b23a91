//! Files on disk that are not as they were written: each is named, and what can be served or mended from others is.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Fields};
use tidemill::checkpoint::{CheckpointError, CheckpointStore, Fingerprint, NewestCheckpoint, StoredCheckpoint};
use tidemill::registry::{CHAMPION, LiveModels, Registry, SavedChampion, When};
use tidemill::source::{DeadLetterFile, KeptLetters};
use tidemill::store::offline::{FinishedFile, OrderedFile, SavedFile};
use tidemill::time::PartitionId;
use tidemill::value::{AckToken, Batch};

use crate::common::training::DAY;
use crate::registry::{publication, publish, registry, versions};

fn columns() -> Fields {
    [Field::new("user", DataType::Utf8, true)].into_iter().collect()
}

fn rows(from: i64) -> Batch {
    let times: ScalarBuffer<i64> = (from..from + 20).collect();
    let users: Vec<String> = times.iter().map(|time| format!("user {}", time % 7)).collect();
    let column: ArrayRef = Arc::new(StringArray::from(users.clone()));
    let sort_key = BinaryArray::from_iter_values(users.iter().map(String::as_bytes));
    Batch { times: times.clone(), event_times: times, sort_key, columns: vec![column], ack: AckToken::default() }
}

fn open(path: &Path) -> OrderedFile {
    OrderedFile::in_parts(path, &columns(), None)
}

/// Finishes a file from where it was saved.
fn finish(path: &Path, saved: &SavedFile) -> Result<FinishedFile, String> {
    let mut file = open(path);
    let resumed = file.resume(saved, Vec::new()).and_then(|()| file.finish());
    resumed.map_err(|error| tidemill::error::chain(&error))
}

#[test]
fn a_bit_that_changes_anywhere_in_a_closed_part_is_an_error_that_names_the_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features/user.parquet");
    let mut file = open(&path);
    file.begin().unwrap();
    file.push(rows(0));
    file.save(20).unwrap();
    file.push(rows(20));
    let saved = file.save(40).unwrap().0;
    drop(file);
    let expected = finish(&path, &saved).unwrap();
    assert_eq!(expected.content.rows, 40);
    let gathered = std::fs::read(&path).unwrap();
    assert_eq!(tidemill::hash::sha256(&gathered), expected.sha256);

    for part in ["features/user.parts/00000001.parquet", "features/user.parts/00000002.parquet"] {
        let part = folder.path().join(part);
        let whole = std::fs::read(&part).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&part, flipped).unwrap();
            let said = finish(&path, &saved).map(|file| panic!("byte {at}: {file:?}")).unwrap_err();
            assert!(said.contains(&format!("{}: is damaged: its sha256 is", part.display())), "{said}");
            assert!(!path.exists(), "half a file would look like a whole one");
        }
        std::fs::write(&part, &whole[..whole.len() - 1]).unwrap();
        assert!(finish(&path, &saved).unwrap_err().contains("is damaged"), "a part that is cut");
        std::fs::remove_file(&part).unwrap();
        assert!(finish(&path, &saved).unwrap_err().contains("it does not exist"));
        std::fs::write(&part, whole).unwrap();
    }
    assert_eq!(finish(&path, &saved).unwrap(), expected);
    assert_eq!(std::fs::read(&path).unwrap(), gathered);
}

fn fingerprint() -> Fingerprint {
    let topics = [("asks".to_owned(), "files".to_owned())].into();
    Fingerprint { dataflow: "small".to_owned(), definition: "d".to_owned(), topics }
}

fn newest(store: &CheckpointStore) -> NewestCheckpoint {
    store.newest(|_| None).expect("the store can be listed")
}

#[test]
fn a_checkpoint_is_believed_only_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path().to_str().unwrap()).unwrap();
    for time in [1_000, 2_000] {
        let parts = [("features.user".to_owned(), vec![b"one".to_vec(), b"two".to_vec()])];
        store.write(&fingerprint(), time, parts, 3).unwrap();
    }
    let time = |found: &NewestCheckpoint| found.checkpoint.as_ref().map(|checkpoint| checkpoint.time);
    assert_eq!(time(&newest(&store)), Some(2_000));
    for name in ["00000002.json", "00000002/features.user"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let found = newest(&store);
            assert_eq!((time(&found), found.skipped.len()), (Some(1_000), 1), "{name}, bit {bit}");
            assert!(found.skipped[0].to_string().contains("00000002"), "{:?}", found.skipped);
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert_eq!(time(&newest(&store)), Some(1_000), "{name} with a byte more");
        std::fs::write(&path, &whole).unwrap();
    }
    // The manifest of another checkpoint, and one in which something is wrong by what it says.
    let manifest = std::fs::read(folder.path().join("00000001.json")).unwrap();
    std::fs::write(folder.path().join("00000003.json"), manifest).unwrap();
    let found = newest(&store);
    assert_eq!(time(&found), Some(2_000));
    assert!(found.skipped[0].to_string().contains("it is the manifest of checkpoint 1"), "{:?}", found.skipped);
    let fault = |found: &StoredCheckpoint| (found.time == 2_000).then(|| "its ledger does not add up".to_owned());
    let found = store.newest(fault).unwrap();
    assert_eq!((time(&found), found.skipped.len()), (Some(1_000), 2));
}

#[test]
fn a_checkpoint_of_an_earlier_format_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path().to_str().unwrap()).unwrap();
    std::fs::write(folder.path().join("00000001.json"), "{\"format\": 4, \"number\": 1}\n").unwrap();
    assert!(matches!(store.newest(|_| None), Err(CheckpointError::Format { format: 4, .. })));
}

#[test]
fn a_line_that_is_no_dead_letter_is_kept_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let letter = |offset: u64| format!("{{\"source\":\"s\",\"topic\":\"t\",\"partition\":1,\"offset\":{offset}}}\n");
    let damaged = "{\"source\":\"s\",\"par\n\u{0}\u{0}\n";
    std::fs::write(&path, [&letter(1), damaged, &letter(2), &letter(9), "{\"source\":"].concat()).unwrap();
    let known = |id: &PartitionId, offset| id.partition == 1 && offset < 5;
    let (file, kept) = DeadLetterFile::resume(&path, known).unwrap();
    let id = PartitionId { source: "s".to_owned(), partition: 1 };
    assert_eq!(kept, KeptLetters { by_partition: [(id, 2)].into(), unreadable: 2, incomplete: true });
    file.sync().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, [&letter(1), damaged, &letter(2)].concat(), "but for a line without its end");
}

/// A registry with three versions, the checkpoint's champion, and a restart from them.
struct Restart {
    folder: tempfile::TempDir,
    registry: Registry,
    saved: SavedChampion,
}

impl Restart {
    fn new(champion: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let versions = versions(3);
        let manifests: Vec<_> =
            versions.iter().map(|version| registry.publish(&publication(version)).unwrap()).collect();
        let version = &versions[champion - 1];
        let saved = SavedChampion {
            version: version.number,
            window_end: version.window_end,
            predictor: version.predictor.clone(),
            manifest: Some(manifests[champion - 1].clone()),
        };
        Restart { folder, registry, saved }
    }

    /// Returns the champion that is served and what is said about it.
    fn run(&self, with_checkpoint: bool) -> (Option<u64>, Option<String>) {
        let live = LiveModels::new(["late".to_owned()], 16);
        let saved = |_: &str| Some(self.saved.clone()).filter(|_| with_checkpoint);
        let when = When { event: 4 * DAY, wall: 0 };
        let mut restored = live.restore(&self.registry, saved, when);
        (live.champion("late").map(|champion| champion.version), restored.substitutes.remove("late"))
    }

    fn flip(&self, path: &str) {
        let path = self.folder.path().join(path);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 4;
        std::fs::write(path, bytes).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).unwrap();
    }

    fn champion(&self) -> u64 {
        self.registry.aliases("late").unwrap()[CHAMPION]
    }
}

/// A change of the files of a registry.
type Damage = fn(&Restart);

#[test]
fn a_damaged_champion_is_served_from_the_checkpoint_and_written_again() {
    let damage: [(&str, Damage); 5] = [
        ("weights", |restart| restart.flip("late/3/weights.safetensors")),
        ("no weights", |restart| restart.remove("late/3/weights.safetensors")),
        ("model.json", |restart| restart.flip("late/3/model.json")),
        ("no model.json", |restart| restart.remove("late/3/model.json")),
        ("nothing", |restart| std::fs::remove_dir_all(restart.folder.path().join("late")).unwrap()),
    ];
    for (what, damage) in damage {
        let restart = Restart::new(3);
        assert_eq!(restart.run(true), (Some(3), None));
        damage(&restart);
        let (served, said) = restart.run(true);
        let said = said.unwrap_or_else(|| panic!("{what}: nothing is said"));
        assert_eq!(served, Some(3), "{what}");
        assert!(said.starts_with("version 3 of the checkpoint is served: "), "{what}: {said}");
        assert!(said.ends_with("the registry has been mended"), "{what}: {said}");
        assert_eq!(restart.registry.load("late", 3).unwrap().0, restart.saved.manifest.clone().unwrap(), "{what}");
        assert_eq!((restart.run(true), restart.champion()), ((Some(3), None), 3), "{what}: nothing is left to say");
    }
}

#[test]
fn without_a_checkpoint_the_newest_whole_version_is_served() {
    let restart = Restart::new(3);
    restart.flip("late/3/weights.safetensors");
    let (served, said) = restart.run(false);
    assert_eq!(served, Some(2));
    assert!(said.unwrap().starts_with("version 2 of the registry is served: `late/3/weights.safetensors` is damaged"));
    restart.remove("late/2/model.json");
    assert_eq!(restart.run(false).0, Some(1));
}

#[test]
fn a_history_that_is_damaged_or_names_a_version_that_is_not_there_is_mended() {
    // The newest move cannot be read, or is believed and names a version that does not exist.
    for (text, said_first) in [
        (None, "is damaged"),
        (
            Some(
                "{\"time\":\"1970-01-04T00:00:00Z\",\"wall_time\":\"1970-01-04T00:00:00Z\",\"aliases\":{\"champion\":0},\"moved\":\"champion\",\"reason\":\"\",\"by\":\"x\"}",
            ),
            "has no version 0",
        ),
        (
            Some(
                "{\"time\":\"1970-01-04T00:00:00Z\",\"wall_time\":\"1970-01-04T00:00:00Z\",\"aliases\":{},\"moved\":\"champion\",\"reason\":\"\",\"by\":\"x\"}",
            ),
            "names no champion",
        ),
    ] {
        let restart = Restart::new(3);
        let newest = restart.folder.path().join("late/history/3.json");
        match text {
            None => restart.flip("late/history/3.json"),
            Some(text) => std::fs::write(&newest, text).unwrap(),
        }
        let (served, said) = restart.run(true);
        let said = said.unwrap();
        assert_eq!(served, Some(3), "{said}");
        assert!(said.contains(said_first) && said.ends_with("the registry has been mended"), "{said}");
        assert_eq!((restart.run(true), restart.champion()), ((Some(3), None), 3));
        assert!(restart.folder.path().join("late/history/4.json").exists(), "no move is changed");
    }
    // A version that was made after the checkpoint is made again: its move stands.
    let restart = Restart::new(2);
    restart.remove("late/3/model.json");
    let (served, said) = restart.run(true);
    assert_eq!((served, restart.champion()), (Some(2), 3), "{said:?}");
    assert!(said.unwrap().contains("has no version 3"));
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    let restart = Restart::new(3);
    let path = |version: u64| restart.folder.path().join(format!("late/{version}/model.json"));
    std::fs::copy(path(2), path(3)).unwrap();
    let error = restart.registry.load("late", 3).unwrap_err().to_string();
    assert_eq!(error, "`late/3/model.json` is damaged: it is that of version 2 of model `late`");
}

#[test]
fn publishing_again_mends_weights_and_a_damaged_history_takes_further_moves() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let versions = versions(4);
    publish(&registry, &versions[..3]);
    std::fs::write(folder.path().join("late/3/weights.safetensors"), "x").unwrap();
    registry.publish(&publication(&versions[2])).unwrap();
    registry.load("late", 3).unwrap();
    std::fs::write(folder.path().join("late/history/3.json"), "{").unwrap();
    registry.publish(&publication(&versions[3])).unwrap();
    assert_eq!(registry.aliases("late").unwrap()[CHAMPION], 4);
}
