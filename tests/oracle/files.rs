//! Files as topics: records that cannot be read cost no other, bytes are bounded, and a file is known by its content.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tidemill::flow::Plan;
use tidemill::source::{
    AssignedPartition, DeadLetter, FileBinding, FilePartition, FilePlace, Ingest, IngestedBatch, InputStatus,
    Partition, PartitionProgress, PartitionReader, Partitions, PlaybackClock, PlaybackSpeed, Position, ReaderOptions,
    Reason, RecordCounts, SourceError, SourcePlan, Volume,
};
use tidemill::time::Offset;
use tidemill::value::Scalar;

const SPEC: &str = r#"
name = "files"
[source.clicks]
topic = "clicks"
format = "json"
time = "at"
columns = { user = "string", at = "timestamp" }
"#;

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

fn plan() -> Arc<SourcePlan> {
    Plan::new(Arc::new(tidemill::spec::parse(SPEC, "spec.toml").expect("a right spec"))).sources[0].clone()
}

fn open(paths: &[PathBuf]) -> FilePartition {
    FilePartition::open(paths.to_vec(), plan().schema.clone(), vec![String::new()], Vec::new())
        .expect("files that exist")
}

/// The records that were read.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// The user and the event time of each accepted record.
    rows: Vec<(String, i64)>,
    letters: Vec<DeadLetter>,
    late: usize,
    /// The largest batch, in bytes of its records and letters.
    largest: usize,
    batches: usize,
}

/// The way in which files are read.
#[derive(Clone, Copy)]
struct Reading {
    /// Records at a time.
    read: usize,
    max_record_bytes: usize,
    max_ahead: Option<i64>,
}

const WHOLE: Reading = Reading { read: 8192, max_record_bytes: 8 << 20, max_ahead: None };

impl Reading {
    fn run(self, mut partition: FilePartition) -> Found {
        let (mut ingest, mut found) = (Ingest::new(plan(), 0), Found::default());
        ingest.limit_records(self.max_record_bytes);
        self.max_ahead.into_iter().for_each(|limit| ingest.refuse_outliers(limit));
        loop {
            let status = partition.read(self.read, &mut ingest).expect("a file that can be read");
            if status == InputStatus::EndOfInput {
                ingest.end_input();
            }
            let IngestedBatch { batch, letters, late, .. } = ingest.take_unsorted();
            for row in 0..batch.len() {
                let Scalar::String(user) = Scalar::of(&batch.columns[0], row) else { panic!("a user is text") };
                found.rows.push((user.to_string(), batch.event_times[row]));
            }
            let bytes =
                batch.bytes() + letters.iter().filter_map(|letter| letter.value.as_ref()).map(Vec::len).sum::<usize>();
            found.largest = found.largest.max(bytes);
            found.batches += 1;
            found.late += late.len();
            found.letters.extend(letters);
            if status == InputStatus::EndOfInput {
                return found;
            }
        }
    }
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder: Box<dyn Write> = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast())),
        Some("zst") => Box::new(zstd::stream::write::Encoder::new(file, 1).unwrap().auto_finish()),
        _ => Box::new(file),
    };
    encoder.write_all(text.as_ref()).unwrap();
    drop(encoder);
    path.to_owned()
}

fn read_csv(text: &str, reading: Reading) -> Found {
    let folder = tempfile::tempdir().unwrap();
    reading.run(open(&[write(&folder.path().join("clicks.csv"), text)]))
}

fn users(found: &Found) -> Vec<&str> {
    found.rows.iter().map(|(user, _)| user.as_str()).collect()
}

fn values(found: &Found) -> Vec<&str> {
    let text = |letter: &DeadLetter| std::str::from_utf8(letter.value.as_deref().unwrap()).map(str::len);
    assert!(found.letters.iter().all(|letter| text(letter).is_ok()));
    found.letters.iter().map(|letter| std::str::from_utf8(letter.value.as_deref().unwrap()).unwrap()).collect()
}

