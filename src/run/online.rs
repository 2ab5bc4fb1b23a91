//! Connects the online store to its freshness metric and its Redis mirror.

use std::sync::Arc;

use super::Failure;
use super::config::{Clock, Config};
use crate::aggregate::Feature;
use crate::example::DerivedFeature;
use crate::flow::plan::GroupPlan;
use crate::flow::{Job, Plan};
use crate::metrics::{Freshness, Metrics};
use crate::source::PartitionStats;
use crate::store::Online;
use crate::store::redis::{
    DerivedValues, JobProgress, Mirror, MirroredGroup, MirroredRows, PartitionOffsets, RedisWriter, ReplicaDefinition,
    ReplicaMirror,
};
use crate::time::EventTime;

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
            features: mirrored_names(group),
            derived: derived_values(group),
            table: online.group(&group.name)?.clone(),
            ttl_ms: group.layout.reach_ms(),
        })
    });
    let mirror = Mirror {
        url: url.clone(),
        dataflow: plan.spec.name.clone(),
        groups: groups.collect(),
        replicas: config.redis.replicas.then(|| replica_mirror(plan, online)),
        online: online.clone(),
        metrics: metrics.clone(),
        progress: Box::new({
            let job = job.clone();
            move || progress(&job)
        }),
    };
    Ok(Some(RedisWriter::start(mirror)?))
}

/// Returns what replicas need beside the groups.
fn replica_mirror(plan: &Plan, online: &Online) -> ReplicaMirror {
    let rows = plan.spec.tables.iter().filter_map(|table| {
        let name = table.topic.name.clone();
        Some(MirroredRows { table: online.table(&name)?.clone(), name })
    });
    ReplicaMirror { definition: ReplicaDefinition::new(&plan.spec.definition()), tables: rows.collect() }
}

/// Returns the derived features that are written to Redis, by position among them: those that do not depend on the
/// asking time, which a reader computes.
fn written(group: &GroupPlan) -> impl Iterator<Item = usize> {
    (0..group.derived.len()).filter(|derived| !group.finished_by_readers[*derived])
}

/// Returns the names of the features that are written to Redis.
fn mirrored_names(group: &GroupPlan) -> Vec<String> {
    let width = group.layout.width;
    let derived = written(group).map(|derived| group.names[width + derived].clone());
    group.names[..width].iter().cloned().chain(derived).collect()
}

/// Returns the computation of the derived features that are written to Redis.
fn derived_values(group: &GroupPlan) -> Option<DerivedValues> {
    let derived: Vec<DerivedFeature> = written(group).map(|derived| group.derived[derived].clone()).collect();
    if derived.is_empty() {
        return None;
    }
    Some(Arc::new(move |vector: &[Feature]| {
        derived.iter().map(|derived| derived.of_vector(vector, EventTime::MIN).into()).collect()
    }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Scalar;

    #[test]
    fn derived_features_are_written_unless_the_reader_finishes_what_they_read() {
        let spec = "name = \"demo\"\n[source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
                    columns = { user = \"string\", n = \"int\", at = \"timestamp\" }\n\
                    [features.user]\nfrom = \"clicks\"\nentity = \"user\"\naggregate = [\n\
                    { expr = \"n_sum_1h / time_since_last_1h\", as = \"pace\" },\n\
                    { of = \"n\", op = \"sum\", windows = [\"1h\"] }, { op = \"time_since_last\", windows = [\"1h\"] },\n\
                    { expr = \"n_sum_1h * 2\", as = \"twice\" }]\n";
        let plan = Plan::new(Arc::new(crate::spec::parse(spec, "demo.toml").unwrap()));
        let group = &plan.groups[0];
        assert_eq!(group.names, ["n_sum_1h", "time_since_last_1h", "pace", "twice"]);
        assert_eq!(mirrored_names(group), ["n_sum_1h", "time_since_last_1h", "twice"]);
        let vector = [Scalar::Int(3), Scalar::Null].map(Feature::Value);
        let values = derived_values(group).expect("one is written");
        assert_eq!(values(&vector), [Feature::Value(Scalar::Int(6))]);
    }
}
