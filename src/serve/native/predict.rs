//! `POST /predict`: instances in, predictions out.
//!
//! A body is read in one pass, its instances straight into a frame. How an instance is read depends on the model, which
//! the body may name after the instances, or not at all where there is only one. So the reader assumes a model; if the
//! body names another one after instances were read, it is read a second time.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::example::{Frame, InstanceError};
use crate::expr::nearest;
use crate::serve::answered::Answered;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_model::ServedModel;
use crate::serve::served_models::ServedModels;
use crate::serve::{Captures, RequestError, Service, json_error};
use crate::time::EventTime;

/// The fields of a request.
const FIELDS: [&str; 5] = ["instances", "model", "version", "features", "explain"];

/// Predicts for the instances of a body.
///
/// # Errors
/// If the body is malformed, or names a model or version that does not exist or is not loaded.
pub fn predict(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    Scratch::with(|scratch| {
        let reader = RequestReader { models: &service.models, newest: service.newest(payload), only: None };
        let request = reader.read(payload.text()?, &mut scratch.frame)?;
        let moment = service.moment(payload);
        let read = |model: usize, frame: &mut Frame| reader.read_again(payload.text()?, frame, model);
        let answered = service.models.predict(&request.call, moment, scratch, &read)?;
        let model = &service.models[request.call.model];
        Ok(reply::json(write_answer(model, &answered, moment.watermark, &request, scratch)))
    })
}

/// The answer to a request as JSON; if it asks for them, also the inputs and the explanation of each instance.
fn write_answer(
    model: &ServedModel,
    answered: &Answered,
    watermark: Option<EventTime>,
    request: &PredictRequest,
    scratch: &mut Scratch,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(model.head.len() + 80 + 24 * scratch.predictions.values().len());
    out.extend_from_slice(&model.head);
    write!(out, "{}", answered.version.version).expect("writing to memory cannot fail");
    out.extend_from_slice(b",\"watermark\":");
    match scratch.watermark_text(watermark) {
        Some(text) => reply::write_text(text, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"predictions\":");
    reply::write_predictions(answered, &scratch.predictions, &mut out);
    write_arms(answered, &mut out);
    if request.features {
        out.extend_from_slice(b",\"features\":[");
        for row in 0..scratch.frame.rows() {
            if row > 0 {
                out.push(b',');
            }
            let values = model.quoted.iter().enumerate();
            let values = values.map(|(input, name)| (name.as_str(), model.program.input(&scratch.frame, row, input)));
            reply::write_inputs(values, &mut out);
        }
        out.push(b']');
    }
    if request.call.explain {
        out.push(b',');
        reply::write_explanations(answered, scratch.frame.rows(), &mut out);
    }
    out.push(b'}');
    out
}

/// Appends the name and the version of each instance's arm, if there is a split.
fn write_arms(answered: &Answered, out: &mut Vec<u8>) {
    if answered.instances() == 0 {
        return;
    }
    out.extend_from_slice(b",\"arms\":[");
    for (at, (name, _)) in answered.arms().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        reply::write_text(name, out);
    }
    out.extend_from_slice(b"],\"versions\":[");
    for (at, (_, version)) in answered.arms().enumerate() {
        write!(out, "{}{version}", if at > 0 { "," } else { "" }).expect("writing to memory cannot fail");
    }
    out.push(b']');
}

/// A request as read from a body; its instances are in the frame.
#[derive(Debug)]
struct PredictRequest {
    call: Call,
    /// The answer is to list the inputs of each instance.
    features: bool,
}

/// Reads bodies for the models of a dataflow.
#[derive(Clone, Copy)]
struct RequestReader<'a> {
    models: &'a ServedModels,
    /// The event time of instances that have none.
    newest: Option<EventTime>,
    /// The model that instances are read for, whichever the body names.
    only: Option<usize>,
}

