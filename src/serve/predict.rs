//! `POST /predict`: instances in, predictions out.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;

use super::predict_request::PredictRequest;
use super::reply::{self, Reply};
use super::served::Served;
use super::{RequestError, Service};
use crate::example::Frame;
use crate::model::Working;
use crate::registry::Servable;
use crate::time::{EventTime, format_time};

/// Memory that a serving thread answers in, request after request.
#[derive(Default)]
struct Desk {
    frame: Frame,
    working: Working,
    predictions: Vec<f64>,
    /// The watermark answered last, and its text.
    watermark: Option<(EventTime, String)>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

/// Cells beyond which the memory is given back after a request.
const KEPT_CELLS: usize = 1 << 16;

enum Outcome {
    Answered(Reply),
    /// A version that must come from the registry first: of which model, and its number.
    Fetch(usize, u64),
}

impl Service {
    pub(super) async fn predict(&self, body: &[u8]) -> Result<Reply, RequestError> {
        for _ in 0..2 {
            let outcome = DESK.with_borrow_mut(|desk| {
                let outcome = self.predict_at(desk, body);
                if desk.frame.cells() > KEPT_CELLS {
                    *desk = Desk::default();
                }
                outcome
            });
            match outcome? {
                Outcome::Answered(reply) => return Ok(reply),
                Outcome::Fetch(model, version) => self.fetch(&self.models[model].name, version).await?,
            }
        }
        // Between the fetch and its use, others fetched so much that it is gone again.
        Err(RequestError::TooManyConnections)
    }

    fn predict_at(&self, desk: &mut Desk, body: &[u8]) -> Result<Outcome, RequestError> {
        let request = PredictRequest::read(body, self, &mut desk.frame)?;
        let model = &self.models[request.model];
        let version = match request.version {
            None => {
                let champion = self.live.champion(&model.name).filter(|champion| model.fits(champion));
                champion.ok_or_else(|| RequestError::NoVersion(model.name.clone()))?
            }
            Some(number) => match self.version_at_hand(&model.name, number) {
                Some(version) if model.fits(&version) => version,
                Some(_) => return Err(RequestError::OtherInputs { model: model.name.clone(), version: number }),
                None => return Ok(Outcome::Fetch(request.model, number)),
            },
        };
        if let Some(fault) = request.fault {
            return Err(RequestError::Instance(fault));
        }
        let Desk { frame, working, predictions, watermark } = desk;
        model.complete(frame);
        predictions.clear();
        let input = |row: usize, input: usize| model.pipeline.input(frame, row, input);
        version.predictor.predict_values(frame.rows(), input, working, predictions);
        let time = self.watermark();
        if watermark.as_ref().map(|(known, _)| *known) != time {
            *watermark = time.map(|time| (time, format_time(time)));
        }
        let watermark = watermark.as_ref().map(|(_, text)| text.as_str());
        let answer = write_answer(model, &version, watermark, predictions, request.features.then_some(&*frame));
        Ok(Outcome::Answered(reply::json(answer)))
    }
}

/// The answer as JSON; with a frame, also the inputs of each instance.
fn write_answer(
    model: &Served,
    version: &Arc<Servable>,
    watermark: Option<&str>,
    predictions: &[f64],
    frame: Option<&Frame>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(model.head.len() + 80 + 24 * predictions.len());
    out.extend_from_slice(&model.head);
    write!(out, "{}", version.version).expect("memory takes all that is written");
    out.extend_from_slice(b",\"watermark\":");
    match watermark {
        Some(text) => reply::write_text(text, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"predictions\":[");
    for (at, prediction) in predictions.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        reply::write_float(*prediction, &mut out);
    }
    out.push(b']');
    if let Some(frame) = frame {
        out.extend_from_slice(b",\"features\":[");
        for row in 0..frame.rows() {
            if row > 0 {
                out.push(b',');
            }
            let values = model.quoted.iter().enumerate();
            let values = values.map(|(input, name)| (name.as_str(), model.pipeline.input(frame, row, input)));
            reply::write_object(values, &mut out);
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}
