//! Connects the online store to its freshness metric and its Redis mirror.

use std::sync::Arc;

use super::Failure;
use super::config::{Clock, Config};
use crate::flow::{Job, Plan};
use crate::metrics::{Freshness, Metrics};
use crate::source::PartitionStats;
use crate::store::Online;
use crate::store::redis::{JobProgress, Mirror, MirroredGroup, PartitionOffsets, RedisWriter};

/// Starts to measure the freshness of each group all of whose topics follow the wall clock.
pub fn measure_freshness(plan: &Plan, config: &Config, online: &Online, metrics: &Metrics) {
    for group in plan.groups.iter().filter(|_| config.clock == Clock::Wall) {
        let is_live = |source: usize| !config.topics.contains_key(&plan.sources[source].topic);
        let follows_clock = plan.sources_of(group.from).into_iter().all(is_live);
        if let Some(table) = online.group(&group.name).filter(|_| follows_clock) {
            table.measure(Freshness::new(metrics, &group.name));
        }
    }
}

/// Starts the Redis mirror, if the config has one.
///
/// # Errors
/// If its thread cannot be started.
pub fn start_mirror(config: &Config, job: &Arc<Job>, metrics: &Arc<Metrics>) -> Result<Option<RedisWriter>, Failure> {
    let (Some(url), Some(online)) = (&config.redis.url, &job.online) else { return Ok(None) };
    let plan = &job.plan;
    let groups = plan.groups.iter().filter_map(|group| {
        Some(MirroredGroup {
            name: group.name.clone(),
            features: group.names.clone(),
            table: online.group(&group.name)?.clone(),
            ttl_ms: group.layout.reach_ms(),
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
    Ok(Some(RedisWriter::start(mirror)?))
}

/// Returns the progress of a job by partition.
fn progress(job: &Job) -> JobProgress {
    // Read before the partitions: if discovery was complete by then, none is missing from the list.
    let complete = job.partitions.is_discovery_complete();
    let list = job.partitions.list();
    let partitions = list.iter().map(|partition| {
        let PartitionStats { next_offset, served_offset, .. } = partition.stats();
        (partition.id.clone(), PartitionOffsets { next: next_offset, served: served_offset })
    });
    JobProgress { complete, partitions: partitions.collect(), newest: job.partitions.max_emitted_time() }
}