#[test]
fn a_stray_quote_costs_one_record_wherever_it_is() {
    let line = |at: i64| format!("u{at},{}\n", at * 1000);
    for stray in [0, 1, 2_500, 4_998, 4_999] {
        for quote in ["\"u", "u,\"", "\"\"\"u"] {
            let mut text = "user,at\n".to_owned();
            for at in 0..5_000 {
                text += &if at == stray { line(at).replacen('u', quote, 1) } else { line(at) };
            }
            for read in [1, 7, 8192] {
                let found = read_csv(&text, Reading { read, max_record_bytes: 30_000, ..WHOLE });
                assert_eq!((found.rows.len(), found.letters.len()), (4_999, 1), "{quote} in record {stray}");
                assert_eq!(found.letters[0].offset, stray as Offset);
                assert_eq!(found.letters[0].reason, Reason::Malformed);
                assert_eq!(values(&found)[0], line(stray).replacen('u', quote, 1).trim_end());
            }
        }
    }
}

#[test]
fn a_stray_quote_before_quoted_fields_costs_one_record() {
    let text = "user,at\na,1\n\"b,2\nc,3\n\"d, e\",4\n\"f \"\"g\"\"\",5\nh,6\n";
    let found = read_csv(text, WHOLE);
    assert_eq!(users(&found), ["a", "c", "d, e", "f \"g\"", "h"]);
    assert_eq!(values(&found), ["\"b,2"]);
    assert!(
        found.letters[0].detail.contains("line 3: a quoted field that begins here is closed in a later line"),
        "{}",
        found.letters[0].detail
    );
    // Closed by a quote at the end of a field: the record has too many fields, and its second line is one by itself.
    let found = read_csv("user,at\n\"a,1\nb,2\nc\",3,4\nd,5\n", WHOLE);
    assert_eq!((users(&found), values(&found)), (vec!["b", "d"], vec!["\"a,1", "c\",3,4"]));
}

#[test]
fn a_quote_that_is_open_at_the_end_of_a_file_is_reported() {
    let found = read_csv("user,at\na,1\n\"b,2\nc,3", WHOLE);
    assert_eq!((users(&found), values(&found)), (vec!["a", "c"], vec!["\"b,2"]));
    let detail = &found.letters[0].detail;
    assert!(
        detail.contains("line 3: a quoted field that begins here is not closed before the end of the file"),
        "{detail}"
    );
    let found = read_csv("user,at\na,1\n\"b,2", WHOLE);
    assert_eq!((users(&found), values(&found)), (vec!["a"], vec!["\"b,2"]));
}

#[test]
fn quoted_fields_may_span_lines() {
    let found = read_csv("user,at\r\n\"a\r\nb\",1\r\n\r\n\"c\n\n,d\",2\r\n\"e\nf\ng\"\r\n5\" h,3\n", WHOLE);
    assert_eq!(users(&found), ["a\r\nb", "c\n\n,d", "5\" h"]);
    assert_eq!(values(&found), ["\"e\nf\ng\""], "a record of several lines with a field too few is one letter");
    assert!(found.letters[0].detail.contains("1 fields where the header has 2"), "{}", found.letters[0].detail);
}

#[test]
fn a_record_that_is_too_large_is_a_dead_letter_with_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let most = 100_000;
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.csv.zst"] {
        let is_json = name.contains("json");
        let record = |user: &str, at: i64| match is_json {
            true => format!("{{\"user\":\"{user}\",\"at\":{at}}}\n"),
            false => format!("{user},{at}\n"),
        };
        let most_user = "é".repeat((most + 1 - record("", 2).len()) / 2);
        let mut text = if is_json { String::new() } else { "user,at\n".to_owned() };
        for (user, at) in
            [("a", 1), (&most_user, 2), (&format!("{most_user}xx"), 3), ("b", 4), (&"é".repeat(1_000_000), 5)]
        {
            text += &record(user, at);
        }
        let path = write(&folder.path().join(name), &text);
        for read in [1, 8192] {
            let found = Reading { read, max_record_bytes: most, ..WHOLE }.run(open(std::slice::from_ref(&path)));
            assert_eq!(users(&found), ["a", &most_user, "b"], "{name}");
            let letters: Vec<_> = found.letters.iter().map(|letter| (letter.offset, letter.reason)).collect();
            assert_eq!(letters, [(2, Reason::Malformed), (4, Reason::Malformed)], "{name}");
            for (value, letter) in values(&found).iter().zip(&found.letters) {
                assert!((4_000..=4_096).contains(&value.len()), "{name}: {} bytes are kept", value.len());
                assert!(text.contains(value), "{name}");
                assert!(letter.detail.contains("more than max_record_bytes = 100000"), "{}", letter.detail);
            }
            let size = format!("{} bytes", record(&"é".repeat(1_000_000), 5).len() - 1);
            assert!(found.letters[1].detail.contains(&size), "{}", found.letters[1].detail);
        }
    }
}

