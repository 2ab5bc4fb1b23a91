//! `GET /models`, `/models/{model}`, `/models/{model}/versions`: what there is to predict with.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::reply::{self, Reply};
use super::served::Served;
use super::{RequestError, Service};

impl Service {
    /// `versions` are the numbers of those in the registry.
    fn summary(&self, model: &Served) -> Value {
        let versions: Vec<u64> = self.live.manifests(&model.name).iter().map(|manifest| manifest.version).collect();
        let champion = self.live.champion(&model.name).map(|champion| champion.version);
        json!({ "name": model.name, "kind": model.kind, "champion": champion, "versions": versions })
    }

    pub(super) fn list_models(&self) -> Reply {
        let models: Vec<Value> = self.models.iter().map(|model| self.summary(model)).collect();
        reply::value(StatusCode::OK, &json!({ "models": models }))
    }

    pub(super) fn show_model(&self, model: &str) -> Result<Reply, RequestError> {
        let model = &self.models[self.find_model(model)?];
        Ok(reply::value(StatusCode::OK, &self.summary(model)))
    }

    pub(super) fn list_versions(&self, model: &str) -> Result<Reply, RequestError> {
        let model = &self.models[self.find_model(model)?];
        let manifests = self.live.manifests(&model.name);
        let versions: Vec<_> = manifests.iter().map(|manifest| manifest.as_ref()).collect();
        Ok(reply::value(StatusCode::OK, &json!({ "versions": versions })))
    }
}
