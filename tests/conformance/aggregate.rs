//! Laws of every aggregate in every kind of window: each of `KINDS` goes through all of them, beside its definition in
//! the naive oracle.

use std::sync::Arc;

use crate::common::naive::{self, Asked, Definition, Holds, Observation, Times};
use arrow_array::{ArrayRef, Float64Array, StringArray};
use proptest::prelude::*;
use tidemill::aggregate::{
    AggregateSpec, Expired, Feature, GroupLayout, GroupState, InputColumns, KINDS, Lifetime, LineInput, Op, OpInput,
    SavedGroup, Sliding, Update, Window,
};
use tidemill::value::{Key, Scalar};

const WINDOWS: [(Window, Holds); 3] = [
    (Window::Sliding(Sliding { size_ms: 100, hop_ms: 10 }), |record, a| naive::sliding(100, 10, record, a)),
    (Window::Sliding(Sliding { size_ms: 50, hop_ms: 1 }), |record, a| naive::sliding(50, 1, record, a)),
    (Window::Lifetime(Lifetime), |record, a| record.effective < a),
];

/// A modifier of a line, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Modifier {
    None,
    By,
    Default,
}

/// An aggregate in a window, with the definitions of both.
#[derive(Clone)]
struct Case {
    op: Op,
    definition: Definition,
    window: Window,
    holds: Holds,
    modifier: Modifier,
}

/// Every aggregate in every window, and each that answers a scalar with every modifier.
fn cases() -> impl Iterator<Item = Case> {
    KINDS.iter().flat_map(|kind| {
        let (text, definition) = naive::aggregate(kind.name);
        let op = Op::parse(text).expect("the table has ops");
        let modifiers = match definition {
            Definition::Scalar(_) => &[Modifier::None, Modifier::By, Modifier::Default][..],
            Definition::Collection(_) => &[Modifier::None],
        };
        let modified = modifiers.iter().flat_map(move |modifier| {
            let op = op.clone();
            WINDOWS.map(move |(window, holds)| Case { op: op.clone(), definition, window, holds, modifier: *modifier })
        });
        modified.collect::<Vec<_>>()
    })
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}, modifier {:?}", self.op, self.window.canonical(), self.modifier)
    }
}

impl Case {
    fn layout(&self) -> GroupLayout {
        let line = AggregateSpec {
            digits: 9,
            integer: false,
            ops: vec![self.op.clone()],
            windows: vec![self.window],
            positions: vec![vec![0]],
            with_digits: 9,
            by: self.modifier == Modifier::By,
            defaults: self.default().into_iter().collect(),
        };
        GroupLayout { lines: vec![line], width: 1 }
    }

    /// The answer without counted records, if the line has one.
    fn default(&self) -> Option<Scalar> {
        (self.modifier == Modifier::Default).then(|| naive::default_of(&self.op.to_string(), -7))
    }

    /// The answers by definition as of a time; `counts` says whether an event counts then.
    fn defined(&self, events: &[Event], asking: i64, counts: impl Fn(&Event) -> bool) -> Vec<Feature> {
        let asked = Asked { asking, length_ms: self.window.length_ms() };
        let observed = |entity: u8, category: Option<Option<u8>>| {
            let is_of = |event: &&Event| event.entity == entity && category.is_none_or(|one| event.category == one);
            let of = events.iter().filter(|event| is_of(event) && counts(event));
            let observation = |event: &Event| {
                let with = event.y.map_or(Scalar::Null, Scalar::Float);
                Some(Observation { event_time: event.at, x: Scalar::Float(event.x?), with })
            };
            naive::counted(self.op.kind.name, &of.filter_map(observation).collect::<Vec<_>>())
        };
        let by_category = |entity: u8| {
            let categories = (0..3).map(|category| (Event::text(category), observed(entity, Some(Some(category)))));
            let entry = |(text, observed): (String, Vec<Observation>)| {
                let answer = self.definition.answer(&observed, asked).scalar(asking);
                (!observed.is_empty()).then(|| (Arc::from(text), answer))
            };
            let entries: Vec<(Arc<str>, Scalar)> = categories.filter_map(entry).collect();
            if entries.is_empty() { Feature::NULL } else { Feature::Map(entries.into()) }
        };
        let answer = |entity: u8| match (observed(entity, None), self.default()) {
            _ if self.modifier == Modifier::By => by_category(entity),
            (none, Some(default)) if none.is_empty() => default.into(),
            (observed, _) => self.definition.answer(&observed, asked),
        };
        (0..3).map(answer).collect()
    }

