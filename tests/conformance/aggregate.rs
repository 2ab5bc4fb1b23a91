//! What every aggregate promises, whatever it computes: each of `KINDS` goes through the same laws.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use proptest::prelude::*;
use tidemill::aggregate::{
    Arrival, Family, GroupState, KINDS, Kind, Layout, Left, LineInput, LineLayout, SlidingWindow,
};
use tidemill::value::{Key, Scalar};

const WINDOW: SlidingWindow = SlidingWindow { size_ms: 100, hop_ms: 10 };

fn layout(kind: &'static Kind) -> Layout {
    let line =
        LineLayout { digits: 9, integer: false, ops: vec![kind], windows: vec![WINDOW], positions: vec![vec![0]] };
    Layout { lines: vec![line], width: 1 }
}

/// A record of one of three entities.
#[derive(Clone, Debug)]
struct Event {
    entity: u8,
    at: i64,
    x: Option<f64>,
}

impl Event {
    fn arrival(&self, slot: u32, row: usize) -> Arrival {
        Arrival { slot, batch: 0, row: row as u32, time: self.at, event_time: self.at }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let x = prop::option::weighted(
        0.8,
        prop_oneof![(-4i32..5).prop_map(f64::from), any::<f64>().prop_filter("finite", |x| x.is_finite())],
    );
    prop::collection::vec((0u8..3, 0i64..30, x), 1..60).prop_map(|shapes| {
        let mut now = 1_000;
        let timed = shapes.into_iter().map(|(entity, step, x)| {
            now += step;
            Event { entity, at: now, x }
        });
        timed.collect()
    })
}

struct Fed {
    layout: Layout,
    state: GroupState,
}

impl Fed {
    fn new(kind: &'static Kind) -> Self {
        let layout = layout(kind);
        Fed { state: GroupState::new(&layout), layout }
    }

    fn inputs(&self, events: &[Event]) -> LineInput {
        let values: ArrayRef = Arc::new(events.iter().map(|event| event.x).collect::<Float64Array>());
        let line = &self.layout.lines[0];
        LineInput::new(Some(&values), None, line.digits, line.needs(), &mut 0)
    }

    fn feed(&mut self, events: &[Event]) {
        let inputs = [self.inputs(events)];
        for (row, event) in events.iter().enumerate() {
            self.advance(event.at);
            let key = [event.entity];
            let slot = self.state.slot(&key, Key::hash_of(&key));
            self.state.insert(&[event.arrival(slot, row)], &[&inputs], &mut Vec::new());
            self.state.release_if_empty(slot);
        }
    }

    fn advance(&mut self, asof: i64) {
        let mut left = Left::default();
        self.state.advance(asof, &mut left);
        for slot in left.emptied {
            if self.state.key(slot).is_some() {
                self.state.release_if_empty(slot);
            }
        }
    }

    /// The answer of each entity as of a time.
    fn answers(&mut self, asof: i64) -> Vec<Scalar> {
        self.advance(asof);
        let answer = |entity: u8| {
            let key = [entity];
            let slot = self.state.find(&key, Key::hash_of(&key));
            self.state.vector(slot, None)[0].clone()
        };
        (0..3).map(answer).collect()
    }
}

/// A group whose records come before they close.
struct OpenFed<'a> {
    fed: Fed,
    events: &'a [Event],
    inputs: [LineInput; 1],
    closed: usize,
}

impl<'a> OpenFed<'a> {
    fn new(kind: &'static Kind, events: &'a [Event]) -> Self {
        let fed = Fed::new(kind);
        let inputs = [fed.inputs(events)];
        OpenFed { fed, events, inputs, closed: 0 }
    }

    fn come(&mut self, arrival: &[usize]) {
        for index in arrival {
            let event = &self.events[*index];
            let slot = self.fed.state.open_slot(&[event.entity], Key::hash_of(&[event.entity]));
            self.fed.state.open(&[event.arrival(slot, *index)], &[&self.inputs]);
        }
    }

    /// Closes what is before `upto`.
    fn close(&mut self, upto: i64) {
        while let Some(event) = self.events.get(self.closed).filter(|event| event.at < upto) {
            let (key, hash) = ([event.entity], Key::hash_of(&[event.entity]));
            self.fed.advance(event.at);
            let slot = self.fed.state.slot(&key, hash);
            self.fed.state.insert(&[event.arrival(slot, self.closed)], &[&self.inputs], &mut Vec::new());
            let open = self.fed.state.find_open(&key, hash).expect("it was open");
            self.fed.state.close(&[event.arrival(open, self.closed)], &[&self.inputs], &mut Vec::new());
            self.fed.state.release_if_empty(slot);
            self.closed += 1;
        }
        self.fed.advance(upto);
    }

    fn answers(&self) -> Vec<Scalar> {
        let answer = |entity: u8| {
            let (key, hash) = ([entity], Key::hash_of(&[entity]));
            let state = &self.fed.state;
            state.vector(state.find(&key, hash), state.find_open(&key, hash))[0].clone()
        };
        (0..3).map(answer).collect()
    }
}

