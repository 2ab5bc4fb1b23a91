//! What becomes of the online store beside serving it: how fresh it is, and its mirror in Redis.

use std::sync::Arc;

use super::Failure;
use super::config::{Clock, Config};
use crate::flow::{Job, Plan};
use crate::metrics::{Freshness, Metrics};
use crate::source::Standing;
use crate::store::Online;
use crate::store::redis::{JobProgress, Mirror, MirroredGroup, PartitionOffsets, RedisError, RedisWriter};

/// Has the freshness of groups measured whose topic follows the wall clock.
pub fn measure(plan: &Plan, config: &Config, online: &Online, metrics: &Metrics) {
    for group in plan.groups.iter().filter(|_| config.clock == Clock::Wall) {
        let topic = &plan.sources[plan.driver(group.from)].topic;
        if let Some(shelf) = online.group(&group.name).filter(|_| !config.topics.contains_key(topic)) {
            shelf.measure(Freshness::new(metrics, &group.name));
        }
    }
}

/// Starts the mirror in Redis, if the config has one.
///
/// # Errors
/// If its address cannot be one.
pub fn start(config: &Config, job: &Arc<Job>, metrics: &Arc<Metrics>) -> Result<Option<RedisWriter>, Failure> {
    let (Some(url), Some(online)) = (&config.redis.url, &job.online) else { return Ok(None) };
    let plan = &job.plan;
    let groups = plan.groups.iter().filter_map(|group| {
        let windows = group.layout.lines.iter().flat_map(|line| &line.windows);
        Some(MirroredGroup {
            name: group.name.clone(),
            features: group.names.clone(),
            shelf: online.group(&group.name)?.clone(),
            ttl_ms: windows.map(|window| window.size_ms + window.hop_ms).max(),
        })
    });
    let mirror = Mirror {
        url: url.clone(),
        dataflow: plan.spec.name.clone(),
        groups: groups.collect(),
        online: online.clone(),
        metrics: metrics.clone(),
        progress: Box::new({
            let job = job.clone();
            move || progress(&job)
        }),
    };
    RedisWriter::start(mirror).map(Some).map_err(|error| match error {
        // The address itself may have a password in it.
        RedisError::Address(cause) => {
            let expected = "redis://[:PASSWORD@]HOST:PORT[/DB] or redis+unix:///PATH";
            Failure::Usage(format!("error: [redis] url: {cause}; expected {expected}"))
        }
        other => Failure::from(other),
    })
}

/// How far each partition of a job is.
fn progress(job: &Job) -> JobProgress {
    // Asked first: what is found after it is there as well.
    let complete = job.board.is_open();
    let lanes = job.board.lanes();
    let partitions = lanes.iter().map(|lane| {
        let Standing { next, shown, .. } = lane.standing();
        ((lane.source.clone(), lane.partition), PartitionOffsets { read: next, shown })
    });
    JobProgress { complete, partitions: partitions.collect(), newest: job.board.given() }
}
