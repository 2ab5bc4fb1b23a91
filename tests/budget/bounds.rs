//! Feature groups with a bound, against a list of entities that is cut after the records of each ms.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::allocator::allocated;
use crate::common::engine::{Found, Inputs, Record, Run};
use crate::common::order::{Placed, place, text};
use crate::common::topics::topic;
use tidemill::aggregate::{
    AggregateSpec, EntityBound, Expired, GroupLayout, GroupState, LineInput, Op, RecordLoad, Update, Window,
};
use tidemill::value::{Key, Scalar};

/// A group of lifetime windows that holds two shops, and one of short windows that holds three pairs.
const SPEC: &str = r#"
name = "bounds"

[source.asks]
topic = "asks"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[source.sales]
topic = "sales"
format = "json"
key = ["id"]
time = "at"
lateness = "25ms"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[table.prices]
topic = "prices"
format = "json"
time = "at"
key = ["item"]
columns = { item = "int", price = "float?", at = "timestamp" }

[features.shop]
from = "sales"
entity = "shop"
max_entities = 2
aggregate = [
  { op = "count", windows = ["lifetime"] },
  { of = "item", op = ["sum", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] },
]

[features.pair]
from = "sales"
entity = ["shop", "item"]
max_entities = 3
aggregate = [{ of = "item", op = ["count", "max"], windows = [{ sliding = "60ms", hop = "20ms" }] }]

[model.sold]
kind = "logistic"
examples = "asks"
features = ["shop.*"]
label = { value = "item > 0" }
window = "200ms"
"#;

/// The sales in the total order.
fn placed(inputs: &Inputs, partitions: usize) -> Vec<Placed> {
    let mut sales = place("sales", &inputs.sales, 25, partitions);
    sales.sort_by_key(Placed::order);
    sales
}

/// The time as of which the records of an event time no longer count in a window.
fn leaves(event_time: i64, size: i64) -> i64 {
    (event_time.div_euclid(20) + 1) * 20 + size
}

/// A group: its entities, the one longest without a record first, each with its records since it has been held.
struct Bounded {
    most: usize,
    /// The length of its only window, if it has none without end.
    size: Option<i64>,
    held: Vec<(Vec<Scalar>, Vec<Placed>)>,
    dropped: u64,
}

impl Bounded {
    fn new(most: usize, size: Option<i64>) -> Self {
        Bounded { most, size, held: Vec::new(), dropped: 0 }
    }

    /// Adds the records of one time.
    fn add(&mut self, time: i64, sales: &[Placed], key: &dyn Fn(&Record) -> Option<Vec<Scalar>>) {
        for sale in sales {
            let Some(key) = key(&sale.record) else { continue };
            let known = self.held.iter().position(|(known, _)| *known == key);
            let (key, mut records) = known.map_or((key, Vec::new()), |at| self.held.remove(at));
            records.push(sale.clone());
            self.held.push((key, records));
        }
        if let Some(size) = self.size {
            self.held.retain(|(_, records)| records.iter().any(|sale| leaves(sale.record.at, size) > time));
        }
        while self.held.len() > self.most {
            self.held.remove(0);
            self.dropped += 1;
        }
    }

    /// The records of an entity.
    fn records(&self, key: &[Scalar]) -> &[Placed] {
        self.held.iter().find(|(known, _)| known == key).map_or(&[], |(_, records)| records)
    }
}

fn shop_key(record: &Record) -> Option<Vec<Scalar>> {
    record.shop.as_ref().map(|_| vec![text(&record.shop)])
}

fn pair_key(record: &Record) -> Option<Vec<Scalar>> {
    record.shop.as_ref().map(|_| vec![text(&record.shop), Scalar::Int(record.item)])
}

fn shop_vector(records: &[Placed], asof: i64) -> Vec<Scalar> {
    let items = || records.iter().filter(|sale| leaves(sale.record.at, 120) > asof).map(|sale| sale.record.item);
    let sum = items().count() > 0;
    let last = items().next_back().map_or(Scalar::Null, Scalar::Int);
    vec![Scalar::Int(records.len() as i64), if sum { Scalar::Int(items().sum()) } else { Scalar::Null }, last]
}

fn pair_vector(records: &[Placed], asof: i64) -> Vec<Scalar> {
    let items = || records.iter().filter(|sale| leaves(sale.record.at, 60) > asof).map(|sale| sale.record.item);
    vec![Scalar::Int(items().count() as i64), items().max().map_or(Scalar::Null, Scalar::Int)]
}

/// The results that a run must write.
struct Expected {
    shop: Vec<Vec<Scalar>>,
    pair: Vec<Vec<Scalar>>,
    /// By time and id of an ask, the vector of its shop.
    asked: BTreeMap<(i64, String), Vec<Scalar>>,
    dropped: [u64; 2],
    shown: Vec<String>,
}

