//! Contributions: the records of an entity that each feature is computed from, and the features recomputed from just those.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};

use super::lineage::{EntityRecords, RecordPlace};
use crate::aggregate::{
    AggregateSpec, Expired, Feature, GroupLayout, GroupState, InputColumns, LineInput, Needs, Update,
};
use crate::flow::plan::GroupPlan;
use crate::serve::explainer::{ExplanationFailure, ExplanationLimits};
use crate::spec::{Group, GroupFeature};
use crate::time::EventTime;
use crate::value::{Key, Scalar};

/// A moment at which the features of an entity are asked for, as the graph answers: of the records that are closed by
/// then, and of those that have arrived beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time up to which everything is closed.
    pub closed: EventTime,
    /// The number of records, in the total order, that have arrived.
    pub arrived: usize,
    /// The time as of which features are that depend on when they are asked for.
    pub asking: EventTime,
}

impl Moment {
    /// The moment at which exactly the records count that take effect before a time.
    pub fn as_of(time: EventTime, records: &EntityRecords) -> Moment {
        let arrived = records.records.partition_point(|record| record.effective < time);
        Moment { closed: time, arrived, asking: time }
    }
}

/// The records that some ops of a line count in one of its windows, and the features of them.
pub struct Contribution {
    /// Positions of the line in its group, and of the window in the line.
    pub line: usize,
    pub window: usize,
    /// The records that count, ascending.
    pub records: Vec<usize>,
    /// Features, by position in the group's vectors, recomputed from just these records.
    pub features: Vec<Recomputed>,
}

/// A feature, by position among all of the group, that was recomputed.
pub struct Recomputed {
    pub feature: usize,
    pub value: Feature,
}

/// Explains the features at the given positions of a group's vectors, window by window. Ops that count other records than
/// the first op of a window, such as those that leave out what has no second value, are explained apart.
///
/// # Errors
/// If a limit is reached.
pub fn explain(
    spec: &Group,
    group: &GroupPlan,
    records: &EntityRecords,
    moment: Moment,
    wanted: &[usize],
    limits: &ExplanationLimits,
) -> Result<Vec<Contribution>, ExplanationFailure> {
    let mut contributions = Vec::new();
    for (line, declared) in spec.lines.iter().enumerate() {
        for window in 0..declared.windows.len() {
            let of_window = |feature: &usize| {
                let feature = &spec.features[*feature];
                feature.line == line && feature.window == window
            };
            let features: Vec<usize> = wanted.iter().copied().filter(of_window).collect();
            if features.is_empty() {
                continue;
            }
            for ChosenRecords { records: members, features } in choose(spec, group, records, moment, &features) {
                limits.check(0)?;
                let vector = vector(&only(&group.layout, line, window), records, &records.inputs(), moment, &members);
                let recomputed = |feature: usize| Recomputed { feature, value: vector[feature].clone() };
                let features = features.into_iter().map(recomputed).collect();
                contributions.push(Contribution { line, window, records: members, features });
            }
        }
    }
    Ok(contributions)
}

/// Recomputes the derived features among some, from the features that contributions have recomputed.
pub fn derived(group: &GroupPlan, contributions: &[Contribution], moment: Moment, wanted: &[usize]) -> Vec<Recomputed> {
    let mut vector = vec![Feature::NULL; group.layout.width];
    for of in contributions.iter().flat_map(|contribution| &contribution.features) {
        vector[of.feature] = of.value.clone();
    }
    let derived = wanted.iter().filter(|feature| group.derived_at(**feature).is_some());
    let recomputed =
        |feature: &usize| Recomputed { feature: *feature, value: group.feature(&vector, *feature, moment.asking) };
    derived.map(recomputed).collect()
}

/// The records that count for features.
struct ChosenRecords {
    records: Vec<usize>,
    features: Vec<usize>,
}

