//! A version in service.

use std::sync::Arc;

use super::Manifest;
use crate::model::Predictor;
use crate::time::EventTime;

/// A version that can answer requests.
#[derive(Clone, Debug)]
pub struct Servable {
    pub version: u64,
    pub window_end: EventTime,
    pub predictor: Arc<Predictor>,
    pub manifest: Arc<Manifest>,
}

impl Servable {
    /// A version as its manifest describes it.
    pub fn new(manifest: Manifest, predictor: Arc<Predictor>) -> Self {
        let (version, window_end) = (manifest.version, manifest.window.end);
        Servable { version, window_end, predictor, manifest: Arc::new(manifest) }
    }
}