fn expected(inputs: &Inputs, partitions: usize) -> Expected {
    let sales = placed(inputs, partitions);
    let (mut shop, mut pair) = (Bounded::new(2, None), Bounded::new(3, Some(60)));
    let mut found = Expected { shop: vec![], pair: vec![], asked: BTreeMap::new(), dropped: [0; 2], shown: Vec::new() };
    let mut times: Vec<i64> = sales.iter().map(|sale| sale.effective).collect();
    times.extend(inputs.asks.iter().map(|ask| ask.at));
    times.sort_unstable();
    times.dedup();
    for time in times {
        for ask in inputs.asks.iter().filter(|ask| ask.at == time) {
            let records = shop_key(ask).map_or(&[][..], |key| shop.records(&key));
            found.asked.insert((time, ask.id.clone()), shop_vector(records, time));
        }
        let now: Vec<Placed> = sales.iter().filter(|sale| sale.effective == time).cloned().collect();
        shop.add(time, &now, &shop_key);
        pair.add(time, &now, &pair_key);
        let changes =
            |group: &Bounded, key: &dyn Fn(&Record) -> Option<Vec<Scalar>>, vector: &dyn Fn(&[Placed]) -> _| {
                let keys: BTreeMap<String, Vec<Scalar>> =
                    now.iter().filter_map(|sale| key(&sale.record)).map(|key| (format!("{key:?}"), key)).collect();
                let row = |key: Vec<Scalar>| {
                    let vector: Vec<Scalar> = vector(group.records(&key));
                    [vec![Scalar::Timestamp(time)], key, vector].concat()
                };
                keys.into_values().map(row).collect::<Vec<_>>()
            };
        found.shop.extend(changes(&shop, &shop_key, &|records| shop_vector(records, time + 1)));
        found.pair.extend(changes(&pair, &pair_key, &|records| pair_vector(records, time + 1)));
    }
    found.dropped = [shop.dropped, pair.dropped];
    let name = |(key, _): &(Vec<Scalar>, Vec<Placed>)| match &key[0] {
        Scalar::String(shop) => shop.to_string(),
        other => panic!("{other:?} is no shop"),
    };
    found.shown = shop.held.iter().map(name).collect();
    found.shown.sort();
    found
}

/// Compares what a run has written from a time on.
fn is_as_expected(found: &Found, expected: &Expected, from: i64) -> Result<(), TestCaseError> {
    let since = |rows: &[Vec<Scalar>]| -> Vec<Vec<Scalar>> {
        let is_since = |row: &&Vec<Scalar>| matches!(row[0], Scalar::Timestamp(time) if time >= from);
        rows.iter().filter(is_since).cloned().collect()
    };
    prop_assert_eq!(&found.shop, &since(&expected.shop));
    prop_assert_eq!(&found.pair, &since(&expected.pair));
    for row in &found.examples {
        let (Scalar::Timestamp(time), Scalar::String(id)) = (&row[0], &row[3]) else { panic!("{row:?}") };
        prop_assert_eq!(&row[8..11], &expected.asked[&(*time, id.to_string())][..], "{:?}", row);
    }
    prop_assert_eq!([found.dropped["shop"], found.dropped["pair"]], expected.dropped);
    prop_assert_eq!(found.shown.keys().cloned().collect::<Vec<_>>(), expected.shown.clone());
    Ok(())
}