    fn holds(&self, event: &Event, a: i64) -> bool {
        (self.holds)(Times { effective: event.at, event: event.at }, a)
    }
}

/// A record of one of three entities.
#[derive(Clone, Debug)]
struct Event {
    entity: u8,
    at: i64,
    x: Option<f64>,
    /// The second input.
    y: Option<f64>,
    category: Option<u8>,
}

impl Event {
    /// The text of a category.
    fn text(category: u8) -> String {
        format!("c{category}")
    }

    fn update(&self, slot: u32, row: usize) -> Update {
        Update { slot, batch: 0, row: row as u32, time: self.at, event_time: self.at }
    }
}

/// Events in order of time, with values of a strategy.
fn events_of(x: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<Event>> {
    let x = prop::option::weighted(0.8, prop_oneof![(-4i32..5).prop_map(f64::from), x]);
    let y = prop::option::weighted(0.8, (-40i32..50).prop_map(|y| f64::from(y) / 8.0));
    let category = prop::option::weighted(0.9, 0u8..3);
    prop::collection::vec((0u8..3, 0i64..30, x, y, category), 1..60).prop_map(|shapes| {
        let mut now = 1_000;
        let timed = shapes.into_iter().map(|(entity, step, x, y, category)| {
            now += step;
            Event { entity, at: now, x, y, category }
        });
        timed.collect()
    })
}

/// Events with any values, those that cannot be summed among them.
fn events() -> impl Strategy<Value = Vec<Event>> {
    events_of(any::<f64>().prop_filter("finite", |x| x.is_finite()))
}

/// Events with values whose squares the definitions can add up in 128 bits.
fn small_events() -> impl Strategy<Value = Vec<Event>> {
    events_of(-1e6..1e6f64)
}

/// A group that is fed closed records.
struct ClosedGroup {
    layout: GroupLayout,
    state: GroupState,
}

impl ClosedGroup {
    fn new(case: &Case) -> Self {
        let layout = case.layout();
        ClosedGroup { state: GroupState::new(&layout), layout }
    }

    fn inputs(&self, events: &[Event]) -> LineInput {
        let values: ArrayRef = Arc::new(events.iter().map(|event| event.x).collect::<Float64Array>());
        let with: ArrayRef = Arc::new(events.iter().map(|event| event.y).collect::<Float64Array>());
        let by: ArrayRef =
            Arc::new(events.iter().map(|event| event.category.map(Event::text)).collect::<StringArray>());
        let line = &self.layout.lines[0];
        let columns = InputColumns {
            of: Some(&values),
            digits: 9,
            with: Some(&with).filter(|_| line.ops[0].kind.input == OpInput::Pair),
            with_digits: 9,
            by: Some(&by).filter(|_| line.by),
            filter: None,
            needs: line.needs(),
        };
        LineInput::new(&columns, &mut 0)
    }

    fn feed(&mut self, events: &[Event]) {
        let inputs = [self.inputs(events)];
        for (row, event) in events.iter().enumerate() {
            self.advance(event.at);
            let key = [event.entity];
            let slot = self.state.slot(&key, Key::hash_of(&key));
            self.state.insert(&[event.update(slot, row)], &[&inputs], &mut Vec::new());
            self.state.release_if_empty(slot);
        }
    }

    fn advance(&mut self, asof: i64) {
        let mut expired = Expired::default();
        self.state.advance(asof, &mut expired);
        for slot in expired.emptied {
            if self.state.key(slot).is_some() {
                self.state.release_if_empty(slot);
            }
        }
    }

    /// The answer of an entity as of a time, if it has records.
    fn answer(&mut self, entity: u8, asof: i64) -> Option<Feature> {
        self.advance(asof);
        let slot = self.state.find(&[entity], Key::hash_of(&[entity]))?;
        Some(self.state.vector(Some(slot), None)[0].finished(asof))
    }

    /// The answer of each entity as of a time.
    fn answers(&mut self, asof: i64) -> Vec<Feature> {
        let empty = self.layout.empty()[0].finished(asof);
        (0..3).map(|entity| self.answer(entity, asof).unwrap_or_else(|| empty.clone())).collect()
    }
}

/// A group whose records arrive before they close.
struct ProvisionalGroup<'a> {
    group: ClosedGroup,
    events: &'a [Event],
    inputs: [LineInput; 1],
    closed: usize,
}

