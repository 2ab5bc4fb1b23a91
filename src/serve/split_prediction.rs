//! Predictions by the arms of a split, and by its shadows beside.
//!
//! Each instance is predicted for by the arm of its entity. An arm whose version cannot be served is left out, and its
//! entities are dealt to the others. Shadows predict after the answer is known, within a budget of time, and change nothing
//! in it: a shadow that fails is counted.

use std::sync::Arc;
use std::time::Instant;

use super::RequestError;
use super::answered::{Answered, AnsweringArm, Classified, difference};
use super::call::{Scratch, SplitCall, Unanswered};
use super::explaining::explain;
use super::model_split::ModelSplit;
use super::served_models::ServedModels;
use crate::metrics::NullReason;
use crate::model::{Explanations, Predictions};
use crate::registry::{ArmTarget, Servable, ServingArm, ServingSplit};

/// A version that an arm stands for, with the position of its model.
struct ArmVersion {
    model: usize,
    version: Arc<Servable>,
}

/// Rows of a request that a version is to predict for.
struct RowsFor<'a> {
    model: usize,
    version: &'a Arc<Servable>,
    rows: &'a [usize],
}

/// A prediction for each of some rows, and their explanations if they are to be explained.
struct RowsAnswered {
    predictions: Predictions,
    explanations: Option<Explanations>,
}