/// Asks in order, with an id and a time of their own, so that each can be found.
fn asks() -> impl Strategy<Value = Vec<Record>> {
    topic(40).prop_map(|mut asks| {
        asks.sort_by_key(|ask| ask.at);
        asks.iter_mut().enumerate().for_each(|(at, ask)| ask.id = format!("k{at}"));
        asks
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_entities_are_dropped_by_the_records_alone(
        asks in asks(),
        sales in topic(120),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..3,
        stop in 0i64..700,
    ) {
        let inputs = Inputs { asks, sales, prices: Vec::new() };
        let expected = expected(&inputs, partitions);
        let run = || Run { spec: SPEC, read, workers, partitions, ..Run::default() };
        is_as_expected(&run().run(&inputs), &expected, i64::MIN)?;
        // Stopped on the way, and resumed by another number of workers.
        let stopped = Run { snapshot: Some(1_000_000 + stop), ..run() }.run(&inputs);
        if let Some((time, parts)) = stopped.snapshot {
            let resumed = Run { start: Some((time, parts)), workers: 4 - workers, ..run() }.run(&inputs);
            is_as_expected(&resumed, &expected, time)?;
        }
    }
}

#[test]
fn a_bound_in_bytes_is_one_of_as_many_entities_as_fit() {
    let of = |bound: &str| SPEC.replace("max_entities = 3", bound);
    let parsed = tidemill::spec::parse(SPEC, "bounds.toml").expect("a right spec");
    let entity = parsed.groups[1].bytes_for_bound();
    let sale = |at: i64| Record {
        id: format!("k{at}"),
        shop: Some(format!("s{}", at % 3)),
        item: at % 7,
        x: None,
        step: 0,
        at: 1_000_000 + at,
    };
    let inputs = Inputs { sales: (0..300).map(sale).collect(), ..Inputs::default() };
    let run = |spec: &str| Run { spec, read: 20, ..Run::default() }.run(&inputs);
    let three = run(SPEC);
    assert!(three.dropped["pair"] > 100, "{:?}", three.dropped);
    for bytes in [3 * entity, 4 * entity - 1] {
        let found = run(&of(&format!("max_bytes = {bytes}")));
        assert_eq!((found.pair, found.dropped), (three.pair.clone(), three.dropped.clone()), "{bytes}");
    }
    assert_ne!(run(&of(&format!("max_bytes = {}", 4 * entity))).dropped, three.dropped);
    let small = tidemill::spec::parse(&of(&format!("max_bytes = {}", entity - 1)), "bounds.toml").unwrap_err();
    assert!(small.to_string().contains(&format!("expected at least {entity}")), "{small}");
}

/// Entities with as many records as the bytes of an entity assume hold no more than the bound.
#[test]
fn memory_stays_within_a_bound_in_bytes() {
    const MOST: usize = 1_000;
    for window in ["1h", "lifetime"].map(|text| Window::parse(text).expect("a window")) {
        for op in ["sum", "max", "distinct"].map(|text| Op::parse(text).expect("an op")) {
            let line = AggregateSpec {
                ops: vec![op.clone()],
                integer: true,
                windows: vec![window],
                positions: vec![vec![0]],
                ..AggregateSpec::default()
            };
            let layout = GroupLayout { lines: vec![line], width: 1 };
            let bound = layout.bytes_per_entity(RecordLoad::EachPane(1)) * MOST;
            let (state, held) = allocated(|| bounded(&layout, MOST, 10 * MOST));
            let name = format!("{op} in {}", window.canonical());
            assert_eq!(state.len(), MOST, "{name}");
            assert!(held <= bound * 5 / 4, "{name}: {held} bytes, and the bound is {bound}");
        }
    }
}

/// Returns the state of a group that holds at most `most` entities, after a record of each of `entities`, within a few
/// minutes, so that none expires.
fn bounded(layout: &GroupLayout, most: usize, entities: usize) -> GroupState {
    let mut state = GroupState::bounded(layout, Some(EntityBound::new(most as u64)));
    let values: arrow_array::ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from(vec![7]));
    let needs = layout.lines[0].needs();
    let columns = tidemill::aggregate::InputColumns { of: Some(&values), needs, ..Default::default() };
    let input = [LineInput::new(&columns, &mut 0)];
    for entity in 0..entities {
        let key = format!("{entity:016}");
        let time = 1_000_000 + entity as i64 * 5;
        state.advance(time, &mut Expired::default());
        let slot = state.slot(key.as_bytes(), Key::hash_of(key.as_bytes()));
        let update = Update { slot, batch: 0, row: 0, time, event_time: time };
        state.insert(&[update], &[&input], &mut Vec::new());
        state.drop_excess(&mut Vec::new());
    }
    state
}

#[test]
fn a_large_bound_is_kept_part_by_part_on_any_number_of_workers() {
    let spec = SPEC.replace("max_entities = 3", "max_entities = 2048");
    let sale = |at: i64| Record {
        id: format!("k{at}"),
        shop: Some("s".to_owned()),
        item: at % 4_000,
        x: None,
        step: 0,
        at: 1_000_000 + at / 200,
    };
    let inputs = Inputs { sales: (0..5_000).map(sale).collect(), ..Inputs::default() };
    let run = |workers| Run { spec: &spec, read: 100, workers, ..Run::default() }.run(&inputs);
    let one = run(1);
    // No pair comes again before 2,048 others have.
    assert!((2_952..3_052).contains(&one.dropped["pair"]), "{:?}", one.dropped);
    for workers in [2, 3] {
        let more = run(workers);
        assert_eq!((more.pair, more.dropped), (one.pair.clone(), one.dropped.clone()), "{workers} workers");
    }
}

#[test]
fn memory_stays_within_the_bound_however_many_entities_come() {
    const MOST: usize = 1_000;
    for window in ["1h", "lifetime", "last 10"].map(|text| Window::parse(text).expect("a window")) {
        for op in ["sum", "max", "distinct"].map(|text| Op::parse(text).expect("an op")) {
            let line = AggregateSpec {
                ops: vec![op.clone()],
                integer: true,
                windows: vec![window, window.lagging(600_000)],
                positions: vec![vec![0], vec![1]],
                ..AggregateSpec::default()
            };
            let layout = GroupLayout { lines: vec![line], width: 2 };
            let (state, held) = allocated(|| bounded(&layout, MOST, 40 * MOST));
            let name = format!("{op} in {}", window.canonical());
            assert_eq!((state.len(), state.dropped()), (MOST, 39 * MOST as u64), "{name}");
            // A few panes or records each, of as many entities as have been dropped since the last compaction, too.
            assert!(held < MOST * 4_000, "{name}: {held} bytes");
            let near = state.bytes() as f64 / held as f64;
            assert!((0.8..1.2).contains(&near), "{name}: {} of {held} bytes are measured", state.bytes());
        }
    }
}