/// What all records answer that are in the window as of `asof` or come later, as if all had happened just then.
fn as_if_closed(kind: &'static Kind, events: &[Event], asof: i64) -> Vec<Scalar> {
    let mut fed = Fed::new(kind);
    let inputs = [fed.inputs(events)];
    fed.advance(asof);
    for (row, event) in events.iter().enumerate() {
        let slot = fed.state.slot(&[event.entity], Key::hash_of(&[event.entity]));
        let arrival = Arrival { time: asof, ..event.arrival(slot, row) };
        fed.state.insert(&[arrival], &[&inputs], &mut Vec::new());
        fed.state.release_if_empty(slot);
    }
    fed.answers(asof)
}

fn bits(answers: &[Scalar]) -> Vec<String> {
    let text = |answer: &Scalar| match answer {
        Scalar::Float(x) => format!("{:016x}", x.to_bits()),
        other => format!("{other:?}"),
    };
    answers.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// However records are cut into batches, and wherever the state is saved and loaded, the answer has the same bits.
    #[test]
    fn laws_of_batches_and_snapshots(events in events(), cut in 0usize..60, later in 0i64..150) {
        let cut = cut.min(events.len());
        let asof = events[events.len() - 1].at + later;
        for kind in KINDS {
            let mut whole = Fed::new(kind);
            whole.feed(&events);
            let mut parts = Fed::new(kind);
            parts.feed(&events[..cut]);
            let snapshot = parts.state.save();
            parts.feed(&events[cut..]);
            let expected = bits(&whole.answers(asof));
            prop_assert_eq!(&expected, &bits(&parts.answers(asof)), "{} in batches", kind.name);
            // A snapshot does not change, whatever becomes of the state that it was taken of.
            let mut loaded = Fed::new(kind);
            loaded.state.load(snapshot.saved(), |_| true).unwrap();
            loaded.feed(&events[cut..]);
            prop_assert_eq!(&expected, &bits(&loaded.answers(asof)), "{} from a snapshot", kind.name);
        }
    }

    /// What has left a window leaves nothing behind: only the records inside it matter.
    #[test]
    fn laws_of_leaving(events in events(), later in 0i64..150) {
        let asof = events[events.len() - 1].at + 1 + later;
        let edge = (asof - WINDOW.size_ms).div_euclid(WINDOW.hop_ms) * WINDOW.hop_ms;
        let inside: Vec<Event> = events.iter().filter(|event| event.at >= edge).cloned().collect();
        for kind in KINDS {
            let (mut all, mut few) = (Fed::new(kind), Fed::new(kind));
            all.feed(&events);
            few.feed(&inside);
            prop_assert_eq!(bits(&all.answers(asof)), bits(&few.answers(asof)), "{}", kind.name);
            if inside.is_empty() {
                prop_assert_eq!(all.state.len(), 0, "{} holds on to entities", kind.name);
            }
        }
    }

    /// Records that are open count at once, in whatever order they come and however they close.
    #[test]
    fn laws_of_open_records(events in events(), came in prop::collection::vec(any::<u32>(), 60), steps in prop::collection::vec(0i64..300, 1..6)) {
        // Of one time, only the order of arrival is known until they close.
        let events: Vec<Event> =
            events.into_iter().zip(0..).map(|(event, index)| Event { at: event.at + index, ..event }).collect();
        let mut arrival: Vec<usize> = (0..events.len()).collect();
        arrival.sort_by_key(|index| came[*index]);
        for kind in KINDS {
            let mut open = OpenFed::new(kind, &events);
            open.come(&arrival);
            let mut upto = events[0].at;
            for step in &steps {
                prop_assert_eq!(bits(&open.answers()), bits(&as_if_closed(kind, &events, upto)), "{} at {}", kind.name, upto);
                upto += step;
                open.close(upto);
            }
            open.close(i64::MAX / 2);
            prop_assert!(!open.fed.state.has_open(), "{} holds on to open entities", kind.name);
        }
    }

    /// Aggregates that do not say they depend on order do not.
    #[test]
    fn laws_of_order(events in events(), swaps in prop::collection::vec((0usize..60, 0usize..60), 0..20)) {
        let at = events[0].at;
        let mut shuffled: Vec<Event> = events.iter().map(|event| Event { at, ..event.clone() }).collect();
        let same_time = shuffled.clone();
        for (a, b) in swaps {
            let (a, b) = (a % shuffled.len(), b % shuffled.len());
            shuffled.swap(a, b);
        }
        for kind in KINDS {
            if matches!(kind.family, Family::Pick(rank) if rank.is_ordered()) {
                continue;
            }
            let (mut one, mut other) = (Fed::new(kind), Fed::new(kind));
            one.feed(&same_time);
            other.feed(&shuffled);
            prop_assert_eq!(bits(&one.answers(at + 1)), bits(&other.answers(at + 1)), "{}", kind.name);
        }
    }
}

#[test]
fn an_entity_without_records_has_sqls_empty_answer() {
    for kind in KINDS {
        let answer = &layout(kind).empty()[0];
        assert_eq!(answer.is_null(), kind.nullable, "{}", kind.name);
        assert!(kind.nullable || *answer == Scalar::Int(0), "{}", kind.name);
    }
}