impl RequestReader<'_> {
    /// Reads a body.
    ///
    /// # Errors
    /// If it is malformed, names an unknown model, or names none where there are several.
    fn read(self, body: &str, frame: &mut Frame) -> Result<PredictRequest, RequestError> {
        let mut envelope = Envelope::read(body, self, frame, self.models.only())?;
        let model = self.models.named(envelope.model.as_deref())?;
        match envelope.instances {
            None => return Err(RequestError::Malformed("instances: missing".to_owned())),
            Some(read_for) if read_for == Some(model) => {}
            Some(_) => envelope = Envelope::read(body, self, frame, Some(model))?,
        }
        let version = VersionRef::from(envelope.version);
        let call = Call { model, version, explain: envelope.explain.unwrap_or(false), fault: envelope.fault };
        Ok(PredictRequest { call, features: envelope.features.unwrap_or(false) })
    }

    /// Reads the instances of a body again, for another model than it names. Returns the first mistake in an instance.
    fn read_again(self, body: &str, frame: &mut Frame, model: usize) -> Result<Option<InstanceError>, RequestError> {
        Ok(Envelope::read(body, RequestReader { only: Some(model), ..self }, frame, Some(model))?.fault)
    }
}

/// A body, field by field.
#[derive(Default)]
struct Envelope<'de> {
    model: Option<Cow<'de, str>>,
    version: Option<u64>,
    features: Option<bool>,
    explain: Option<bool>,
    /// The model that the instances were read for: the inner `None` if it was not known yet, so that they were skipped;
    /// the outer `None` if the body has no instances.
    instances: Option<Option<usize>>,
    fault: Option<InstanceError>,
    /// The first field that no request has.
    unknown: Option<String>,
}

impl<'de> Envelope<'de> {
    fn read(
        body: &'de str,
        reader: RequestReader<'_>,
        frame: &mut Frame,
        assumed: Option<usize>,
    ) -> Result<Self, RequestError> {
        json_error::check_not_empty(body, "an object with instances")?;
        // The mistake may be before any instance of this body.
        frame.forget_reading();
        let mut json = serde_json::Deserializer::from_str(body);
        let seed = EnvelopeSeed { reader, frame: &mut *frame, assumed };
        let read = seed.deserialize(&mut json).and_then(|envelope| json.end().map(|()| envelope));
        let envelope = read.map_err(|error| {
            let place = frame.reading().map_or_else(String::new, |index| format!("instances[{index}]: "));
            RequestError::Malformed(format!("{place}{}", json_error::reworded(&error.to_string())))
        })?;
        match envelope.unknown {
            Some(found) => {
                let nearest = nearest(&found, FIELDS);
                Err(RequestError::UnknownField { found, nearest, expected: FIELDS.join(", ") })
            }
            None => Ok(envelope),
        }
    }
}

struct EnvelopeSeed<'a> {
    reader: RequestReader<'a>,
    frame: &'a mut Frame,
    /// The model that instances are read for unless the body has named one before them.
    assumed: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_> {
    type Value = Envelope<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with instances")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        let mut seen = [false; FIELDS.len()];
        while let Some(name) = map.next_key::<BorrowedText<'de>>()? {
            let name = name.0.as_ref();
            let Some(field) = FIELDS.iter().position(|field| *field == name) else {
                map.next_value::<IgnoredAny>()?;
                envelope.unknown.get_or_insert_with(|| name.to_owned());
                continue;
            };
            if std::mem::replace(&mut seen[field], true) {
                return Err(A::Error::custom(format_args!("{name}: duplicate field")));
            }
            let named = |error: A::Error| A::Error::custom(format_args!("{name}: {error}"));
            match name {
                "model" => {
                    envelope.model = map.next_value::<Option<BorrowedText<'de>>>().map_err(named)?.map(|name| name.0)
                }
                "version" => envelope.version = map.next_value().map_err(named)?,
                "features" => envelope.features = map.next_value().map_err(named)?,
                "explain" => envelope.explain = map.next_value().map_err(named)?,
                _ => {
                    let named = envelope.model.as_deref().and_then(|model| self.reader.models.find(model).ok());
                    let model = self.reader.only.or(named).or(self.assumed);
                    envelope.instances = Some(model);
                    match model.map(|model| &self.reader.models[model]) {
                        Some(model) => {
                            let seed = model.program.instances(&mut *self.frame, self.reader.newest);
                            envelope.fault = map.next_value_seed(seed)?.err();
                        }
                        None => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
            }
        }
        Ok(envelope)
    }
}

/// Text, borrowed from the body where it has no escapes.
struct BorrowedText<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for BorrowedText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = BorrowedText<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(BorrowedText(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(BorrowedText(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}