/// The records that count for each of some features in one window of a line; features of the same records together.
fn choose(
    spec: &Group,
    group: &GroupPlan,
    records: &EntityRecords,
    moment: Moment,
    features: &[usize],
) -> Vec<ChosenRecords> {
    let mut chosen: Vec<ChosenRecords> = Vec::new();
    for feature in features {
        let found = members(group, records, moment, &spec.features[*feature]);
        match chosen.iter_mut().find(|known| known.records == found) {
            Some(known) => known.features.push(*feature),
            None => chosen.push(ChosenRecords { records: found, features: vec![*feature] }),
        }
    }
    chosen
}

/// The vector of an entity at a moment, of the given records, in the total order.
pub fn vector(
    layout: &GroupLayout,
    records: &EntityRecords,
    inputs: &[&[LineInput]],
    moment: Moment,
    chosen: &[usize],
) -> Vec<Feature> {
    let closed = chosen.partition_point(|record| records.records[*record].effective < moment.closed);
    let mut entity = EntityState::closed(layout, records, inputs, &chosen[..closed], moment.closed);
    entity.add(&chosen[closed..]);
    // Also a record that is not chosen is one that has arrived.
    if let Some(newest) = records.records[..moment.arrived].last() {
        entity.extend(newest.effective);
    }
    entity.vector()
}

/// Calls `each` with the vectors of an entity as of a time up to which everything is closed, while up to `most` records arrive
/// beside those that are closed: with the number of records that have arrived, first of just those that are closed.
///
/// # Errors
/// The first of a call.
pub fn arriving(
    layout: &GroupLayout,
    records: &EntityRecords,
    closed: EventTime,
    most: usize,
    mut each: impl FnMut(usize, Vec<Feature>) -> Result<(), ExplanationFailure>,
) -> Result<(), ExplanationFailure> {
    let first = Moment::as_of(closed, records).arrived;
    let all: Vec<usize> = (0..records.records.len().min(first.saturating_add(most))).collect();
    let inputs = records.inputs();
    let mut entity = EntityState::closed(layout, records, &inputs, &all[..first], closed);
    each(first, entity.vector())?;
    for arrived in first..all.len() {
        entity.add(&all[arrived..=arrived]);
        each(arrived + 1, entity.vector())?;
    }
    Ok(())
}

/// Calls `each` with the moments after a time at which the vector of an entity changes while everything is closed up to each
/// of them: up to `most`, for as long as it returns true, and records come or leave a window.
///
/// # Errors
/// The first of a call.
pub fn closing(
    layout: &GroupLayout,
    records: &EntityRecords,
    since: EventTime,
    most: usize,
    mut each: impl FnMut(Moment) -> Result<bool, ExplanationFailure>,
) -> Result<(), ExplanationFailure> {
    let all: Vec<usize> = (0..records.records.len()).collect();
    let mut moment = Moment::as_of(since, records);
    let inputs = records.inputs();
    let mut entity = EntityState::closed(layout, records, &inputs, &all[..moment.arrived], since);
    for _ in 0..most {
        let next = records.records.get(moment.arrived).map(|record| record.effective.saturating_add(1));
        let time = entity.state.next_expiry().min(next.unwrap_or(EventTime::MAX));
        if time == EventTime::MAX || time > records.newest.saturating_add(1) {
            break;
        }
        let later = Moment::as_of(time.max(moment.closed.saturating_add(1)), records);
        entity.close(&all[moment.arrived..later.arrived], later.closed);
        moment = later;
        if !each(moment)? {
            break;
        }
    }
    Ok(())
}

/// The state of the one entity of a group.
struct EntityState<'a> {
    state: GroupState,
    records: &'a EntityRecords,
    inputs: &'a [&'a [LineInput]],
    slot: u32,
    /// The slot of records that are not closed, if there are any.
    provisional: Option<u32>,
    closed: EventTime,
}

/// The key of the entity: which one it is does not matter to a state that has no other.
const KEY: &[u8] = b"entity";