impl<'a> ProvisionalGroup<'a> {
    fn new(case: &Case, events: &'a [Event]) -> Self {
        let group = ClosedGroup::new(case);
        let inputs = [group.inputs(events)];
        ProvisionalGroup { group, events, inputs, closed: 0 }
    }

    fn arrive(&mut self, arrival: &[usize]) {
        for index in arrival {
            let event = &self.events[*index];
            let slot = self.group.state.provisional_slot(&[event.entity], Key::hash_of(&[event.entity]));
            self.group.state.add_provisional(&[event.update(slot, *index)], &[&self.inputs]);
        }
    }

    /// Closes the records before `upto`.
    fn close(&mut self, upto: i64) {
        while let Some(event) = self.events.get(self.closed).filter(|event| event.at < upto) {
            let (key, hash) = ([event.entity], Key::hash_of(&[event.entity]));
            self.group.advance(event.at);
            let slot = self.group.state.slot(&key, hash);
            self.group.state.insert(&[event.update(slot, self.closed)], &[&self.inputs], &mut Vec::new());
            let provisional = self.group.state.find_provisional(&key, hash).expect("it was provisional");
            self.group.state.confirm(&[event.update(provisional, self.closed)], &[&self.inputs], &mut Vec::new());
            self.group.state.release_if_empty(slot);
            self.closed += 1;
        }
        self.group.advance(upto);
    }

    fn answers(&self, asking: i64) -> Vec<Feature> {
        let answer = |entity: u8| {
            let (key, hash) = ([entity], Key::hash_of(&[entity]));
            let state = &self.group.state;
            state.vector(state.find(&key, hash), state.find_provisional(&key, hash))[0].finished(asking)
        };
        (0..3).map(answer).collect()
    }
}

