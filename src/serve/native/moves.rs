//! `GET /models/{model}/history`, `POST /models/{model}/promote` and `/rollback`: the moves of a model's aliases.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use serde_json::json;

use super::json_fields::JsonFields;
use crate::model::InputColumn;
use crate::registry::{
    CHAMPION, EarlierChampion, HistoryEntry, LiveModels, MoveByHand, Registry, RegistryError, Servable, When,
};
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, RequestError, Service};

/// The author of moves whose request names none.
pub const BY: &str = "http";

/// The body of a promotion.
#[derive(Debug)]
struct Promotion {
    version: u64,
    alias: Option<String>,
    reason: Option<String>,
    by: Option<String>,
}

impl Promotion {
    fn read(payload: Payload<'_>) -> Result<Self, RequestError> {
        let fields = JsonFields::read(payload.text()?, &["version", "alias", "reason", "by"])?;
        let (version, alias) = (fields.whole_number("version")?, fields.text("alias")?);
        Ok(Promotion { version, alias, reason: fields.text("reason")?, by: fields.text("by")? })
    }
}

/// The body of a rollback.
#[derive(Debug, Default)]
struct Rollback {
    reason: Option<String>,
    by: Option<String>,
}

impl Rollback {
    /// Reads a body, which may be empty.
    fn read(payload: Payload<'_>) -> Result<Self, RequestError> {
        if payload.bytes.trim_ascii().is_empty() {
            return Ok(Rollback::default());
        }
        let fields = JsonFields::read(payload.text()?, &["reason", "by"])?;
        Ok(Rollback { reason: fields.text("reason")?, by: fields.text("by")? })
    }
}

/// Lists all moves of the model that the path names, ascending.
///
/// # Errors
/// If there is no such model, or the registry cannot be read.
pub fn history(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = service.models[service.models.find(&captures.text(0)?)?].name.clone();
    let registry = service.models.registry()?;
    Err(Unanswered::blocking(move || {
        let history = registry.history(&model).map_err(|error| refusal(&model, error))?;
        Ok(reply::value(StatusCode::OK, &json!({ "history": history })))
    }))
}

/// Points an alias of the model that the path names at a version, by default the champion, and answers with the move.
///
/// # Errors
/// If there is no such model or version, the version takes other inputs, the body is malformed, or the registry cannot be
/// written.
pub fn promote(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let moving = HandMove::of(service, captures)?;
    let Promotion { version, alias, reason, by } = Promotion::read(payload)?;
    Err(Unanswered::blocking(move || {
        let alias = alias.as_deref().unwrap_or(CHAMPION);
        let (reason, by) = (reason.as_deref().unwrap_or("promoted by hand"), by.as_deref().unwrap_or(BY));
        moving.make(version, &MoveByHand { alias, when: moving.when, reason, by, reverts: None })
    }))
}

/// Points the champion alias of the model that the path names at the champion before it, and answers with the move.
///
/// # Errors
/// If there is no such model or champion, the body is malformed, or the registry cannot be written.
pub fn rollback(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let moving = HandMove::of(service, captures)?;
    let Rollback { reason, by } = Rollback::read(payload)?;
    Err(Unanswered::blocking(move || {
        let model = &moving.model;
        let earlier = moving.registry.earlier_champion(model).map_err(|error| refusal(model, error))?;
        let none = || RequestError::Move(RegistryError::NoEarlierChampion { model: model.clone() });
        let EarlierChampion { version, reverts } = earlier.ok_or_else(none)?;
        let (reason, by) = (reason.as_deref().unwrap_or("rolled back by hand"), by.as_deref().unwrap_or(BY));
        moving.make(version, &MoveByHand { alias: CHAMPION, when: moving.when, reason, by, reverts: Some(reverts) })
    }))
}

/// All that a move needs of the service.
pub struct HandMove {
    pub model: String,
    /// The inputs that the program computes: a version that takes others cannot be served.
    pub inputs: Vec<InputColumn>,
    pub registry: Registry,
    pub live: Arc<LiveModels>,
    pub when: When,
}

impl HandMove {
    /// A move of the model that the path names, as of now.
    ///
    /// # Errors
    /// If there is no such model, or no registry.
    pub fn of(service: &Service, captures: &Captures<'_>) -> Result<Self, RequestError> {
        let model = &service.models[service.models.find(&captures.text(0)?)?];
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        Ok(HandMove {
            model: model.name.clone(),
            inputs: model.program.inputs().to_vec(),
            registry: service.models.registry()?,
            live: service.models.live(),
            when: When { event: service.times().closed().unwrap_or(wall), wall },
        })
    }

    /// Writes the move, after which the version answers, and returns it.
    fn make(&self, version: u64, by_hand: &MoveByHand<'_>) -> Result<Reply, RequestError> {
        let HandMove { model, registry, .. } = self;
        let MoveByHand { alias, reason, by, .. } = *by_hand;
        let (manifest, predictor) = registry.load(model, version).map_err(|error| refusal(model, error))?;
        if predictor.inputs() != self.inputs {
            return Err(RequestError::OtherInputs { model: model.clone(), version });
        }
        let entry: HistoryEntry = registry.promote(model, version, by_hand).map_err(|error| refusal(model, error))?;
        self.live.moved(model, &entry.made);
        self.live.refresh_splits(registry, model).map_err(|error| refusal(model, error))?;
        if alias == CHAMPION && !self.live.promote(model, version) {
            self.live.install_champion(model, Arc::new(Servable::new(manifest, Arc::new(predictor))));
        }
        tracing::info!(model, version, alias, by, "an alias was moved by hand: {reason}");
        let entry = serde_json::to_value(&entry).expect("a move has a JSON form");
        Ok(reply::value(StatusCode::OK, &entry))
    }
}

/// Returns the error of a request for which the registry refuses a move or cannot be used.
pub fn refusal(model: &str, error: RegistryError) -> RequestError {
    match error {
        RegistryError::NoVersion { version, .. } => RequestError::UnknownVersion { model: model.to_owned(), version },
        RegistryError::NoEarlierChampion { .. }
        | RegistryError::Alias { .. }
        | RegistryError::Author { .. }
        | RegistryError::Reason { .. }
        | RegistryError::ControlCharacter
        | RegistryError::Split { .. } => RequestError::Move(error),
        source => RequestError::RegistryAway { model: model.to_owned(), source: Box::new(source) },
    }
}
