//! The log of predictions: those for a share of the entities, each with what it was made from.
//!
//! An entity is logged always or never, so that the lines of one that is can be followed. It is the entity of the first
//! feature group that the model looks up; for a model without one, the inputs as a whole stand for it. A line has no part of
//! the request but these, so no token.

use std::time::Duration;

use twox_hash::XxHash3_64;

use super::answered::Answered;
use super::call::Scratch;
use super::reply;
use crate::example::Program;

/// The target of the lines.
const PREDICTIONS: &str = "predictions";

/// Decides which predictions are logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionLog {
    /// The share of the entities, above 0 and at most 1.
    share: f64,
}

/// The model that a request asked, and the source of its predictions.
#[derive(Clone, Copy)]
pub struct LoggedModel<'a> {
    pub program: &'a Program,
    /// The inputs' names as JSON.
    pub quoted: &'a [String],
    pub answered: &'a Answered,
}

impl PredictionLog {
    /// Logs the predictions for a share of the entities; `None` if it is 0.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0).then_some(PredictionLog { share })
    }

    /// Returns whether an entity is one of those that are logged.
    fn takes(self, entity: &[u8]) -> bool {
        // The upper 53 bits of the hash, as a number below 1.
        let place = (XxHash3_64::oneshot(entity) >> 11) as f64 / (1u64 << 53) as f64;
        place < self.share
    }

    /// Logs the predictions of a request, which took so long.
    pub fn write(self, by: LoggedModel<'_>, scratch: &Scratch, took: Duration) {
        let LoggedModel { program, quoted, answered } = by;
        if !tracing::enabled!(target: PREDICTIONS, tracing::Level::INFO) {
            return;
        }
        for (row, prediction) in scratch.predictions.rows().enumerate() {
            let (mut entity, mut inputs) = (Vec::new(), Vec::new());
            let write_inputs = |out: &mut Vec<u8>| {
                let names = quoted.iter().enumerate();
                let cells = names.map(|(at, name)| (name.as_str(), program.input(&scratch.frame, row, at)));
                reply::write_inputs(cells, out);
            };
            match program.looked_up(&scratch.frame, row) {
                Some(key) => reply::write_list(key, &mut entity),
                None => write_inputs(&mut entity),
            }
            if !self.takes(&entity) {
                continue;
            }
            write_inputs(&mut inputs);
            let mut predicted = Vec::new();
            reply::write_prediction(answered, prediction, &mut predicted);
            let [entity, inputs, predicted] = [&entity, &inputs, &predicted].map(|json| String::from_utf8_lossy(json));
            tracing::info!(
                target: PREDICTIONS,
                model = program.model(),
                version = answered.version_at(row),
                entity = &*entity,
                inputs = &*inputs,
                prediction = &*predicted,
                latency_us = took.as_micros() as u64,
                "predicted"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_entities_is_logged_and_a_greater_share_has_those_of_a_smaller_one() {
        assert_eq!(PredictionLog::new(0.0), None);
        let taken = |share: f64| -> Vec<u32> {
            let log = PredictionLog::new(share).unwrap();
            (0..10_000).filter(|entity| log.takes(format!("[\"u{entity}\"]").as_bytes())).collect()
        };
        assert_eq!(taken(1.0).len(), 10_000);
        let (few, some) = (taken(0.05), taken(0.2));
        assert!((400..600).contains(&few.len()) && (1800..2200).contains(&some.len()));
        assert!(few.iter().all(|entity| some.contains(entity)));
    }
}
