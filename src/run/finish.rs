//! The end of a bounded job: its outputs are closed and summed up.

use super::Failure;
use super::digest::Digest;
use super::job;
use super::job_events::JobEvents;
use crate::flow::Job;
use crate::flow::op::sink::SharedFile;
use crate::time::EventTime;

/// Closes the files of a finished job and returns its digest.
///
/// # Errors
/// If a version or a file cannot be written.
pub fn digest(
    job: &Job,
    job_events: JobEvents,
    from: Option<EventTime>,
    to: Option<EventTime>,
) -> Result<Digest, Failure> {
    let mut digest = Digest {
        dataflow: job.plan.spec.name.clone(),
        from,
        to,
        sources: job::tallies(job),
        features: Default::default(),
        examples: Default::default(),
        models: job_events.finish()?,
    };
    if let Some(files) = &job.offline {
        let take = |file: &SharedFile| file.lock().expect("no holder panics").take();
        for (group, file) in job.plan.groups.iter().zip(&files.features) {
            if let Some(file) = take(file) {
                digest.features.insert(group.name.clone(), file.finish()?);
            }
        }
        for (model, file) in job.plan.models.iter().zip(&files.examples) {
            if let Some(file) = take(file) {
                digest.examples.insert(model.name.clone(), file.finish()?);
            }
        }
    }
    Ok(digest)
}
