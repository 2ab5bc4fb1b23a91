//! The body of `POST /predict`: read in one pass, instances straight into a frame.
//!
//! How an instance is read depends on the model, which may be named after the instances, or not at all where there is
//! only one. So the reader is told which model to assume; if the body names another after instances were read, it is
//! read once more.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{RequestError, Service};
use crate::example::{Frame, InstanceError};
use crate::expr::nearest;

/// The fields of a request.
const FIELDS: [&str; 4] = ["instances", "model", "version", "features"];

/// What a request asks for, with its instances in the frame.
#[derive(Debug)]
pub struct PredictRequest {
    /// Position of the model.
    pub model: usize,
    pub version: Option<u64>,
    pub features: bool,
    /// What is wrong with an instance.
    pub fault: Option<InstanceError>,
}

impl PredictRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// If it is malformed or names no model, or an unknown one.
    pub fn read(body: &[u8], service: &Service, frame: &mut Frame) -> Result<Self, RequestError> {
        // Checked once, and not again text by text.
        let body = std::str::from_utf8(body).map_err(|error| {
            RequestError::Malformed(format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let only = (service.models.len() == 1).then_some(0);
        let mut envelope = Envelope::read(body, service, frame, only)?;
        let model = match &envelope.model {
            Some(name) => service.find_model(name)?,
            None => only.ok_or_else(|| {
                let names: Vec<&str> = service.models.iter().map(|model| model.name.as_str()).collect();
                RequestError::WhichModel(names.join(", "))
            })?,
        };
        match envelope.instances {
            None => return Err(RequestError::Malformed("instances: missing".to_owned())),
            Some(read_for) if read_for == Some(model) => {}
            Some(_) => envelope = Envelope::read(body, service, frame, Some(model))?,
        }
        Ok(PredictRequest {
            model,
            version: envelope.version,
            features: envelope.features.unwrap_or(false),
            fault: envelope.fault,
        })
    }
}

/// A body as it stands there.
#[derive(Default)]
struct Envelope<'de> {
    model: Option<Cow<'de, str>>,
    version: Option<u64>,
    features: Option<bool>,
    /// For which model the instances were read, if for any; none if there are no instances.
    instances: Option<Option<usize>>,
    fault: Option<InstanceError>,
    /// A field that nothing is known of.
    unknown: Option<String>,
}

impl<'de> Envelope<'de> {
    fn read(
        body: &'de str,
        service: &Service,
        frame: &mut Frame,
        assumed: Option<usize>,
    ) -> Result<Self, RequestError> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let seed = EnvelopeSeed { service, frame: &mut *frame, assumed };
        let read = seed.deserialize(&mut reader).and_then(|envelope| reader.end().map(|()| envelope));
        let envelope = read.map_err(|error| {
            let place = frame.reading().map_or_else(String::new, |index| format!("instances[{index}]: "));
            RequestError::Malformed(format!("{place}{error}"))
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
    service: &'a Service,
    frame: &'a mut Frame,
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
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let name = name.0.as_ref();
            let Some(field) = FIELDS.iter().position(|field| *field == name) else {
                map.next_value::<IgnoredAny>()?;
                envelope.unknown.get_or_insert_with(|| name.to_owned());
                continue;
            };
            if std::mem::replace(&mut seen[field], true) {
                return Err(A::Error::custom(format_args!("{name}: the field stands twice")));
            }
            let named = |error: A::Error| A::Error::custom(format_args!("{name}: {error}"));
            match name {
                "model" => envelope.model = map.next_value::<Option<Name<'de>>>().map_err(named)?.map(|name| name.0),
                "version" => envelope.version = map.next_value().map_err(named)?,
                "features" => envelope.features = map.next_value().map_err(named)?,
                _ => {
                    let named = envelope.model.as_deref().and_then(|model| self.service.find_model(model).ok());
                    let model = named.or(self.assumed);
                    envelope.instances = Some(model);
                    match model.map(|model| &self.service.models[model]) {
                        Some(model) => {
                            let seed = model.pipeline.instances(&mut *self.frame, self.service.newest());
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
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
