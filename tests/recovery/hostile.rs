//! Saved state that no run has written, with hashes that match: it is refused or read, and never a panic, a hang or an
//! allocation for a length that nothing stands behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::common::engine::{Inputs, Record, Run};
use rand::{RngExt, SeedableRng};
use tidemill::checkpoint::{CheckpointCoordinator, SnapshotParts};
use tidemill::flow::op::{Assignments, SliceLength};
use tidemill::flow::saved_state;
use tidemill::flow::{Job, Plan, build};
use tidemill::run::job::{self, OfflineLayout};
use tidemill::source::{InputFrontier, Partitions, PlaybackClock, PlaybackSpeed, Volume};
use tidemill::time::EventTime;

/// A time at which every operator has state.
const T: i64 = 1_000_450;

/// The engine's dataflow with windows that hold panes, text that is selected, and a small model.
fn spec() -> String {
    let small = crate::common::spec::SPEC.replace("window = \"200ms\"", "window = \"200ms\"\nhash_bits = 6");
    small.replace(
        "[features.pair]",
        "[features.names]\nfrom = \"sales\"\nentity = [\"id\", \"x\"]\n\
         aggregate = [{ of = \"id\", op = [\"last\", \"first\"], windows = [\"1h\"] }, \
         { of = \"at\", op = [\"max\", \"first\"], windows = [\"lifetime\"] }]\n[features.pair]",
    )
}

fn snapshot(spec: &str) -> SnapshotParts {
    let record = |id: i64, index: i64, at: i64| Record {
        id: format!("k{}", id % 9),
        shop: Some(format!("s{}", index % 2)),
        item: index % 3,
        x: Some((index % 7 - 3) as f64 / 8.0),
        step: 0,
        at: 1_000_000 + at,
    };
    let inputs = Inputs {
        asks: (0..80).map(|index| record(index, index, index * 10)).collect(),
        sales: (0..160).map(|index| record(index * 4 + 2, index, index * 5 + 3)).collect(),
        prices: (0..3).map(|index| record(index, index, index)).collect(),
    };
    let found = Run { spec, snapshot: Some(T), ..Run::default() }.run(&inputs);
    found.snapshot.expect("the run passes T").1
}

/// Builds a graph that starts from parts, which decodes all of them, and returns why it cannot.
fn start(plan: &Arc<Plan>, parts: &SnapshotParts) -> Result<(), String> {
    if let Some(fault) = saved_state::fault(plan, parts) {
        return Err(fault);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = Arc::new(Partitions::default());
    let offline = job::offline_files(plan, folder.path(), None, OfflineLayout::Segments).expect("files can be made");
    let job = Arc::new(Job {
        plan: plan.clone(),
        assignments: Arc::new(Assignments::default()),
        frontier: InputFrontier::new(&partitions, None, None),
        clock: PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited),
        partitions,
        from: None,
        coordinator: CheckpointCoordinator::restoring(T, parts.clone()),
        online: Some(job::online_store(plan)),
        offline: Some(offline),
        events: crossbeam_channel::unbounded().0,
        max_in_flight: Volume { records: 64, bytes: u64::MAX },
        nulls: Arc::default(),
        live: Arc::default(),
        dropped: Arc::default(),
        keep_unlabelled: false,
        slice: SliceLength::default(),
    });
    timely::execute_directly(move |worker| {
        let dataflow = worker.next_dataflow_index();
        let built = worker.dataflow::<EventTime, _, _>(|scope| build(scope, &job).map(drop));
        worker.drop_dataflow(dataflow);
        built.map_err(|error| tidemill::error::chain(&error))
    })
}

/// Returns what hostile bytes can be made of good ones.
fn mutated(good: &[u8], random: &mut impl RngExt) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = |random: &mut dyn FnMut(usize) -> usize, bytes: &[u8]| random(bytes.len().max(1));
    let mut below = |most: usize| random.random_range(0..most);
    match below(5) {
        0 => {
            for _ in 0..=below(3) {
                let position = at(&mut below, &bytes);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte ^= 1 << below(8);
                }
            }
        }
        1 => bytes.truncate(at(&mut below, good)),
        // The largest length, and the most negative number, in the encoding of saved state.
        2 => {
            let position = at(&mut below, &bytes);
            bytes.splice(position..position, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        }
        3 => {
            let position = at(&mut below, &bytes);
            let end = bytes.len().min(position + 8);
            bytes[position.min(end)..end].fill(0xff);
        }
        _ => {
            let (from, to) = (at(&mut below, &bytes), at(&mut below, &bytes));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            let position = at(&mut below, &bytes);
            bytes.splice(position..position, piece);
        }
    }
    bytes
}

#[test]
fn hostile_bytes_in_any_part_of_a_checkpoint_are_refused_or_read() {
    let spec = spec();
    let parsed = tidemill::spec::parse(&spec, "spec.toml").expect("a right spec");
    let plan = Arc::new(Plan::new(Arc::new(parsed)));
    let mut parts = snapshot(&spec);
    parts.insert(tidemill::checkpoint::JOB_EVENTS.to_owned(), vec![Vec::new()]);
    start(&plan, &parts).expect("what was saved is read");
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut refused = 0;
    let operators: Vec<String> = parts.keys().cloned().collect();
    for operator in operators {
        let good = parts[&operator][0].clone();
        for round in 0..60 {
            let hostile = mutated(&good, &mut random);
            parts.insert(operator.clone(), vec![hostile.clone()]);
            let started = catch_unwind(AssertUnwindSafe(|| start(&plan, &parts)));
            let started = started.unwrap_or_else(|_| panic!("{operator}, round {round}: {hostile:?}"));
            refused += u32::from(started.is_err());
        }
        parts.insert(operator, vec![good]);
    }
    assert!(refused > 100, "most are refused: {refused}");
}

#[test]
fn a_checkpoint_without_the_state_of_an_operator_is_not_whole() {
    let spec = spec();
    let plan = Plan::new(Arc::new(tidemill::spec::parse(&spec, "spec.toml").expect("a right spec")));
    let mut whole = snapshot(&spec);
    whole.insert(tidemill::checkpoint::JOB_EVENTS.to_owned(), vec![Vec::new()]);
    assert_eq!(saved_state::fault(&plan, &whole), None);
    let of_files = |name: &&String| name.ends_with(".offline");
    let saved: Vec<&String> = whole.keys().filter(|name| !of_files(name)).collect();
    assert_eq!(saved.len(), saved_state::operators(&plan).len() + 1, "all operators save: {saved:?}");
    for operator in whole.keys() {
        let mut parts = whole.clone();
        parts.remove(operator);
        let fault = saved_state::fault(&plan, &parts).unwrap_or_else(|| panic!("{operator} is not missed"));
        assert_eq!(fault, format!("the state of {operator} is missing"));
        let one_more = [whole[operator].clone(), whole[operator].clone()].concat();
        parts.insert(operator.clone(), one_more);
        assert!(operator == "outputs" || saved_state::fault(&plan, &parts).is_some(), "{operator} has a part too many");
    }
}