impl<'a> EntityState<'a> {
    /// The state of closed records, in the total order, as of a time up to which everything is closed.
    fn closed(
        layout: &GroupLayout,
        records: &'a EntityRecords,
        inputs: &'a [&'a [LineInput]],
        chosen: &[usize],
        closed: EventTime,
    ) -> Self {
        let mut state = GroupState::new(layout);
        let slot = state.slot(KEY, Key::hash_of(KEY));
        let mut entity = EntityState { state, records, inputs, slot, provisional: None, closed };
        entity.close(chosen, closed);
        entity
    }

    /// Closes further records, in the total order, up to a time.
    fn close(&mut self, chosen: &[usize], closed: EventTime) {
        let updates: Vec<Update> = chosen.iter().map(|record| update(self.records, self.slot, *record)).collect();
        self.state.insert(&updates, self.inputs, &mut Vec::new());
        self.state.advance(closed, &mut Expired::default());
        self.closed = closed;
    }

    fn provisional_slot(&mut self) -> u32 {
        let slot = self.provisional.unwrap_or_else(|| self.state.provisional_slot(KEY, Key::hash_of(KEY)));
        self.provisional = Some(slot);
        slot
    }

    /// Adds records that have arrived and are not closed.
    fn add(&mut self, chosen: &[usize]) {
        if !chosen.is_empty() {
            let slot = self.provisional_slot();
            let updates: Vec<Update> = chosen.iter().map(|record| update(self.records, slot, *record)).collect();
            self.state.add_provisional(&updates, self.inputs);
        }
    }

    /// Makes the records that have arrived reach to a time, unless everything is closed up to there.
    fn extend(&mut self, newest: EventTime) {
        if newest >= self.closed {
            let slot = self.provisional_slot();
            self.state.extend_provisional(slot, newest);
        }
    }

    fn vector(&self) -> Vec<Feature> {
        self.state.vector(Some(self.slot), self.provisional)
    }
}

fn update(records: &EntityRecords, slot: u32, record: usize) -> Update {
    let RecordPlace { batch, row } = records.place(record);
    let of = &records.records[record];
    Update { slot, batch, row, time: of.effective, event_time: of.event_time }
}

/// The records that a feature is of, as the state of its window has them.
fn members(group: &GroupPlan, records: &EntityRecords, moment: Moment, feature: &GroupFeature) -> Vec<usize> {
    let line = &group.layout.lines[feature.line];
    let layout = GroupLayout { lines: vec![AggregateSpec::of_members(line.windows[feature.window])], width: 1 };
    // The input is the number of each record that the op counts.
    let op = &line.ops[feature.op];
    let mut next = 0..;
    let numbered = |length: usize| {
        let number = |record: usize| records.is_counted(record, feature.line, op).then_some(record as i64);
        let numbers: Int64Array = next.by_ref().take(length).map(number).collect();
        let numbers: ArrayRef = Arc::new(numbers);
        let needs = Needs { scaled: true, values: false };
        vec![LineInput::new(&InputColumns { of: Some(&numbers), needs, ..InputColumns::default() }, &mut 0)]
    };
    let inputs: Vec<Vec<LineInput>> = records.batch_lengths().map(numbered).collect();
    let inputs: Vec<&[LineInput]> = inputs.iter().map(Vec::as_slice).collect();
    let all: Vec<usize> = (0..moment.arrived).collect();
    match vector(&layout, records, &inputs, moment, &all).swap_remove(0) {
        Feature::List(numbers) => {
            let number = |number: &Scalar| match number {
                Scalar::Int(number) => usize::try_from(*number).expect("records are numbered from 0"),
                _ => unreachable!("members are ints"),
            };
            numbers.iter().map(number).collect()
        }
        _ => Vec::new(),
    }
}

/// A layout whose only window is one of a line.
fn only(layout: &GroupLayout, line: usize, window: usize) -> GroupLayout {
    let lines = layout.lines.iter().enumerate().map(|(at, spec)| {
        let kept = if at == line { window..window + 1 } else { 0..0 };
        AggregateSpec {
            windows: spec.windows[kept.clone()].to_vec(),
            positions: spec.positions[kept].to_vec(),
            ..spec.clone()
        }
    });
    GroupLayout { lines: lines.collect(), width: layout.width }
}
