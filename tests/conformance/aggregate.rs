//! Laws of every aggregate in every kind of window: each of `KINDS` goes through all of them, beside its definition in
//! the naive oracle.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::naive::{self, Asked, Definition, Observation};
use crate::common::windows::{EVERY, NaiveShape, NaiveWindow, Times};
use arrow_array::{ArrayRef, Float64Array, StringArray};
use proptest::prelude::*;
use tidemill::aggregate::{
    AggregateSpec, Divisible, EntityBound, Expired, Feature, GroupLayout, GroupState, InputColumns, KINDS, LineInput,
    Op, OpInput, RecordLoad, RequestWindows, SavedGroup, Sliding, StepBudget, Update, VectorDecoder, Window,
    encode_vector,
};
use tidemill::value::{Key, Scalar};

/// A modifier of a line, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Modifier {
    None,
    By,
    Default,
    /// The panes of the window go along with vectors.
    Divisible,
}

/// An aggregate in a window, with the definitions of both.
#[derive(Clone)]
struct Case {
    op: Op,
    definition: Definition,
    window: NaiveWindow,
    modifier: Modifier,
}

/// Every aggregate in some windows, and each that answers a scalar with every modifier.
fn cases_in(windows: &[NaiveWindow]) -> impl Iterator<Item = Case> {
    KINDS.iter().flat_map(move |kind| {
        let (text, definition) = naive::aggregate(kind.name);
        let op = Op::parse(text).expect("the table has ops");
        let modifiers = match definition {
            Definition::Scalar(_) => &[Modifier::None, Modifier::By, Modifier::Default, Modifier::Divisible][..],
            Definition::Collection(_) => &[Modifier::None, Modifier::Divisible],
        };
        let modified = windows.iter().filter(|window| window.takes(kind, &op)).flat_map(|window| {
            let is_taken = |modifier: &&Modifier| match modifier {
                Modifier::By => !window.is_series(),
                Modifier::Divisible => window.divisible().is_some(),
                Modifier::None | Modifier::Default => true,
            };
            let case = |modifier: &Modifier| Case { op: op.clone(), definition, window: *window, modifier: *modifier };
            modifiers.iter().filter(is_taken).map(case).collect::<Vec<_>>()
        });
        modified.collect::<Vec<_>>()
    })
}

/// Every aggregate in every window, and each that answers a scalar with every modifier.
fn cases() -> impl Iterator<Item = Case> {
    cases_in(EVERY)
}

/// Some of the windows.
fn windows() -> impl Strategy<Value = Vec<NaiveWindow>> {
    prop::sample::subsequence(EVERY, 2)
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}, modifier {:?}", self.op, self.window.window().canonical(), self.modifier)
    }
}

impl Case {
    fn layout(&self) -> GroupLayout {
        let line = AggregateSpec {
            digits: 9,
            integer: false,
            texts: false,
            ops: vec![self.op.clone()],
            windows: vec![self.window()],
            positions: vec![vec![0]],
            with_digits: 9,
            by: self.modifier == Modifier::By,
            defaults: self.default().into_iter().collect(),
            current: false,
        };
        GroupLayout { lines: vec![line], width: 1 }
    }

    fn window(&self) -> Window {
        match self.window.divisible() {
            Some(divisible) if self.modifier == Modifier::Divisible => divisible,
            _ => self.window.window(),
        }
    }

    /// The layout whose windows of the case's hop are divisible and of a size.
    fn divisible_layout(&self, size: i64) -> GroupLayout {
        let NaiveShape::Sliding { hop, .. } = self.window.shape else { panic!("{self} does not slide") };
        let window = Divisible(Sliding { size_ms: size, hop_ms: hop });
        let with_window = |line: AggregateSpec| AggregateSpec { windows: vec![window.into()], ..line };
        GroupLayout { lines: self.layout().lines.into_iter().map(with_window).collect(), width: 1 }
    }

    /// The answer without counted records, if the line has one.
    fn default(&self) -> Option<Scalar> {
        (self.modifier == Modifier::Default).then(|| naive::default_of(&self.op.to_string(), -7))
    }

    /// The answers by definition, of the window as of a time, each entity's its own.
    fn defined(&self, events: &[Event], asking: i64, asof: impl Fn(u8) -> i64) -> Vec<Feature> {
        (0..3).map(|entity| self.defined_of(events, entity, asking, asof(entity))).collect()
    }

