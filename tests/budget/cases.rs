//! Groups of one line of one op in one window, filled with the records that an estimate assumes.

use std::any::Any;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};

use crate::allocator::allocated;
use tidemill::aggregate::{
    AggregateKind, AggregateSpec, Expired, FeatureType, GroupLayout, GroupState, InputColumns, KINDS, LineInput, Op,
    OpInput, ParameterType, RecordLoad, Update, Window, WindowShape,
};
use tidemill::time::DAY_MS;
use tidemill::value::{Key, Type};

/// A second of event time, the hop of the windows here.
pub const HOP: i64 = 1_000;

/// One line of one op in one window.
pub struct Case {
    pub layout: GroupLayout,
    /// True if values are texts.
    pub texts: bool,
    pub entities: usize,
    pub load: RecordLoad,
}

/// The bytes of a filled state.
#[derive(Clone, Copy, Debug)]
pub struct StateBytes {
    pub estimated: usize,
    pub measured: usize,
    pub allocated: usize,
}

/// An op of a kind, with usual parameters and a half-life.
pub fn op_of(kind: &AggregateKind, half_life: &str) -> Op {
    let parameter = |of: ParameterType| match of {
        ParameterType::Share => "0.9".to_owned(),
        ParameterType::Count => "3".to_owned(),
        ParameterType::Duration => format!("'{half_life}'"),
    };
    let parameters: Vec<String> = kind.parameters.iter().map(|known| parameter(known.of)).collect();
    let list = if parameters.is_empty() { String::new() } else { format!("({})", parameters.join(", ")) };
    Op::parse(&format!("{}{list}", kind.name)).expect("the parameters are those of the kind")
}

impl Case {
    pub fn new(op: &Op, window: Window, texts: bool, by: bool) -> Self {
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
        Case { layout: GroupLayout { lines: vec![line], width: 1 }, texts, entities: 0, load: RecordLoad::EachPane(1) }
    }

    pub fn with(self, entities: usize, load: RecordLoad) -> Self {
        Case { entities, load, ..self }
    }

    pub fn line(&self) -> &AggregateSpec {
        &self.layout.lines[0]
    }

    /// Its op, input and window, in words.
    pub fn describe(&self) -> String {
        let line = self.line();
        let of = if self.texts { "texts" } else { "numbers" };
        let by = if line.by { " by category" } else { "" };
        format!("{} of {of} in {}{by}", line.ops[0], line.windows[0].canonical())
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
        match self.load {
            RecordLoad::EachPane(records) => (0..panes).map(|pane| (pane * HOP, records as usize)).collect(),
            RecordLoad::Daily(records) => {
                let reach_ms = window.reach_ms().expect("the window has a length");
                let all = ((records as f64 * reach_ms as f64 / DAY_MS as f64).ceil() as i64).max(1);
                // Evenly, the last of them where the window still has the first.
                let filled = all.min(panes);
                (0..filled).map(|at| (at * panes / filled * HOP, (all / filled) as usize)).collect()
            }
        }
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
    pub fn input(&self, n: usize) -> LineInput {
        let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(StringArray::from((0..self.entities).map(text).collect::<Vec<_>>()))
        };
        let numbers = || -> ArrayRef { Arc::new(Float64Array::from(vec![self.value(n); self.entities])) };
        let values = if self.texts { texts(&|_| format!("{n:016}")) } else { numbers() };
        let line = self.line();
        let with = (line.ops[0].kind.input == OpInput::Pair).then(numbers);
        let category = line.by.then(|| texts(&|entity| format!("category {:07}", entity % 5)));
        let columns = InputColumns {
            of: Some(&values),
            digits: 9,
            with: with.as_ref(),
            with_digits: 9,
            by: category.as_ref(),
            filter: None,
            needs: line.needs(),
        };
        LineInput::new(&columns, &mut 0)
    }

    /// The bytes of the state with all records.
    pub fn fill(&self) -> StateBytes {
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
        let estimated = self.layout.bytes_per_entity(self.load) * self.entities;
        StateBytes { estimated, measured: state.bytes(), allocated }
    }
}

/// Some kinds of aggregates in a window, with a half-life, of each type of values that each takes, and by category where it can be.
pub fn cases_of(kinds: &[&'static AggregateKind], window: Window, half_life: &str) -> Vec<Case> {
    let of_op = |op: Op| {
        let types = [Type::Float, Type::String].into_iter().filter(|ty| op.kind.accepts(Some(*ty)));
        let cases: Vec<Case> = types
            .flat_map(|ty| {
                let output = op.output(Some(ty));
                let plain = !matches!(output, FeatureType::Map(_)) || !window.is_series();
                let by = matches!(output, FeatureType::Scalar(_)) && !window.is_series();
                let case = |by| Case::new(&op, window, ty == Type::String, by);
                plain.then(|| case(false)).into_iter().chain(by.then(|| case(true)))
            })
            .collect();
        cases
    };
    kinds.iter().map(|kind| op_of(kind, half_life)).flat_map(of_op).collect()
}

/// The first kind of each family.
pub fn families() -> Vec<&'static AggregateKind> {
    let family = |kind: &AggregateKind| (kind.family as &dyn Any).type_id();
    let is_first = |at: &usize| KINDS[..*at].iter().all(|before| family(before) != family(KINDS[*at]));
    (0..KINDS.len()).filter(is_first).map(|at| KINDS[at]).collect()
}