impl ServedModels {
    /// Predicts for the instances in `scratch`, each by the arm of its entity.
    ///
    /// # Errors
    /// If no version can be served, or if an instance lacks what the model of its arm needs.
    pub(super) fn predict_split(
        &self,
        call: SplitCall<'_>,
        serving: &Arc<ServingSplit>,
        scratch: &mut Scratch,
    ) -> Result<Answered, Unanswered> {
        let SplitCall { model, moment, .. } = call;
        let served = &self[model];
        let split = served.split(serving);
        served.complete(&mut scratch.frame, moment)?;
        self.look_up_others(call, serving, scratch)?;
        // Deal the instances to the arms that can be served.
        let versions: Vec<Option<ArmVersion>> = serving.arms.iter().map(|arm| self.version_of(model, arm)).collect();
        let shares = serving.entry.shares_at(moment.watermark.unwrap_or(serving.entry.time));
        let shares: Vec<f64> =
            shares.iter().zip(&versions).map(|((_, share), of)| of.as_ref().map_or(0.0, |_| *share)).collect();
        let entities = split.entities(&scratch.frame);
        let rows = scratch.frame.rows();
        let mut dealt: Vec<Vec<usize>> = vec![Vec::new(); versions.len()];
        for (row, entity) in entities.iter().flatten().enumerate() {
            if let Some(arm) = split.arm_of(&shares, *entity) {
                dealt[arm].push(row);
            }
        }
        // Predict by arm.
        let mut arms = Vec::new();
        if dealt.iter().map(Vec::len).sum::<usize>() == rows {
            for (at, rows) in dealt.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                let ArmVersion { model: other, version } =
                    versions[at].as_ref().expect("an arm without a version has no share");
                let wanted = RowsFor { model: *other, version, rows: &rows };
                let RowsAnswered { predictions, explanations } = self.predict_rows(call, &wanted, scratch)?;
                split.counters[at].add(rows.len());
                let name = serving.arms[at].name.clone();
                arms.push(AnsweringArm { name, version: version.clone(), rows, predictions, explanations });
            }
        }
        let answered = if arms.is_empty() {
            // No instance, no entity or no arm: the champion answers.
            let none = || RequestError::NoVersion(served.name.clone());
            let version = self.servable(served).ok_or_else(none)?;
            let all: Vec<usize> = (0..rows).collect();
            let wanted = RowsFor { model, version: &version, rows: &all };
            let RowsAnswered { predictions, explanations } = self.predict_rows(call, &wanted, scratch)?;
            scratch.predictions = predictions;
            served.by_champion.add(rows);
            Answered::by(version, explanations)
        } else {
            Answered::by_arms(arms, &mut scratch.predictions)
        };
        if let Some(entities) = entities {
            self.shadow(call, &split, &entities, &answered, scratch);
        }
        Ok(answered)
    }

    /// Looks up what other models need that are arms or shadows, before anything is counted.
    ///
    /// # Errors
    /// If something must be fetched first.
    fn look_up_others(
        &self,
        call: SplitCall<'_>,
        serving: &ServingSplit,
        scratch: &mut Scratch,
    ) -> Result<(), Unanswered> {
        // In a process with its own tables, look-ups are answered when they are needed.
        if !call.moment.lookups.is_fetched() {
            return Ok(());
        }
        for arm in serving.arms.iter().chain(&serving.shadows) {
            let other = self.version_of(call.model, arm).filter(|arm| arm.model != call.model);
            if let Some(ArmVersion { model, .. }) = other
                && (call.read)(model, &mut scratch.other)?.is_none()
            {
                self[model].look_up(&mut scratch.other, call.moment);
            }
        }
        Unanswered::check_fetched(call.moment)
    }

    /// Predicts for rows with a version, of the model that was asked or of another.
    ///
    /// # Errors
    /// If an instance lacks what the other model needs, or the version does not explain what is to be explained.
    fn predict_rows(
        &self,
        call: SplitCall<'_>,
        wanted: &RowsFor<'_>,
        scratch: &mut Scratch,
    ) -> Result<RowsAnswered, Unanswered> {
        let start = Instant::now();
        let RowsFor { model, version, rows } = *wanted;
        let served = &self[model];
        let Scratch { frame, other, memory, .. } = scratch;
        let frame = if model == call.model {
            frame
        } else {
            if let Some(fault) = (call.read)(model, other)? {
                served.stats.of(version.version).failed(start.elapsed());
                return Err(RequestError::Instance(fault).into());
            }
            served.complete(other, call.moment)?;
            other
        };
        let input = |row: usize, input: usize| served.program.input(frame, rows[row], input);
        served.nulls.add(NullReason::OutOfRange, version.predictor.out_of_range(rows.len(), input));
        let explanations = call.explain.then(|| explain(served, &version.predictor, rows.len(), input, memory));
        let explanations = explanations.transpose()?;
        let mut predictions = Predictions::default();
        version.predictor.predict_values(rows.len(), input, memory, &mut predictions);
        served.stats.of(version.version).succeeded(rows.len(), start.elapsed());
        Ok(RowsAnswered { predictions, explanations })
    }

    /// Predicts with the shadows of a split, and counts how far they are from the answer.
    fn shadow(
        &self,
        call: SplitCall<'_>,
        split: &ModelSplit,
        entities: &[u64],
        answered: &Answered,
        scratch: &mut Scratch,
    ) {
        for (at, arm) in split.serving.shadows.iter().enumerate() {
            let rows = split.shadowed(at, entities);
            if rows.is_empty() {
                continue;
            }
            let start = Instant::now();
            let version = self.version_of(call.model, arm).filter(|_| self.shadow_budget.has_time());
            let predicted = version.and_then(|ArmVersion { model: other, version }| {
                let wanted = RowsFor { model: other, version: &version, rows: &rows };
                let unexplained = SplitCall { explain: false, ..call };
                let RowsAnswered { predictions, .. } = self.predict_rows(unexplained, &wanted, scratch).ok()?;
                let classes = version.predictor.classes();
                let differences = rows.iter().zip(predictions.rows()).map(|(row, values)| {
                    let answer = Classified { classes: answered.classes(), values: scratch.predictions.row(*row) };
                    difference(answered.task(), Classified { classes, values }, answer)
                });
                Some(differences.sum::<f64>())
            });
            match predicted {
                Some(difference) => split.shadows[at].predicted(rows.len(), difference),
                None => split.shadows[at].skipped(rows.len()),
            }
            self.shadow_budget.take(start.elapsed());
        }
    }

    /// Returns the version that an arm of a model stands for, if it can be served.
    fn version_of(&self, model: usize, arm: &ServingArm) -> Option<ArmVersion> {
        let served = &self[model];
        match &arm.target {
            ArmTarget::Champion => Some(ArmVersion { model, version: self.servable(served)? }),
            ArmTarget::Alias(_) | ArmTarget::Version(_) => {
                let version = arm.servable.clone().filter(|version| served.fits(version))?;
                Some(ArmVersion { model, version })
            }
            ArmTarget::Model(name) => {
                let other = self.find(name).ok().filter(|other| self[*other].task == served.task)?;
                Some(ArmVersion { model: other, version: self.servable(&self[other])? })
            }
        }
    }
}