    /// The events of an entity that the line counts, by position.
    fn counted(&self, events: &[Event], entity: u8) -> Vec<usize> {
        let counts = |event: &Event| {
            let is_counted = event.observation().is_some_and(|one| naive::is_counted(self.op.kind.name, &one));
            is_counted && (self.modifier != Modifier::By || event.category.is_some())
        };
        (0..events.len()).filter(|at| events[*at].entity == entity && counts(&events[*at])).collect()
    }

    fn defined_of(&self, events: &[Event], entity: u8, asking: i64, asof: i64) -> Feature {
        self.defined_by(events, entity, asking, |times| self.window.held(times, asof))
    }

    /// The answer by definition of the last event's entity, of the window as of its time and that event itself.
    fn defined_with_own(&self, events: &[Event]) -> Feature {
        let own = &events[events.len() - 1];
        let held = |times: &[Times]| match times.last() {
            Some(last) if last.effective == own.at => self.window.held_with_own(times, own.at),
            _ => self.window.held(times, own.at),
        };
        self.defined_by(events, own.entity, own.at, held)
    }

    /// The answer by definition, of the events that `held` chooses for each step by their times.
    fn defined_by(
        &self,
        events: &[Event],
        entity: u8,
        asking: i64,
        held: impl Fn(&[Times]) -> Vec<Vec<usize>>,
    ) -> Feature {
        let counted = self.counted(events, entity);
        let times: Vec<Times> = counted.iter().map(|at| events[*at].times()).collect();
        let asked = Asked { asking: asking - self.window.lag, length_ms: self.window.length_ms() };
        let answer = |held: &[usize], category: Option<u8>| -> Option<Feature> {
            let of = held.iter().map(|at| &events[counted[*at]]);
            let of = of.filter(|event| category.is_none() || event.category == category);
            let observed: Vec<Observation> = of.filter_map(Event::observation).collect();
            match self.default() {
                _ if category.is_some() && observed.is_empty() => None,
                Some(default) if observed.is_empty() => Some(default.into()),
                _ => Some(self.definition.answer(&observed, asked)),
            }
        };
        let steps = held(&times);
        if self.modifier == Modifier::By {
            let entry = |category| Some((Arc::from(Event::text(category)), answer(&steps[0], Some(category))?));
            return Feature::map((0..3).filter_map(entry).collect());
        }
        let mut answers = steps.iter().map(|held| answer(held, None).expect("there is an answer of no records"));
        if !self.window.is_series() {
            return answers.next().expect("a window has one answer");
        }
        Feature::List(answers.flat_map(|answer| naive::step_values(&self.op.to_string(), &answer)).collect())
    }

    /// Returns whether the window, if it is a sliding one, may have an event once it takes effect.
    fn is_in_time(&self, event: &Event) -> bool {
        let times = Times { effective: event.at - 1, event: event.event_time() };
        self.window.held(&[times], event.at).concat() == [0]
    }

    /// The events that are in the window as of a time.
    fn inside(&self, events: &[Event], asof: i64) -> Vec<Event> {
        let mut inside: Vec<bool> = vec![false; events.len()];
        for entity in 0..3 {
            let counted = self.counted(events, entity);
            let times: Vec<Times> = counted.iter().map(|at| events[*at].times()).collect();
            let held = self.window.held(&times, asof).into_iter().flatten();
            held.for_each(|at| inside[counted[at]] = true);
        }
        events.iter().zip(inside).filter(|(_, inside)| *inside).map(|(event, _)| event.clone()).collect()
    }
}

/// A record of one of three entities.
#[derive(Clone, Debug)]
struct Event {
    entity: u8,
    /// The time at which it takes effect.
    at: i64,
    /// The time from its event time to then.
    late: i64,
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

    /// The event as an aggregate sees it, if it has a value.
    fn observation(&self) -> Option<Observation> {
        let with = self.y.map_or(Scalar::Null, Scalar::Float);
        Some(Observation { event_time: self.event_time(), x: Scalar::Float(self.x?), with })
    }

    fn event_time(&self) -> i64 {
        self.at - self.late
    }

    fn times(&self) -> Times {
        Times { effective: self.at, event: self.event_time() }
    }