fn bits(answers: &[Feature]) -> Vec<String> {
    let text = |answer: &Feature| match answer {
        Feature::Value(Scalar::Float(x)) => format!("{:016x}", x.to_bits()),
        other => format!("{other:?}"),
    };
    answers.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// An answer is its definition over the records that its window holds.
    #[test]
    fn laws_of_the_definition(events in small_events(), later in 0i64..150) {
        let asof = events[events.len() - 1].at + 1 + later;
        for case in cases() {
            let mut group = ClosedGroup::new(&case);
            group.feed(&events);
            let expected = case.defined(&events, asof, |event| case.holds(event, asof));
            prop_assert_eq!(bits(&group.answers(asof)), bits(&expected), "{}", case);
        }
    }

    /// However records are cut into batches, and wherever the state is saved and loaded, by one worker or by several, the
    /// answer has the same bits.
    #[test]
    fn laws_of_batches_and_snapshots(events in events(), cut in 0usize..60, later in 0i64..150, peers in 1u64..4) {
        let cut = cut.min(events.len());
        let asof = events[events.len() - 1].at + later;
        for case in cases() {
            let mut whole = ClosedGroup::new(&case);
            whole.feed(&events);
            let mut parts = ClosedGroup::new(&case);
            parts.feed(&events[..cut]);
            let snapshot = parts.state.save();
            parts.feed(&events[cut..]);
            let expected = bits(&whole.answers(asof));
            prop_assert_eq!(&expected, &bits(&parts.answers(asof)), "{} in batches", case);
            // A snapshot does not change, whatever becomes of the state that it was taken of.
            let found = loaded(&case, &[snapshot.saved()], &events[cut..], asof, peers);
            prop_assert_eq!(&expected, &bits(&found), "{} from a snapshot", case);
        }
    }

    /// Records that have left a window have no effect: only the records inside it matter.
    #[test]
    fn laws_of_leaving(events in events(), later in 0i64..150) {
        let asof = events[events.len() - 1].at + 1 + later;
        for case in cases() {
            let inside: Vec<Event> = events.iter().filter(|event| case.holds(event, asof)).cloned().collect();
            let (mut all, mut few) = (ClosedGroup::new(&case), ClosedGroup::new(&case));
            all.feed(&events);
            few.feed(&inside);
            prop_assert_eq!(bits(&all.answers(asof)), bits(&few.answers(asof)), "{}", case);
            if inside.is_empty() {
                prop_assert_eq!(all.state.len(), 0, "{} keeps entities", case);
            }
        }
    }

    /// Provisional records count at once, in whatever order they arrive and however they close: as if all of them had
    /// taken effect just now.
    #[test]
    fn laws_of_provisional_records(events in small_events(), came in prop::collection::vec(any::<u32>(), 60), steps in prop::collection::vec(0i64..300, 1..6)) {
        // Of one time, only the order of arrival is known until they close.
        let events: Vec<Event> =
            events.into_iter().zip(0..).map(|(event, index)| Event { at: event.at + index, ..event }).collect();
        let mut arrival: Vec<usize> = (0..events.len()).collect();
        arrival.sort_by_key(|index| came[*index]);
        let asking = events[events.len() - 1].at + 10_000;
        for case in cases() {
            let mut group = ProvisionalGroup::new(&case, &events);
            group.arrive(&arrival);
            let mut upto = events[0].at;
            for step in &steps {
                let now = |event: &Event| (case.holds)(Times { effective: upto - 1, event: event.at }, upto);
                let expected = case.defined(&events, asking, now);
                prop_assert_eq!(bits(&group.answers(asking)), bits(&expected), "{} at {}", case, upto);
                upto += step;
                group.close(upto);
            }
            group.close(i64::MAX / 2);
            prop_assert!(!group.group.state.has_provisional(), "{} keeps provisional entities", case);
        }
    }

    /// Aggregates that are not ordered do not depend on the order of records of one time.
    #[test]
    fn laws_of_order(events in events(), swaps in prop::collection::vec((0usize..60, 0usize..60), 0..20)) {
        let at = events[0].at;
        let mut shuffled: Vec<Event> = events.iter().map(|event| Event { at, ..event.clone() }).collect();
        let same_time = shuffled.clone();
        for (a, b) in swaps {
            let (a, b) = (a % shuffled.len(), b % shuffled.len());
            shuffled.swap(a, b);
        }
        for case in cases().filter(|case| !case.layout().is_ordered()) {
            let (mut one, mut other) = (ClosedGroup::new(&case), ClosedGroup::new(&case));
            one.feed(&same_time);
            other.feed(&shuffled);
            prop_assert_eq!(bits(&one.answers(at + 1)), bits(&other.answers(at + 1)), "{}", case);
        }
    }

    /// The memory that is reported grows with entities and their panes.
    #[test]
    fn laws_of_memory(events in events()) {
        for case in cases() {
            let mut group = ClosedGroup::new(&case);
            let empty = group.state.bytes();
            group.feed(&events);
            if !group.state.is_empty() {
                prop_assert!(group.state.bytes() > empty, "{} is not measured", case);
            }
        }
    }
}

/// The answers of workers that load saved state, each its own entities, and are fed the events that follow.
fn loaded(case: &Case, saved: &[SavedGroup], events: &[Event], asof: i64, peers: u64) -> Vec<Feature> {
    let owner = |entity: u8| Key::hash_of(&[entity]) % peers;
    let mut workers: Vec<ClosedGroup> = (0..peers).map(|_| ClosedGroup::new(case)).collect();
    for (index, worker) in (0u64..).zip(&mut workers) {
        for part in saved {
            worker.state.load(part.clone(), |hash| hash % peers == index).unwrap();
        }
        let mine: Vec<Event> = events.iter().filter(|event| owner(event.entity) == index).cloned().collect();
        worker.feed(&mine);
    }
    let empty = case.layout().empty()[0].finished(asof);
    let answer = |entity: u8| workers[owner(entity) as usize].answer(entity, asof).unwrap_or_else(|| empty.clone());
    (0..3).map(answer).collect()
}

#[test]
fn an_entity_without_records_has_sqls_empty_answer() {
    for case in cases() {
        let answer = &case.layout().empty()[0];
        assert_eq!(*answer, GroupState::new(&case.layout()).vector(None, None)[0], "{case}");
        let zero = [Scalar::Int(0), Scalar::Float(0.0)].map(Feature::Value);
        let default = case.default().map(Feature::Value);
        assert!(default.as_ref().map_or(answer.is_null() || zero.contains(answer), |it| it == answer), "{case}");
    }
}

