//! Publishing a version: its artifacts, then the move of the champion alias.
//!
//! Doing it again changes nothing: a version whose weights are the same is left as it is, and a move that the trainer
//! has made is not made twice, so that the moves after it stand, its own and those by hand.

use super::history::{CHAMPION, Request};
use super::store::{manifest_path, weights_path};
use super::{Manifest, Offsets, Registry, RegistryError, Span, artifact};
use crate::model::{Decision, Version};
use crate::time::EventTime;

/// Who makes the moves that follow from learning.
const TRAINER: &str = "trainer";

/// A version on its way to the registry.
#[derive(Clone, Debug)]
pub struct Publication {
    pub model: String,
    pub version: Version,
    pub offsets: Offsets,
    /// Hash of what the version was made from.
    pub definition: String,
    /// When the version was made, by the wall clock.
    pub wall_time: EventTime,
}

impl Registry {
    /// Writes a version and, if it is published, makes it champion from its window's end on.
    ///
    /// # Errors
    /// If the store fails; what was written so far is completed by trying again.
    pub fn publish(&self, publication: &Publication) -> Result<Manifest, RegistryError> {
        let Publication { model, version, .. } = publication;
        let weights = artifact::encode(&version.predictor);
        let sha256 = artifact::sha256(&weights);
        let there = self.json::<Manifest>(&manifest_path(model, version.number)).ok().flatten();
        let is_same = |there: &Manifest| there.sha256 == sha256 && there.definition == publication.definition;
        let is_another = there.as_ref().is_some_and(|there| !is_same(there));
        let manifest = match there {
            Some(manifest) if !is_another => manifest,
            _ => {
                if is_another {
                    tracing::warn!(model, version = version.number, "a version that was there is another now");
                }
                let manifest = manifest(publication, sha256);
                let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain values");
                self.put(&weights_path(model, version.number), weights)?;
                self.put(&manifest_path(model, version.number), json)?;
                manifest
            }
        };
        if version.decision == Decision::Published && (is_another || !self.has_moved(publication)?) {
            let request = Request {
                alias: CHAMPION,
                version: version.number,
                time: version.window_end,
                wall_time: publication.wall_time,
                reason: &version.reason,
                by: TRAINER,
            };
            self.add_move(model, &request)?;
        }
        Ok(manifest)
    }

    /// Whether the trainer has made the move to a version, or to a later one that was made from the same.
    fn has_moved(&self, publication: &Publication) -> Result<bool, RegistryError> {
        let Publication { model, version, definition, .. } = publication;
        let Some(made) = self.newest_move_by(model, TRAINER)?.filter(|made| made.time >= version.window_end) else {
            return Ok(false);
        };
        let Some(champion) = made.aliases.get(CHAMPION) else { return Ok(false) };
        let manifest: Option<Manifest> = self.json(&manifest_path(model, *champion))?;
        Ok(manifest.is_some_and(|manifest| manifest.definition == *definition))
    }
}

fn manifest(publication: &Publication, sha256: String) -> Manifest {
    let version = &publication.version;
    Manifest {
        name: publication.model.clone(),
        kind: version.predictor.kind().name.to_owned(),
        version: version.number,
        parent: version.parent,
        window: Span { start: version.window_start, end: version.window_end },
        examples: version.examples,
        offsets: publication.offsets.clone(),
        scores: version.scores.clone(),
        decision: version.decision.name().to_owned(),
        reason: version.reason.clone(),
        definition: publication.definition.clone(),
        sha256,
    }
}
