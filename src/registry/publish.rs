//! Publishing a version: its artifacts, then the move of the champion alias.
//!
//! Publishing again changes nothing: a version with the same weights is left as it is if it is whole, and a move that the
//! trainer has made is not repeated, so later moves stand, whether by the trainer or by hand.

use super::history::{AliasHistory, CHAMPION, MoveRequest, TRAINER, When};
use super::objects::{manifest_path, read, read_json, weights_path};
use super::scores::{self, ScorePoint};
use super::{Manifest, Offsets, RegistryError, TimeRange, artifact};
use crate::blob::Blobs;
use crate::hash::{seal, sha256};
use crate::model::{Decision, Version};
use crate::time::EventTime;

/// A version to be written to the registry.
#[derive(Clone, Debug)]
pub struct Publication {
    pub model: String,
    pub version: Version,
    pub offsets: Offsets,
    /// Hash of everything that the version was made from.
    pub definition: String,
    /// Wall-clock time at which the version was made.
    pub wall_time: EventTime,
}

impl Publication {
    /// Returns the manifest of the version, as it will be written. Takes about as long as encoding the weights.
    pub fn manifest(&self) -> Manifest {
        self.manifest_of(sha256(artifact::encode(&self.version.predictor)))
    }

    /// Writes the version and, if it was accepted, makes it champion from its window's end on; if the champion was rolled
    /// back, the one before it.
    ///
    /// # Errors
    /// If the store fails; calling it again completes what was written so far.
    pub(super) fn write(&self, blobs: &Blobs, aliases: &AliasHistory) -> Result<Manifest, RegistryError> {
        let Publication { model, version, .. } = self;
        let weights = artifact::encode(&version.predictor);
        let sha256 = sha256(&weights);
        // Write the version, unless it is stored already.
        let stored = read_json::<Manifest>(blobs, &manifest_path(model, version.number)).ok().flatten();
        let is_same = |stored: &Manifest| stored.sha256 == sha256 && stored.definition == self.definition;
        let is_replaced = stored.as_ref().is_some_and(|stored| !is_same(stored));
        let is_whole = || {
            Ok::<_, RegistryError>(
                read(blobs, &weights_path(model, version.number))?.is_some_and(|stored| stored == weights),
            )
        };
        let manifest = match stored {
            Some(manifest) if !is_replaced && is_whole()? => manifest,
            _ => {
                if is_replaced {
                    tracing::warn!(model, version = version.number, "replacing a version of another definition");
                }
                let manifest = self.manifest_of(sha256);
                blobs.put(&weights_path(model, version.number), weights)?;
                blobs.put(&manifest_path(model, version.number), seal(&manifest))?;
                manifest
            }
        };
        scores::write(blobs, model, &self.definition, ScorePoint::of(version))?;
        // Move the alias, unless that was done already.
        let moves = version.decision == Decision::Published || version.rolled_back.is_some();
        if moves && (is_replaced || !self.has_moved(blobs, aliases)?) {
            let reverts =
                version.rolled_back.map(|refused| aliases.newest_crowning(model, refused)).transpose()?.flatten();
            let request = MoveRequest {
                alias: CHAMPION,
                version: Some(version.champion),
                when: When { event: version.window_end, wall: self.wall_time },
                reason: &version.reason,
                by: TRAINER,
                reverts,
            };
            aliases.append(model, &request)?;
        }
        Ok(manifest)
    }

    /// Returns whether the trainer has moved the alias to this version, or to a later one of the same definition.
    fn has_moved(&self, blobs: &Blobs, aliases: &AliasHistory) -> Result<bool, RegistryError> {
        let Publication { model, version, definition, .. } = self;
        let Some(made) = aliases.newest_by(model, TRAINER)?.filter(|made| made.time >= version.window_end) else {
            return Ok(false);
        };
        let Some(champion) = made.aliases.get(CHAMPION) else { return Ok(false) };
        match read_json::<Manifest>(blobs, &manifest_path(model, *champion)) {
            Err(error) if error.is_damage() => Ok(false),
            manifest => Ok(manifest?.is_some_and(|manifest| manifest.definition == *definition)),
        }
    }

    fn manifest_of(&self, sha256: String) -> Manifest {
        let version = &self.version;
        Manifest {
            name: self.model.clone(),
            kind: version.predictor.kind().name.to_owned(),
            version: version.number,
            parent: version.parent,
            window: TimeRange { start: version.window_start, end: version.window_end },
            examples: version.examples,
            offsets: self.offsets.clone(),
            scores: version.scores.clone(),
            decision: version.decision.name().to_owned(),
            reason: version.reason.clone(),
            definition: self.definition.clone(),
            sha256,
        }
    }
}