#[test]
fn the_bytes_of_a_batch_are_bounded_for_good_records_and_bad_ones() {
    let folder = tempfile::tempdir().unwrap();
    let user = "x".repeat(900_000);
    let good: String = (0..60).map(|at| format!("{{\"user\":\"{user}\",\"at\":{at}}}\n")).collect();
    let found = WHOLE.run(open(&[write(&folder.path().join("good.jsonl"), good)]));
    assert_eq!(found.rows.len(), 60);
    // Records without a key are ordered by their content, so each is held twice.
    assert!(found.largest < 20 << 20 && found.batches >= 6, "{} bytes, {} batches", found.largest, found.batches);
    let bad: String = (0..60).map(|_| format!("{{\"user\":\"{user}\"}}\n")).collect();
    let found = WHOLE.run(open(&[write(&folder.path().join("bad.jsonl"), bad)]));
    assert_eq!(found.letters.len(), 60);
    assert!(found.largest < 10 << 20 && found.batches >= 6, "{} bytes, {} batches", found.largest, found.batches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_csv_is_read_the_same_in_batches_of_any_size(text in "[a-c1,\"\n\r ]{0,120}", read in 1usize..9) {
        let text = format!("user,at\n{text}");
        let reading = Reading { max_record_bytes: 40, ..WHOLE };
        let (whole, few) = (read_csv(&text, reading), read_csv(&text, Reading { read, ..reading }));
        prop_assert_eq!((&whole.rows, &whole.letters), (&few.rows, &few.letters));
    }

    #[test]
    fn csv_that_is_well_formed_is_read_as_the_csv_crate_does(
        users in prop::collection::vec("[a-c,\"\n\r ]{1,9}", 0..30),
        always in any::<bool>(),
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
        writer.write_record(["user", "at"]).unwrap();
        for user in &users {
            writer.write_record([user.as_str(), "1"]).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let found = read_csv(&text, WHOLE);
        prop_assert!(found.letters.is_empty(), "{:?}", found.letters);
        prop_assert_eq!(found.rows.into_iter().map(|(user, _)| user).collect::<Vec<_>>(), users);
    }
}

#[test]
fn a_wrong_clock_in_a_file_makes_no_other_record_late() {
    let folder = tempfile::tempdir().unwrap();
    for ahead in [2 * 3_600_000, DAY, 400 * DAY] {
        for wrong in [0, 1, 100, 595] {
            let at = |record: i64| 1_700_000_000_000 + record * MINUTE + if record == wrong { ahead } else { 0 };
            let text: String = (0..600).map(|record| format!("{{\"user\":\"u\",\"at\":{}}}\n", at(record))).collect();
            let path = write(&folder.path().join("clicks.jsonl"), text);
            for read in [1, 5, 33, 8192] {
                let found =
                    Reading { read, max_ahead: Some(3_600_000), ..WHOLE }.run(open(std::slice::from_ref(&path)));
                let letters: Vec<_> = found.letters.iter().map(|letter| (letter.offset, letter.reason)).collect();
                assert_eq!(letters, [(wrong as Offset, Reason::TimeOutOfRange)], "{ahead} ms ahead");
                assert_eq!((found.rows.len(), found.late), (599, 0));
            }
            assert!(WHOLE.run(open(&[path])).rows.len() < 600, "without a limit, others are too late");
        }
    }
}

/// Reads some records and returns the place after them.
fn place_after(paths: &[PathBuf], records: usize) -> FilePlace {
    let (mut partition, mut ingest) = (open(paths), Ingest::new(plan(), 0));
    let mut left = records;
    while left > 0 {
        let before = partition.place().unwrap().offset;
        let status = partition.read(left, &mut ingest).unwrap();
        left -= (partition.place().unwrap().offset - before) as usize;
        ingest.take_unsorted();
        if status == InputStatus::EndOfInput {
            break;
        }
    }
    partition.place().unwrap()
}

fn lines(users: &[&str]) -> String {
    users.iter().map(|user| format!("{{\"user\":\"{user}\",\"at\":1}}\n")).collect()
}

#[test]
fn a_restart_goes_on_in_the_same_files_with_what_was_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["jsonl", "jsonl.gz", "csv", "csv.zst"] {
        let [one, two, three] = ["1", "2", "3"].map(|file| path(&format!("{file}.{name}")));
        let text = |users: &[&str]| match name.starts_with("csv") {
            true => users.iter().fold("user,at\n".to_owned(), |text, user| format!("{text}{user},1\n")),
            false => lines(users),
        };
        write(&one, text(&["a", "b"]));
        for records in 0..=5 {
            write(&two, text(&["c", "d", "e"]));
            let place = place_after(&[one.clone(), two.clone()], records);
            assert_eq!(place.offset, records as Offset);
            write(&two, text(&["c", "d", "e", "f"]));
            write(&three, text(&["g"]));
            let mut partition = open(&[one.clone(), two.clone(), three.clone()]);
            partition.resume(&place).unwrap();
            let found = WHOLE.run(partition);
            assert_eq!(users(&found), ["a", "b", "c", "d", "e", "f", "g"][records..], "{name} after {records}");
        }
    }
}

#[test]
fn another_file_of_the_same_name_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["1.jsonl", "2.jsonl"].map(|name| folder.path().join(name));
    let both = [one.clone(), two.clone()];
    let refused = |place: &FilePlace, paths: &[PathBuf]| open(paths).resume(place).map_err(|error| error.to_string());
    write(&one, lines(&["a", "b", "c"]));
    write(&two, lines(&["d", "e", "f"]));
    let place = place_after(&both, 5);
    assert_eq!(refused(&place, &both), Ok(()));
    for (path, users, expected) in [
        (&two, vec!["d", "x", "f", "g", "h"], "its first"),
        (&two, vec!["d"], "it ends after"),
        (&one, vec!["x", "b", "c"], "its first"),
        (&one, vec!["a", "b", "c", "x"], "it has grown"),
        (&one, vec!["a"], "it ends after"),
    ] {
        let before = std::fs::read(path).unwrap();
        write(path, lines(&users));
        let error = refused(&place, &both).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("is not the file that was read before the restart"),
            "{error}"
        );
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        std::fs::write(path, before).unwrap();
    }
    let error = refused(&place, &[one]).unwrap_err();
    assert!(error.contains("it is the last of 1 files, and 2 were read before"), "{error}");
    assert!(refused(&place, &[two]).is_err(), "a file that was read is gone");
    // Files that have not been read may change.
    write(&both[0], lines(&["x"]));
    assert_eq!(refused(&place_after(&both, 0), &both), Ok(()));
}