#[test]
fn ops_of_one_family_share_what_they_keep() {
    let bytes = |ops: &[&str], window: &str| {
        let ops = ops.iter().map(|op| Op::parse(op).unwrap()).collect();
        let line = AggregateSpec { digits: 9, ops, ..AggregateSpec::default() };
        line.bytes_per_entity(Window::parse(window).unwrap())
    };
    for window in ["1h", "lifetime"] {
        assert_eq!(bytes(&["mean", "stddev", "count"], window), bytes(&["stddev"], window));
        assert_eq!(bytes(&["min", "max"], window), 2 * bytes(&["min"], window));
    }
    assert!(bytes(&["mean"], "lifetime") < bytes(&["mean"], "1h") / 50);
}

#[test]
fn a_value_that_cannot_be_summed_is_null_for_the_ops_that_sum_and_itself_for_all_others() {
    let ops = ["count", "min", "max", "first", "last", "sum", "mean", "stddev"];
    for window in WINDOWS.map(|(window, _)| window) {
        let line = AggregateSpec {
            digits: 9,
            integer: false,
            ops: ops.iter().map(|op| Op::parse(op).unwrap()).collect(),
            windows: vec![window],
            positions: vec![(0..ops.len()).collect()],
            ..AggregateSpec::default()
        };
        let layout = GroupLayout { lines: vec![line], width: ops.len() };
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(5e17), Some(4e19), None, Some(-4e19), Some(1.0)]));
        let filter: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true, true, true, true, false]));
        let mut unsummable = 0;
        let needs = layout.lines[0].needs();
        let columns =
            InputColumns { of: Some(&values), digits: 9, filter: Some(&filter), needs, ..InputColumns::default() };
        let input = LineInput::new(&columns, &mut unsummable);
        assert_eq!(unsummable, 2, "each once, whatever the ops and windows");
        let mut state = GroupState::new(&layout);
        let slot = state.slot(b"a", Key::hash_of(b"a"));
        let update = |row: u32| Update { slot, batch: 0, row, time: 1_000, event_time: 1_000 };
        state.insert(&[0, 1, 2, 3, 4].map(update), &[&[input]], &mut Vec::new());
        let float = |x: f64| Feature::Value(Scalar::Float(x));
        let expected = [
            Feature::Value(Scalar::Int(3)),
            float(-4e19),
            float(4e19),
            float(5e17),
            float(-4e19),
            float(5e17),
            float(5e17),
            Feature::NULL,
        ];
        assert_eq!(state.vector(Some(slot), None), expected, "{}", window.canonical());
    }
}

#[test]
fn a_default_stands_for_what_cannot_be_summed_and_for_no_records_only() {
    let ops = ["count", "sum", "mean", "skew", "max"];
    for window in WINDOWS.map(|(window, _)| window) {
        let line = AggregateSpec {
            digits: 9,
            ops: ops.iter().map(|op| Op::parse(op).unwrap()).collect(),
            windows: vec![window],
            positions: vec![(0..ops.len()).collect()],
            defaults: ops.map(|op| naive::default_of(op, 5)).into(),
            ..AggregateSpec::default()
        };
        let layout = GroupLayout { lines: vec![line], width: ops.len() };
        let answers = |x: f64| {
            let values: ArrayRef = Arc::new(Float64Array::from(vec![x]));
            let needs = layout.lines[0].needs();
            let columns = InputColumns { of: Some(&values), digits: 9, needs, ..InputColumns::default() };
            let mut state = GroupState::new(&layout);
            let slot = state.slot(b"a", Key::hash_of(b"a"));
            let update = Update { slot, batch: 0, row: 0, time: 1_000, event_time: 1_000 };
            state.insert(&[update], &[&[LineInput::new(&columns, &mut 0)]], &mut Vec::new());
            state.vector(Some(slot), None)
        };
        let float = |x: f64| Feature::Value(Scalar::Float(x));
        let one = Feature::Value(Scalar::Int(1));
        assert_eq!(answers(2.0), [one.clone(), float(2.0), float(2.0), Feature::NULL, float(2.0)]);
        assert_eq!(answers(4e19), [one, float(5.0), float(5.0), float(5.0), float(4e19)]);
        let empty = GroupState::new(&layout).vector(None, None);
        assert_eq!(empty, [Feature::Value(Scalar::Int(5)), float(5.0), float(5.0), float(5.0), float(5.0)]);
        assert_eq!(empty, layout.empty());
    }
}
