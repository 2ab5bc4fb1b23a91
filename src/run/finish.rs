//! The end of a bounded job: its outputs are closed, summed up, and listed with their hashes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::Failure;
use super::digest::{DIGEST, Digest};
use super::job;
use super::job_events::JobEvents;
use crate::disk;
use crate::flow::Job;
use crate::flow::op::learn::score_waiting;
use crate::flow::op::sink::SharedFile;
use crate::store::checksums::{self, FileSum};
use crate::store::offline::{Content, FinishedFile};
use crate::time::EventTime;

/// The outputs of a finished job.
pub struct FinishedOutputs {
    pub digest: Digest,
    /// The offline files with their hashes.
    files: Vec<FileSum>,
}

impl FinishedOutputs {
    /// Writes `digest.json` and the list of hashes in a folder, the digest last: with it, the folder is complete.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(mut self, folder: &Path) -> anyhow::Result<Digest> {
        let text = self.digest.to_json()?;
        self.files.push(FileSum { name: DIGEST.to_owned(), sha256: crate::hash::sha256(&text) });
        checksums::write(folder, &self.files)?;
        disk::replace(&folder.join(DIGEST), text.as_bytes())
            .with_context(|| format!("{} cannot be written", folder.join(DIGEST).display()))?;
        Ok(self.digest)
    }
}

/// Deletes the digest and the list of hashes of an earlier job: until the next one is complete, the folder is not.
///
/// # Errors
/// If a file cannot be deleted.
pub fn invalidate(folder: &Path) -> anyhow::Result<()> {
    for name in [DIGEST, checksums::LIST] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be deleted", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Closes the files of a finished job and returns its digest and their hashes.
///
/// # Errors
/// If a version or a file cannot be written.
pub fn outputs(
    job: &Job,
    mut job_events: JobEvents,
    from: Option<EventTime>,
    to: Option<EventTime>,
) -> Result<FinishedOutputs, Failure> {
    let mut listed = Vec::new();
    write_waiting(job, &mut job_events)?;
    // All versions are written first: the registry then has the scores of all windows.
    let (reports, registry) = (std::mem::take(&mut job_events.training), job_events.registry.clone());
    let models = job_events.finish()?;
    let mut training = BTreeMap::new();
    for (plan, reports) in job.plan.models.iter().zip(&reports) {
        training.insert(plan.name.clone(), reports.digest(plan, registry.scores(&plan.name)?));
    }
    // Sum up what was read and made.
    let mut digest = Digest {
        dataflow: job.plan.spec.name.clone(),
        from,
        to,
        sources: job::tallies(job),
        features: Default::default(),
        entities_dropped: job::dropped(job),
        examples: Default::default(),
        models,
        training,
        nulls: Default::default(),
    };
    if job.coordinator.restored_time().is_none() {
        digest.nulls = job.nulls.counts();
    }
    if let Some(files) = &job.offline {
        let mut finish = |file: &SharedFile, name: String| -> Result<Option<Content>, Failure> {
            let Some(file) = file.lock().expect("no holder panics").take() else { return Ok(None) };
            let FinishedFile { content, sha256 } = file.finish()?;
            listed.push(FileSum { name, sha256 });
            Ok(Some(content))
        };
        for (group, file) in job.plan.groups.iter().zip(&files.features) {
            if let Some(content) = finish(file, format!("features/{}.parquet", group.name))? {
                digest.features.insert(group.name.clone(), content);
            }
        }
        for (model, file) in job.plan.models.iter().zip(&files.examples) {
            if let Some(content) = finish(file, format!("examples/{}.parquet", model.name))? {
                digest.examples.insert(model.name.clone(), content);
            }
        }
    }
    Ok(FinishedOutputs { digest, files: listed })
}

/// Writes the examples that still wait for their labels, where those without a label are wanted.
fn write_waiting(job: &Job, job_events: &mut JobEvents) -> Result<(), Failure> {
    let Some(files) = job.offline.as_ref().filter(|_| job.keep_unlabelled) else { return Ok(()) };
    let models = job.plan.models.iter().zip(&mut job_events.training).zip(&files.examples);
    for ((plan, reports), file) in models {
        let (examples, Some(state)) = (std::mem::take(&mut reports.examples), reports.take_state()) else { continue };
        let scored = score_waiting(plan, state, &examples).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow!("the examples of {} that wait cannot be scored: {}", plan.name, errors.join("; "))
        })?;
        if let Some(file) = file.lock().expect("no holder panics").as_mut() {
            scored.into_iter().for_each(|batch| file.push(batch));
        }
    }
    Ok(())
}