#[test]
fn a_last_line_without_a_line_break_is_read_and_must_not_go_on_later() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["jsonl", "jsonl.gz", "csv", "csv.zst"] {
        let path = folder.path().join(format!("1.{name}"));
        let text = |users: &[&str]| match name.starts_with("csv") {
            true => users.iter().fold("at,user\n".to_owned(), |text, user| format!("{text}1,{user}\n")),
            false => lines(users),
        };
        // Without its line break, the last line of a CSV is a record of its own, and so is its beginning.
        let cut = |text: String| text[..text.len() - if name.starts_with("csv") { 2 } else { 1 }].to_owned();
        write(&path, cut(text(&["a", "bb"])));
        let place = place_after(std::slice::from_ref(&path), 3);
        assert_eq!(place.offset, 2, "{name}");
        let resume = || open(std::slice::from_ref(&path)).resume(&place).map_err(|error| error.to_string());
        assert_eq!(resume(), Ok(()), "{name}: the same file");
        write(&path, cut(text(&["a", "bb"])) + "\n" + text(&["c"]).lines().last().unwrap());
        assert_eq!(resume(), Ok(()), "{name}: a line break and a record");
        for appended in ["b\n", "x"] {
            write(&path, cut(text(&["a", "bb"])) + appended);
            let error = resume().unwrap_err();
            assert!(error.contains("its last line was not complete when it was read"), "{name}: {error}");
        }
    }
}