    fn update(&self, slot: u32, row: usize) -> Update {
        Update { slot, batch: 0, row: row as u32, time: self.at, event_time: self.event_time() }
    }
}

/// Events in order of time, some of them late, with values of a strategy.
fn events_of(x: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<Event>> {
    let x = prop::option::weighted(0.8, prop_oneof![(-4i32..5).prop_map(f64::from), x]);
    let y = prop::option::weighted(0.8, (-40i32..50).prop_map(|y| f64::from(y) / 8.0));
    let category = prop::option::weighted(0.9, 0u8..3);
    let late = prop_oneof![4 => Just(0), 1 => 1i64..60];
    prop::collection::vec((0u8..3, 0i64..30, late, x, y, category), 1..60).prop_map(|shapes| {
        let mut now = 1_000;
        let timed = shapes.into_iter().map(|(entity, step, late, x, y, category)| {
            now += step;
            Event { entity, at: now, late, x, y, category }
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
    decoder: VectorDecoder,
    /// The steps in which it is advanced at a time.
    piece: usize,
}

impl ClosedGroup {
    fn new(case: &Case) -> Self {
        ClosedGroup::of(case.layout())
    }

    fn of(layout: GroupLayout) -> Self {
        let decoder = VectorDecoder::of_group(&layout, Vec::new());
        ClosedGroup { state: GroupState::new(&layout), layout, decoder, piece: usize::MAX }
    }

    /// A vector as a replica has it, to which it came as bytes.
    fn as_decoded(&self, vector: &[Feature]) -> Vec<Feature> {
        let mut published = vector.to_vec();
        published.resize(self.state.published_width(), Feature::NULL);
        if vector.len() < published.len() {
            let mut empty = published.clone();
            self.state.published_into(None, None, &mut empty);
            published[vector.len()..].clone_from_slice(&empty[vector.len()..]);
        }
        let decoded = self.decoder.decode(&encode_vector(&published)).expect("it was encoded");
        assert_eq!(decoded, published);
        decoded
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

    /// Advances the state; returns the entities whose answers may have changed.
    fn advance(&mut self, asof: i64) -> BTreeSet<u8> {
        let mut changed = BTreeSet::new();
        loop {
            let (mut expired, mut budget) = (Expired::default(), StepBudget::new(self.piece));
            let is_there = self.state.advance_within(asof, &mut budget, &mut expired);
            let keys = expired.changed.iter().filter_map(|slot| self.state.key(*slot));
            changed.extend(keys.map(|key| key.as_bytes()[0]));
            for slot in expired.emptied {
                if self.state.key(slot).is_some() {
                    self.state.release_if_empty(slot);
                }
            }
            if is_there {
                return changed;
            }
        }
    }

    /// The answer of an entity as of a time, if it has records.
    fn answer(&mut self, entity: u8, asof: i64) -> Option<Feature> {
        self.advance(asof);
        let slot = self.state.find(&[entity], Key::hash_of(&[entity]))?;
        Some(self.as_decoded(&self.state.vector(Some(slot), None))[0].finished(asof))
    }

    /// The vectors of the entities as of the time advanced to, those that depend on the asking time unfinished.
    fn shown(&self) -> Vec<Feature> {
        let slot = |entity: u8| self.state.find(&[entity], Key::hash_of(&[entity]));
        (0..3).map(|entity| self.state.vector(slot(entity), None).remove(0)).collect()
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
        ProvisionalGroup::of(ClosedGroup::new(case), events)
    }

    fn of(group: ClosedGroup, events: &'a [Event]) -> Self {
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

    /// The vectors of the entities with their panes, as they are published.
    fn published(&self) -> Vec<Vec<Feature>> {
        let vector = |entity: u8| {
            let (key, hash) = ([entity], Key::hash_of(&[entity]));
            let state = &self.group.state;
            let mut row = vec![Feature::NULL; state.published_width()];
            state.published_into(state.find(&key, hash), state.find_provisional(&key, hash), &mut row);
            self.group.as_decoded(&row)
        };
        (0..3).map(vector).collect()
    }

    fn answers(&self, asking: i64) -> Vec<Feature> {
        let answer = |entity: u8| {
            let (key, hash) = ([entity], Key::hash_of(&[entity]));
            let state = &self.group.state;
            let vector = state.vector(state.find(&key, hash), state.find_provisional(&key, hash));
            self.group.as_decoded(&vector)[0].finished(asking)
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
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// An answer is its definition over the records that its window holds.
    #[test]
    fn laws_an_answer_is_its_definition(events in small_events(), windows in windows(), steps in prop::collection::vec(0i64..60, 1..4)) {
        for case in cases_in(&windows) {
            let mut group = ClosedGroup::new(&case);
            group.feed(&events);
            let mut asof = events[events.len() - 1].at + 1;
            for step in &steps {
                asof += step;
                let expected = case.defined(&events, asof, |_| asof);
                prop_assert_eq!(bits(&group.answers(asof)), bits(&expected), "{} as of {}", case, asof);
            }
        }
    }

    /// A boundary that is crossed in pieces, between which entities are released, is crossed as if at once.
    #[test]
    fn laws_pieces_of_a_boundary_equal_one_advance(events in small_events(), windows in windows(), piece in 1usize..4, steps in prop::collection::vec(0i64..60, 1..6)) {
        for case in cases_in(&windows) {
            let mut groups = [ClosedGroup::new(&case), ClosedGroup { piece, ..ClosedGroup::new(&case) }];
            groups.iter_mut().for_each(|group| group.feed(&events));
            let mut asof = events[events.len() - 1].at + 1;
            for step in &steps {
                asof += step;
                let [whole, pieces] = groups.each_mut().map(|group| (group.advance(asof), bits(&group.shown()), group.state.len()));
                prop_assert_eq!(whole, pieces, "{} as of {} by {}", case, asof, piece);
            }
        }
    }

    /// Records that are inserted together, without an asking time between them, count as they do one by one.
    #[test]
    fn laws_a_run_equals_single_inserts(events in small_events(), windows in windows(), later in 1i64..60) {
        let asof = events[events.len() - 1].at + later;
        for case in cases_in(&windows) {
            let mut group = ClosedGroup::new(&case);
            let inputs = [group.inputs(&events)];
            let slots = events.iter().map(|event| group.state.slot(&[event.entity], Key::hash_of(&[event.entity])));
            let slots: Vec<u32> = slots.collect();
            let updates: Vec<Update> = events.iter().zip(slots).enumerate().map(|(row, (event, slot))| event.update(slot, row)).collect();
            group.state.insert(&updates, &[&inputs], &mut Vec::new());
            let expected = case.defined(&events, asof, |_| asof);
            prop_assert_eq!(bits(&group.answers(asof)), bits(&expected), "{}", case);
        }
    }

    /// An entity whose answer moves on without a record of it is told as changed.
    #[test]
    fn laws_a_changed_answer_is_reported(events in small_events(), windows in windows()) {
        let end = events[events.len() - 1].at + 1;
        for case in cases_in(&windows) {
            let mut group = ClosedGroup::new(&case);
            group.feed(&events);
            group.advance(end);
            let mut before: Vec<Feature> = group.shown();
            for asof in end + 1..end + 120 {
                let mut expired = Expired::default();
                group.state.advance(asof, &mut expired);
                let keys = expired.changed.iter().filter_map(|slot| group.state.key(*slot));
                let changed: Vec<u8> = keys.map(|key| key.as_bytes()[0]).collect();
                let now = group.shown();
                for entity in 0..3u8 {
                    let same = bits(&before[entity as usize..][..1]) == bits(&now[entity as usize..][..1]);
                    prop_assert!(same || changed.contains(&entity), "{} of {} as of {}", case, entity, asof);
                }
                before = now;
            }
        }
    }

    /// However records are cut into batches, and wherever the state is saved and loaded, by one worker or by several, the
    /// answer has the same bits.
    #[test]
    fn laws_batches_and_snapshots_change_no_bit(events in events(), windows in windows(), cut in 0usize..60, later in 0i64..150, peers in 1u64..4) {
        let cut = cut.min(events.len());
        let asof = events[events.len() - 1].at + later;
        for case in cases_in(&windows) {
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

    /// Records that have left a window have no effect: only the records inside it matter. Once none will be inside, nothing
    /// is kept.
    #[test]
    fn laws_expired_records_leave_nothing_behind(events in events(), windows in windows(), later in 0i64..150) {
        let asof = events[events.len() - 1].at + 1 + later;
        for case in cases_in(&windows) {
            // Ops that sum do not count values that cannot be summed, so a window by the order of what counts differs.
            let is_counted = |x: &f64| x.abs() <= 1e18 || !case.window.window().is_ordered();
            let counted = |event: &Event| Event { x: event.x.filter(is_counted), ..event.clone() };
            let events: Vec<Event> = events.iter().map(counted).collect();
            let (mut all, mut few) = (ClosedGroup::new(&case), ClosedGroup::new(&case));
            all.feed(&events);
            few.feed(&case.inside(&events, asof));
            prop_assert_eq!(bits(&all.answers(asof)), bits(&few.answers(asof)), "{}", case);
            if !matches!(case.window.shape, NaiveShape::Lifetime | NaiveShape::Last(_)) {
                all.advance(asof + 10_000);
                prop_assert_eq!(all.state.len(), 0, "{} keeps entities", case);
            }
        }
    }

    /// Provisional records count at once, in whatever order they arrive and however they close. In sliding and lifetime
    /// windows, it is as if all of them had taken effect just now; a window that lags does not show them; any other is
    /// as of the time just after the newest of them.
    #[test]
    fn laws_provisional_records_count_at_once(events in small_events(), windows in windows(), came in prop::collection::vec(any::<u32>(), 60), steps in prop::collection::vec(0i64..300, 1..6)) {
        // Of one time, only the order of arrival is known until they close.
        let events: Vec<Event> =
            events.into_iter().zip(0..).map(|(event, index)| Event { at: event.at + index, ..event }).collect();
        let mut arrival: Vec<usize> = (0..events.len()).collect();
        arrival.sort_by_key(|index| came[*index]);
        let asking = events[events.len() - 1].at + 10_000;
        for case in cases_in(&windows) {
            let mut group = ProvisionalGroup::new(&case, &events);
            group.arrive(&arrival);
            let mut upto = events[0].at;
            for step in &steps {
                let expected = match case.window {
                    NaiveWindow { shape: NaiveShape::Sliding { .. } | NaiveShape::Lifetime, lag: 0 } => {
                        let now = |event: &Event| {
                            let late = upto - 1 - event.event_time();
                            case.is_in_time(event).then(|| Event { at: upto - 1, late, ..event.clone() })
                        };
                        let events: Vec<Event> = events.iter().filter_map(now).collect();
                        case.defined(&events, asking, |_| upto)
                    }
                    NaiveWindow { lag: 0, .. } => case.defined(&events, asking, |entity| {
                        let of = events.iter().filter(|event| event.entity == entity);
                        of.map(|event| event.at + 1).max().unwrap_or(upto).max(upto)
                    }),
                    _ => case.defined(&events, asking, |_| upto),
                };
                prop_assert_eq!(bits(&group.answers(asking)), bits(&expected), "{} at {}", case, upto);
                upto += step;
                group.close(upto);
            }
            group.close(i64::MAX / 2);
            prop_assert!(!group.group.state.has_provisional(), "{} keeps provisional entities", case);
        }
    }

    /// A window on request has the answer that it would have if it were declared: of any multiple of the hop, whatever
    /// is closed, and from vectors that were published as of another time if no record of the entity came in between.
    #[test]
    fn laws_a_window_on_request_answers_as_a_declared_one(events in small_events(), came in prop::collection::vec(any::<u32>(), 60), steps in prop::collection::vec(0i64..200, 1..5), later in 0i64..12, hops in 1i64..11) {
        let events: Vec<Event> =
            events.into_iter().zip(0..).map(|(event, index)| Event { at: event.at + index, ..event }).collect();
        let mut arrival: Vec<usize> = (0..events.len()).collect();
        arrival.sort_by_key(|index| came[*index]);
        let asking = events[events.len() - 1].at + 10_000;
        for (hop, most) in [(10, 10), (1, 50)] {
            let size = (hops * most / 10).max(1) * hop;
            let asked = [NaiveWindow { shape: NaiveShape::Sliding { size, hop }, lag: 0 }];
            for case in cases_in(&asked) {
                let layout = case.divisible_layout(most * hop);
                let windows = RequestWindows::new(layout.lines.clone(), 1);
                let requested = windows.requested(size).expect("the window is kept");
                let mut group = ProvisionalGroup::of(ClosedGroup::of(layout), &events);
                group.arrive(&arrival);
                let mut upto = events[0].at;
                for step in &steps {
                    // Vectors do not change while no record closes and no pane of the widest window leaves.
                    let next = events.get(group.closed).map_or(i64::MAX, |event| event.at);
                    for asof in [upto, (upto + later).min(next)] {
                        let now = |event: &Event| {
                            let late = asof - 1 - event.event_time();
                            case.is_in_time(event).then(|| Event { at: asof - 1, late, ..event.clone() })
                        };
                        let events: Vec<Event> = events.iter().filter_map(now).collect();
                        let expected = case.defined(&events, asking, |_| asof);
                        let found = group.published();
                        let found = found.iter().map(|vector| requested.values(vector, asof)[0].finished(asking));
                        prop_assert_eq!(bits(&found.collect::<Vec<_>>()), bits(&expected), "{} at {}", case, asof);
                    }
                    upto += step;
                    group.close(upto);
                }
            }
        }
    }

    /// A line that is current answers as if the record that looks up had come last, if the window can have it, and without it
    /// as any other.
    #[test]
    fn laws_an_own_record_counts_as_the_newest_one(events in small_events(), later in 1i64..150) {
        let (own, events) = events.split_last().expect("there are events");
        let asking = own.at + later;
        let own = [Event { at: asking, late: 0, ..own.clone() }];
        for case in cases() {
            let mut group = ClosedGroup::of(GroupLayout {
                lines: case.layout().lines.into_iter().map(|line| AggregateSpec { current: true, ..line }).collect(),
                width: 1,
            });
            group.feed(events);
            group.advance(asking);
            let input = group.inputs(&own);
            let slot = group.state.find(&[own[0].entity], Key::hash_of(&[own[0].entity]));
            let open = group.as_decoded(&group.state.vector(slot, None)).remove(0);
            let all: Vec<Event> = events.iter().chain(&own).cloned().collect();
            let expected = case.defined_with_own(&all);
            let with = match &open {
                Feature::Open(open) => open.with(&input, 0, asking).finished(asking),
                closed => closed.finished(asking),
            };
            prop_assert_eq!(matches!(open, Feature::Open(_)), case.window.has_own(), "{}", case);
            prop_assert_eq!(bits(&[with]), bits(&[expected]), "{}", case);
            let before = case.defined_of(events, own[0].entity, asking, asking);
            prop_assert_eq!(bits(&[open.finished(asking)]), bits(&[before]), "{} without", case);
        }
    }

    /// Aggregates that are not ordered do not depend on the order of records of one time.
    #[test]
    fn laws_unordered_aggregates_ignore_the_order_of_ties(events in events(), windows in windows(), swaps in prop::collection::vec((0usize..60, 0usize..60), 0..20)) {
        let at = events[0].at;
        let mut shuffled: Vec<Event> = events.iter().map(|event| Event { at, late: 0, ..event.clone() }).collect();
        let same_time = shuffled.clone();
        for (a, b) in swaps {
            let (a, b) = (a % shuffled.len(), b % shuffled.len());
            shuffled.swap(a, b);
        }
        for case in cases_in(&windows).filter(|case| !case.layout().is_ordered()) {
            let (mut one, mut other) = (ClosedGroup::new(&case), ClosedGroup::new(&case));
            one.feed(&same_time);
            other.feed(&shuffled);
            prop_assert_eq!(bits(&one.answers(at + 1)), bits(&other.answers(at + 1)), "{}", case);
        }
    }

    /// The memory that is reported grows with entities and their panes.
    #[test]
    fn laws_reported_memory_grows_with_entities_and_panes(events in events(), windows in windows()) {
        for case in cases_in(&windows) {
            let mut group = ClosedGroup::new(&case);
            let empty = group.state.bytes();
            group.feed(&events);
            if !group.state.is_empty() {
                prop_assert!(group.state.bytes() > empty, "{} is not measured", case);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sessions of a few ms, of records that are late by as much: all edges of a run are met.
    #[test]
    fn laws_sessions_split_and_join_at_their_edges(
        steps in prop::collection::vec((0i64..8, prop_oneof![Just(0), 0i64..16]), 1..40),
        max in prop::option::of(6i64..14),
    ) {
        let mut now = 1_000;
        let timed = steps.into_iter().map(|(step, late)| {
            now += step;
            Event { entity: 0, at: now, late, x: Some(1.0), y: None, category: None }
        });
        let events: Vec<Event> = timed.collect();
        let window = NaiveWindow { shape: NaiveShape::Session { gap: 5, max }, lag: 0 };
        let case = cases_in(&[window]).next().expect("the first aggregate is a count");
        let mut group = ClosedGroup::new(&case);
        for (at, event) in events.iter().enumerate() {
            group.feed(std::slice::from_ref(event));
            for asof in [event.at + 1, event.at + 6] {
                // The state does not advance to a time of asking before a record that takes effect earlier.
                if events.get(at + 1).is_none_or(|next| next.at >= asof) {
                    let expected = case.defined(&events[..=at], asof, |_| asof);
                    prop_assert_eq!(bits(&group.answers(asof)), bits(&expected), "{} as of {}", case, asof);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// A group that holds two of three entities, saved and loaded on the way.
    #[test]
    fn laws_an_entity_that_was_dropped_starts_empty(
        events in small_events(),
        chosen in windows(),
        loaded_after in 0usize..60,
    ) {
        for case in cases_in(&chosen) {
            let layout = case.layout();
            let bounded = || GroupState::bounded(&layout, Some(EntityBound::new(2)));
            let mut group = ClosedGroup { state: bounded(), ..ClosedGroup::of(layout.clone()) };
            // By entity, the position of its newest event, and the first that counts.
            let (mut newest, mut since) = ([0; 3], [0; 3]);
            for (at, event) in events.iter().enumerate() {
                group.feed(std::slice::from_ref(event));
                newest[usize::from(event.entity)] = at;
                if events.get(at + 1).is_some_and(|next| next.at == event.at) {
                    continue;
                }
                let key = |entity: usize| [entity as u8];
                let held: Vec<usize> =
                    (0..3).filter(|entity| group.state.find(&key(*entity), Key::hash_of(&key(*entity))).is_some()).collect();
                let oldest = held.iter().copied().min_by_key(|entity| newest[*entity]).filter(|_| held.len() > 2);
                let mut dropped = Vec::new();
                group.state.drop_excess(&mut dropped);
                let dropped: Vec<&[u8]> = dropped.iter().map(|(_, key)| key.as_bytes()).collect();
                prop_assert_eq!(dropped, oldest.iter().map(|entity| vec![*entity as u8]).collect::<Vec<_>>());
                oldest.into_iter().for_each(|entity| since[entity] = at + 1);
                if at == loaded_after {
                    let saved = group.state.save().saved();
                    group.state = bounded();
                    group.state.load(saved, |_| true).unwrap();
                }
                let asof = event.at + 1;
                let answers = group.answers(asof);
                let own = |entity: u8| -> Vec<Event> {
                    let counts = |(position, event): &(usize, &Event)| {
                        event.entity == entity && *position >= since[usize::from(entity)]
                    };
                    events[..=at].iter().enumerate().filter(counts).map(|(_, event)| event.clone()).collect()
                };
                let expected: Vec<Feature> =
                    (0..3).map(|entity| case.defined_of(&own(entity), entity, asof, asof)).collect();
                prop_assert_eq!(bits(&answers), bits(&expected), "{} after {} events", case, at + 1);
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
        let zero = [Scalar::Int(0), Scalar::Float(0.0)];
        let is_empty = |answer: &Scalar| match case.default() {
            Some(default) => *answer == default,
            None => *answer == Scalar::Null || zero.contains(answer),
        };
        match answer {
            Feature::Value(answer) => assert!(is_empty(answer), "{case}"),
            Feature::List(answers) => assert!(case.window.is_series() && answers.iter().all(is_empty), "{case}"),
            other => panic!("{other:?} is no empty answer of {case}"),
        }
    }
}

#[test]
fn ops_of_one_family_share_what_they_keep() {
    let bytes = |ops: &[&str], window: &str| {
        let ops = ops.iter().map(|op| Op::parse(op).unwrap()).collect();
        let line = AggregateSpec { digits: 9, ops, ..AggregateSpec::default() };
        line.bytes_per_entity(Window::parse(window).unwrap(), RecordLoad::EachPane(1))
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
    for window in ["100ms", "50ms", "lifetime"].map(|text| Window::parse(text).unwrap()) {
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
    for window in ["100ms", "50ms", "lifetime"].map(|text| Window::parse(text).unwrap()) {
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
