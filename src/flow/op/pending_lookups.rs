//! The look-ups of one stream that wait to close, and what they are answered.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_row::Rows;
use timely::dataflow::operators::Capability;

use super::entities::GroupEntities;
use super::{ClosingRow, Stash};
use crate::aggregate::{Feature, FeatureColumn, LineInput};
use crate::example::OwnRecord;
use crate::expr::EvalStats;
use crate::flow::exchange::key_columns;
use crate::flow::nulls::count;
use crate::flow::plan::GroupPlan;
use crate::metrics::{NullCounter, NullReason};
use crate::time::EventTime;
use crate::value::{Batch, MOST_BATCH_BYTES, complete_rows};

/// The look-ups of one stream that wait to close.
pub struct PendingLookups {
    /// The features that are answered: those to append, and those that derived ones among them read.
    answered: Vec<WantedFeature>,
    /// The features to append, by position among all of the group.
    features: Vec<usize>,
    /// The lines that count the record that looks up, with its columns.
    own: Vec<OwnRecord>,
    stash: Stash<LookupBatch>,
}

/// A feature that is answered from a vector.
#[derive(Clone, Copy)]
struct WantedFeature {
    /// Its position in the group's vectors.
    position: usize,
    /// The position of its line among those that count the record that looks up, if it does.
    own: Option<usize>,
}

/// A batch of look-ups with what is computed on its arrival.
struct LookupBatch {
    keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    /// The input of each line that counts the records themselves.
    own: Vec<LineInput>,
    /// A column for each feature that is answered, with the closing rows that are answered and not in `complete`.
    answers: Vec<FeatureColumn>,
    /// The columns of closing rows before those, cut where their texts are large.
    complete: Vec<Vec<ArrayRef>>,
}

impl PendingLookups {
    /// Look-ups that want `features` appended, of which the lines `own` count the records themselves.
    pub fn new(plan: &GroupPlan, features: Vec<usize>, own: Vec<OwnRecord>) -> Self {
        let mut answered: Vec<WantedFeature> = Vec::new();
        let mut want = |position: usize| {
            if answered.iter().all(|wanted| wanted.position != position) {
                let own = own.iter().position(|own| own.features.contains(&position));
                answered.push(WantedFeature { position, own });
            }
        };
        for feature in &features {
            match plan.derived_at(*feature) {
                Some(derived) => derived.reads().iter().for_each(|(position, _)| want(*position)),
                None => want(*feature),
            }
        }
        PendingLookups { answered, features, own, stash: Stash::default() }
    }

    /// Stashes a batch, whose entities are in the columns `entity`.
    pub fn push(
        &mut self,
        plan: &GroupPlan,
        capability: Option<Capability<EventTime>>,
        batch: Batch,
        entity: &[usize],
        nulls: &NullCounter,
    ) {
        let key = key_columns(&batch, entity);
        let named = complete_rows(&key);
        let keys = plan.codec.encode(&key);
        let own = self.own.iter().map(|own| own_input(own, &batch, nulls)).collect();
        let answers = self.answered.iter().map(|feature| FeatureColumn::new(plan.types[feature.position]));
        let answers = answers.collect();
        self.stash.push(capability, batch, LookupBatch { keys, named, own, answers, complete: Vec::new() });
    }

    /// Closes the look-ups before a time.
    pub fn close_before(&mut self, upto: EventTime) {
        self.stash.close_before(upto);
    }

    /// Every closing look-up.
    pub fn rows(&self) -> impl Iterator<Item = ClosingRow> {
        self.stash.rows()
    }

    /// Appends the features of a closing look-up, as of the time that the state is advanced to: its own.
    pub fn answer(&mut self, row: ClosingRow, entities: &mut GroupEntities) {
        let lookup = &mut self.stash.closing_mut(row.batch).extra;
        let at = row.row as usize;
        let key = lookup.keys.row(at);
        let vector = entities.look_up(key.as_ref());
        // A record without an entity counts nowhere.
        let is_named = lookup.named.as_ref().is_none_or(|named| named.is_valid(at));
        for (feature, column) in self.answered.iter().zip(&mut lookup.answers) {
            match (&vector[feature.position], feature.own) {
                (Feature::Open(open), Some(line)) if is_named => {
                    column.append(&open.with(&lookup.own[line], at, row.time), row.time);
                }
                (answer, _) => column.append(answer, row.time),
            }
        }
        if lookup.answers.iter().map(FeatureColumn::text_bytes).sum::<usize>() >= MOST_BATCH_BYTES {
            lookup.complete.push(lookup.answers.iter_mut().map(FeatureColumn::finish).collect());
        }
    }

    /// Takes the closing look-ups, all of which are answered, with their features appended. What could not be computed is
    /// counted in `failed`.
    pub fn enriched(&mut self, plan: &GroupPlan, failed: &mut EvalStats) -> Vec<(Capability<EventTime>, Batch)> {
        let PendingLookups { answered, features, stash, .. } = self;
        let len = stash.closing_len();
        let mut enriched = Vec::new();
        for position in 0..len {
            let stashed = stash.closing_mut(position);
            let capability = stashed.capability.clone().expect("look-ups are stashed with their capability");
            let LookupBatch { answers, complete, .. } = &mut stashed.extra;
            let mut parts = std::mem::take(complete);
            parts.push(answers.iter_mut().map(FeatureColumn::finish).collect());
            let mut row = stashed.done;
            for answers in parts {
                let rows = answers.first().map_or(stashed.closing_rows().end - row, |column| column.len());
                if rows == 0 {
                    continue;
                }
                let batch = stashed.batch.slice(row, rows);
                row += rows;
                let appended = features.iter().map(|feature| {
                    let answer = |position: usize| answers[place(answered, position)].clone();
                    match plan.derived_at(*feature) {
                        Some(derived) => derived.eval(answer, rows, failed),
                        None => answer(*feature),
                    }
                });
                let columns = batch.columns.iter().cloned().chain(appended).collect();
                enriched.push((capability.clone(), batch.with_columns(columns)));
            }
        }
        stash.retire();
        enriched
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.stash.bytes() + self.stash.extras().map(|extra| extra.keys.size()).sum::<usize>()
    }
}

/// Returns the place of a feature among those that are answered.
fn place(answered: &[WantedFeature], position: usize) -> usize {
    answered.iter().position(|wanted| wanted.position == position).expect("all that is read is answered")
}

/// Evaluates what a line reads of the records that look up.
fn own_input(own: &OwnRecord, batch: &Batch, nulls: &NullCounter) -> LineInput {
    let mut failed = EvalStats::default();
    let columns = own.columns.map(|expr| expr.as_ref().map(|expr| expr.eval(&batch.columns, batch.len(), &mut failed)));
    count(nulls, failed);
    let mut unsummable = 0;
    let input = own.input(&columns, &mut unsummable);
    nulls.add(NullReason::Unsummable, unsummable);
    input
}