#[test]
fn what_is_read_a_second_time_is_compared_with_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["1.jsonl", "2.jsonl"].map(|name| folder.path().join(name));
    let both = [one.clone(), two.clone()];
    write(&one, lines(&["a", "b"]));
    write(&two, lines(&["c", "d"]).trim_end());
    let (first, read) = (place_after(&both, 1), place_after(&both, 5));
    let read_again = || {
        let (mut partition, mut ingest) = (open(&both), Ingest::new(plan(), 0));
        partition.resume(&first)?;
        partition.compare_to(&read)?;
        while partition.read(8192, &mut ingest)? == InputStatus::MoreAvailable {}
        Ok(ingest.take_unsorted().batch.len())
    };
    let read_again = || read_again().map_err(|error: SourceError| error.to_string());
    assert_eq!(read_again(), Ok(3));
    for (path, text, expected) in [
        (&two, lines(&["c", "d"]) + "{}\n", None),
        (&two, lines(&["c", "d"]).trim_end().to_owned() + " ", Some("not complete when it was read")),
        (&two, lines(&["c", "x"]), Some("its first")),
        (&two, lines(&["c"]), Some("it ends after")),
        (&one, lines(&["a", "x"]), Some("its first")),
        (&one, lines(&["a", "b", "x"]), Some("it has grown")),
    ] {
        let before = std::fs::read(path).unwrap();
        write(path, text);
        match (read_again(), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) if error.contains(expected) => {}
            other => panic!("{other:?}"),
        }
        std::fs::write(path, before).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_a_topic_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let opened = FilePartition::open(vec![path.to_owned()], plan().schema.clone(), Vec::new(), Vec::new());
        opened.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let csv = folder.path().join("1.csv");
    write(&csv, "user,x,at,x,user\na,1,1,2,b\n");
    assert!(refused(&csv).contains("its header has \"user\" as column 1 and as column 5"), "{}", refused(&csv));
    write(&csv, "user,x,at,x\na,1,1,2\n");
    assert_eq!(refused(&csv), "", "a column that is not declared may be there twice");
    write(&csv, "");
    assert!(refused(&csv).contains("it has no header"), "{}", refused(&csv));
    // Opening a pipe would wait for its other end.
    let pipe = folder.path().join("pipe.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe, folder.path().join("folder.csv")] {
        let _ = std::fs::create_dir(folder.path().join("folder.csv"));
        assert!(refused(&path).contains("is not a regular file"), "{}", refused(&path));
    }
}

#[test]
fn files_are_read_in_natural_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["part-10.csv", "part-2.csv", "part-1.csv", "z.csv"] {
        write(&folder.path().join(name), "user,at\n");
    }
    let names = |files: &[&str]| {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let paths = FileBinding { files, nulls: Vec::new() }.paths(folder.path()).unwrap();
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["part-*.csv"]), ["part-1.csv", "part-2.csv", "part-10.csv"]);
    assert_eq!(names(&["z.csv", "*.csv", "./part-2.csv"]), ["z.csv", "part-1.csv", "part-2.csv", "part-10.csv"]);
}

/// A file that is read a few records at a time.
struct Few(FilePartition, usize);

impl Partition for Few {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        self.0.read(max.min(self.1), ingest)
    }

    fn place(&self) -> Option<FilePlace> {
        self.0.place()
    }
}

/// A reader of a file, and what it has come to.
struct Tailed {
    reader: PartitionReader,
    clock: Arc<PlaybackClock>,
    progress: Arc<PartitionProgress>,
    rows: Vec<(i64, String)>,
    letters: Vec<Offset>,
}

