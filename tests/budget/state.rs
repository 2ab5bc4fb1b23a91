//! The state of every aggregate in every kind of window, with the records that an estimate assumes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};

use crate::allocator::allocated;
use crate::common::naive;
use tidemill::aggregate::{
    AggregateSpec, Cumulative, Cycle, Expired, FeatureType, GroupLayout, GroupState, InputColumns, KINDS, LastN,
    Lifetime, LineInput, Op, OpInput, Series, Session, Sliding, Tumbling, Update, Window, WindowShape,
};
use tidemill::value::{Key, Type};

/// A second of event time, the hop of the windows here.
const HOP: i64 = 1_000;

/// One line of one op in one window.
struct Case {
    layout: GroupLayout,
    /// True if values are texts.
    texts: bool,
    entities: usize,
    /// Records of an entity in each pane.
    records: usize,
}

impl Case {
    fn new(op: &Op, window: Window, texts: bool, by: bool) -> Self {
        let line = AggregateSpec {
            digits: 9,
            with_digits: 9,
            texts,
            by,
            ops: vec![op.clone()],
            windows: vec![window],
            positions: vec![vec![0]],
            ..AggregateSpec::default()
        };
        Case { layout: GroupLayout { lines: vec![line], width: 1 }, texts, entities: 0, records: 0 }
    }

    fn with(self, entities: usize, records: usize) -> Self {
        Case { entities, records, ..self }
    }

    fn line(&self) -> &AggregateSpec {
        &self.layout.lines[0]
    }

    /// The times of the panes that are filled, and the number of records in each.
    fn panes(&self) -> Vec<(i64, usize)> {
        let window = self.line().windows[0];
        let panes = match window.shape {
            WindowShape::Sliding(_) | WindowShape::Divisible(_) | WindowShape::Series(_) => window.panes().unwrap(),
            WindowShape::Tumbling(_) => 2,
            WindowShape::LastN(last) => return vec![(0, 2 * last.0)],
            WindowShape::Cumulative(_) | WindowShape::Session(_) | WindowShape::Lifetime(_) => 1,
        };
        (0..panes).map(|pane| (pane * HOP, self.records)).collect()
    }

    /// The value of the n-th record of an entity. They differ, and fall unless the op prefers low ones.
    fn value(&self, n: usize) -> f64 {
        let rises = ["min", "bottom_k"].contains(&self.line().ops[0].kind.name);
        let magnitude = libm::pow(1.05, n as f64);
        if rises { magnitude } else { -magnitude }
    }

    /// Returns whether an entity has this record of a pane. Where the window has a number of records, entities are at
    /// different ones.
    fn has(&self, entity: usize, record: usize) -> bool {
        match self.line().windows[0].shape {
            WindowShape::LastN(last) => record < last.0 + entity % last.0,
            _ => true,
        }
    }

    /// The input of a round: one record of each entity, each the n-th of its own.
    fn input(&self, n: usize) -> LineInput {
        let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(StringArray::from((0..self.entities).map(text).collect::<Vec<_>>()))
        };
        let numbers = || -> ArrayRef { Arc::new(Float64Array::from(vec![self.value(n); self.entities])) };
        let values = if self.texts { texts(&|_| format!("{n:016}")) } else { numbers() };
        let (with, category) = (numbers(), texts(&|entity| format!("category {:07}", entity % 5)));
        let line = self.line();
        let columns = InputColumns {
            of: Some(&values),
            digits: 9,
            with: Some(&with).filter(|_| line.ops[0].kind.input == OpInput::Pair),
            with_digits: 9,
            by: Some(&category).filter(|_| line.by),
            filter: None,
            needs: line.needs(),
        };
        LineInput::new(&columns, &mut 0)
    }

    /// The state with all records, measured and as allocated.
    fn filled(&self) -> (usize, usize) {
        let (state, allocated) = allocated(|| {
            let mut state = GroupState::new(&self.layout);
            let slots: Vec<u32> = (0..self.entities)
                .map(|entity| {
                    let key = format!("{entity:016}");
                    state.slot(key.as_bytes(), Key::hash_of(key.as_bytes()))
                })
                .collect();
            let mut n = 0;
            for (time, records) in self.panes() {
                for record in 0..records {
                    n += 1;
                    let time = time + record as i64 * HOP / records as i64;
                    state.advance(time, &mut Expired::default());
                    let updates: Vec<Update> = (0u32..)
                        .zip(&slots)
                        .filter(|(row, _)| self.has(*row as usize, record))
                        .map(|(row, slot)| Update { slot: *slot, batch: 0, row, time, event_time: time })
                        .collect();
                    state.insert(&updates, &[&[self.input(n)]], &mut Vec::new());
                }
            }
            state
        });
        (state.bytes(), allocated)
    }

    fn check(&self) {
        let (measured, truth) = self.filled();
        let estimated = self.layout.bytes_per_entity(self.records as u64) * self.entities;
        let line = self.line();
        let (op, window) = (&line.ops[0], line.windows[0].canonical());
        let what = format!(
            "{op} of {} in {window}{}, {} records: {truth} bytes are allocated, {measured} measured, {estimated} estimated",
            if self.texts { "texts" } else { "numbers" },
            if line.by { " by category" } else { "" },
            self.records,
        );
        let is_near = |one: usize, other: usize, most: f64| (one as f64 / other as f64 - 1.0).abs() < most;
        assert!(is_near(measured, truth, 0.1), "{what}");
        assert!(is_near(estimated, measured, 0.25), "{what}");
    }
}

/// Every aggregate in a window, of each type of values that it takes, and by category where it can be.
fn cases_in(window: Window) -> impl Iterator<Item = Case> {
    let of_kind = move |op: Op| {
        let types = [Type::Float, Type::String].into_iter().filter(|ty| op.kind.accepts(Some(*ty)));
        let cases: Vec<Case> = types
            .flat_map(|ty| {
                let is_scalar = matches!(op.output(Some(ty)), FeatureType::Scalar(_));
                let plain = is_scalar || !window.is_series();
                let by = is_scalar && !window.is_series();
                let case = |by| Case::new(&op, window, ty == Type::String, by);
                plain.then(|| case(false)).into_iter().chain(by.then(|| case(true)))
            })
            .collect();
        cases
    };
    KINDS.iter().map(|kind| Op::parse(naive::aggregate(kind.name).0).expect("the table has ops")).flat_map(of_kind)
}

const SLIDING: Sliding = Sliding { size_ms: 10 * HOP, hop_ms: HOP };

#[test]
fn twenty_thousand_entities_are_as_large_as_estimated_whatever_is_aggregated() {
    for case in cases_in(SLIDING.into()) {
        case.with(20_000, 1).check();
    }
}

#[test]
fn entities_are_as_large_as_estimated_in_every_window_with_few_and_many_records() {
    let cycle = Cycle { length_ms: HOP, offset_ms: 0 };
    let windows: [Window; 7] = [
        SLIDING.into(),
        Tumbling(cycle).into(),
        Cumulative(cycle).into(),
        Session { gap_ms: HOP, max_ms: None }.into(),
        Lifetime.into(),
        LastN(10).into(),
        Series { steps: 3, step: Sliding { size_ms: 3 * HOP, hop_ms: HOP } }.into(),
    ];
    for window in windows {
        for records in [1, 12] {
            // More entities than a measurement looks at would take long.
            cases_in(window).for_each(|case| case.with(500, records).check());
        }
    }
}

#[test]
fn the_memory_of_many_entities_is_estimated_from_some_of_them() {
    let op = Op::parse("distinct").expect("an op");
    Case::new(&op, Lifetime.into(), true, false).with(50_000, 3).check();
}