impl Tailed {
    /// Opens a file, at the position of an earlier reader as of a time if one is given.
    fn open(path: &Path, read: usize, start: Option<(Position, i64)>) -> Tailed {
        let (mut partition, mut ingest) = (open(&[path.to_owned()]), Ingest::new(plan(), 0));
        ingest.refuse_outliers(3_600_000);
        let partitions = Arc::new(Partitions::default());
        let progress = partitions.register(&plan(), 0);
        let options = ReaderOptions {
            max_in_flight: Volume { records: u64::MAX, bytes: u64::MAX },
            resume: start.as_ref().map_or(i64::MIN, |(_, time)| *time),
            until: i64::MAX,
            idle_after: None,
            windows: Vec::new(),
        };
        if let Some(place) = start.as_ref().and_then(|(position, _)| position.place.as_ref()) {
            partition.resume(place).unwrap();
        }
        let assigned = AssignedPartition::new(Box::new(Few(partition, read)), ingest, progress.clone());
        let assigned = match start {
            Some((position, _)) => assigned.resuming(position),
            None => assigned,
        };
        let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
        let reader = PartitionReader::new(assigned, &Arc::new(options));
        Tailed { reader, clock, progress, rows: Vec::new(), letters: Vec::new() }
    }

    /// Reads some records. Returns whether there may be more.
    fn step(&mut self) -> bool {
        let outcome = self.reader.read(i64::MIN, &self.clock);
        assert!(outcome.error.is_none());
        self.letters.extend(outcome.letters.iter().map(|letter| letter.offset));
        while let Some(batch) = self.reader.release(i64::MAX) {
            for row in 0..batch.len() {
                let Scalar::String(user) = Scalar::of(&batch.columns[0], row) else { panic!("a user is text") };
                self.rows.push((batch.times[row], user.to_string()));
            }
        }
        self.reader.report_progress();
        !self.progress.has_ended()
    }

    /// Reads the rest and returns the rows, the offsets of the letters, and the counts.
    fn finish(mut self) -> (Vec<(i64, String)>, Vec<Offset>, RecordCounts) {
        while self.step() {}
        self.reader.close(i64::MAX);
        self.rows.sort();
        (self.rows, self.letters, self.progress.stats().counts)
    }
}

#[test]
fn a_restart_at_any_place_judges_the_rest_of_a_file_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut times: Vec<i64> = (0..200).map(|minute| minute * MINUTE).collect();
    [0, 20, 21, 60, 90, 150, 197].iter().for_each(|wrong| times[*wrong] += DAY);
    // A gap, a record a week, and an unreadable one now and then.
    times.extend((0..60).map(|week| 9 * DAY + week * 7 * DAY));
    let line = |(number, time): (usize, &i64)| match number % 37 {
        36 => "{}\n".to_owned(),
        _ => format!("{{\"user\":\"u{number}\",\"at\":{}}}\n", 1_700_000_000_000 + time),
    };
    let path = write(&folder.path().join("clicks.jsonl"), times.iter().enumerate().map(line).collect::<String>());
    let expected = Tailed::open(&path, 8192, None).finish();
    assert!([0, 20, 21, 60, 90, 150].iter().all(|wrong| expected.1.contains(wrong)), "{:?}", expected.1);
    for read in [1, 3, 17, 50] {
        for stop in 1.. {
            let mut before = Tailed::open(&path, read, None);
            if !(0..stop).all(|_| before.step()) {
                break;
            }
            let time = before.progress.watermark();
            before.reader.close(time);
            let position = before.reader.position(time);
            let next = position.next;
            let (rows, letters, counts) = Tailed::open(&path, read, Some((position, time))).finish();
            let mut all: Vec<_> = before.rows.into_iter().filter(|(at, _)| *at < time).chain(rows).collect();
            all.sort();
            let kept = before.letters.into_iter().filter(|offset| *offset < next).chain(letters).collect();
            assert_eq!((all, kept, counts), expected, "{read} at a time, stopped after {stop}");
        }
    }
}
