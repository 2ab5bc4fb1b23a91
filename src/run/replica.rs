//! `serve`: answers from the registry and Redis, to which a run writes, until it is told to stop.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::args::CommonArgs;
use super::config::Config;
use super::replica_models::ReplicaModels;
use super::setup::{LIVE_VERSIONS, dashboard, registry_url};
use super::signals::Signals;
use super::{Failure, endpoint, inspect, logging, print_err, watchdog};
use crate::aggregate::VectorDecoder;
use crate::blob::Blobs;
use crate::flow::Plan;
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry};
use crate::serve::{LetterBoard, Readiness, Service, ServiceConfig};
use crate::spec::Spec;
use crate::store::OnlineStore;
use crate::store::redis::{RemoteStore, RemoteStoreConfig, RemoteTableConfig, ReplicaDefinition, RunProgress};

/// The interval at which signals are looked for.
const TICK: Duration = Duration::from_millis(20);

/// The name of the reason against readiness while Redis cannot be used.
const REDIS: &str = "redis";

/// Answers requests until SIGINT or SIGTERM; then answers those that have come, and returns.
///
/// # Errors
/// If the dataflow file or the config is wrong, there is no Redis or no registry, or the endpoint cannot be opened.
pub fn run(file: &Path, common: &CommonArgs) -> Result<(), Failure> {
    let config = common.load()?;
    logging::open_file(&config)?;
    let plan = Plan::new(Arc::new(inspect::load(file)?));
    let url = redis_url(&config)?;
    let registry = registry(&config, &plan.spec.name)?;
    let signals = Signals::install(config.shutdown_timeout)?;
    let models = || plan.models.iter().map(|model| model.name.clone());
    let (metrics, readiness) = (Metrics::new(&plan.spec.name), Arc::new(Readiness::default()));
    models().for_each(|model| metrics.export_model(&model));
    // The models are there before the first request, and Redis has been asked or is being asked.
    let live = Arc::new(LiveModels::new(models(), LIVE_VERSIONS));
    let followed = ReplicaModels::start(registry.clone(), &live, &metrics, &readiness)?;
    let store = remote_store(&plan.spec, url, &metrics, &readiness)?;
    let service = Service::new(ServiceConfig {
        spec: &plan.spec,
        programs: (0..plan.models.len()).map(|model| plan.program(model)).collect(),
        online: OnlineStore::Remote(store),
        live,
        registry: Some(registry),
        metrics,
        readiness: readiness.clone(),
        dashboard: dashboard(&plan.spec, &Arc::<LetterBoard>::default()),
        explainer: None,
        logged_share: config.log.predictions,
    });
    let server = endpoint::open_service(&config, &service)?;
    readiness.started();
    // Ignored: stdout may be closed.
    let _ = writeln!(std::io::stdout(), "listening on {}", server.url());
    while !signals.is_end_requested() {
        std::thread::sleep(TICK);
        watchdog::stand_in();
        if signals.take_reload() {
            print_err(
                "SIGHUP ignored: certificate, tokens and models reload by themselves; other settings need a restart",
            );
        }
    }
    readiness.block("shutdown", "the replica is stopping");
    // A second is left of the time within which the process ends.
    let within = config.shutdown_timeout.saturating_sub(Duration::from_secs(1)).max(config.shutdown_timeout / 2);
    server.drain_within(within);
    drop(followed);
    Ok(())
}

/// Returns the address of Redis.
fn redis_url(config: &Config) -> Result<String, Failure> {
    config.redis.url.clone().ok_or_else(|| {
        let place = config.origin.place(&["redis", "url"]);
        Failure::Usage(format!(
            "{place}: error: [redis] url: missing; a replica answers from the Redis that a run writes to, such as \
             redis://127.0.0.1:6379"
        ))
    })
}

/// Opens the registry of the run, which must be there.
fn registry(config: &Config, dataflow: &str) -> Result<Registry, Failure> {
    let url = registry_url(config, dataflow);
    if let Ok(folder) = Blobs::folder_of(&url)
        && !folder.is_dir()
    {
        let place = config.origin.place(&["registry", "url"]);
        return Err(Failure::Usage(format!(
            "{place}: error: there is no registry at {}; expected that of the run, which makes it when it starts: set \
             registry.url, or data_dir, as the run has it",
            folder.display()
        )));
    }
    Ok(Registry::open(&url)?)
}

/// Starts to read what the run of a dataflow writes to Redis. As long as it cannot be read, the endpoint is not ready.
fn remote_store(
    spec: &Spec,
    url: String,
    metrics: &Arc<Metrics>,
    readiness: &Arc<Readiness>,
) -> Result<RemoteStore, Failure> {
    // Everything is decoded as the run encodes it.
    let groups = spec.groups.iter().map(|group| RemoteTableConfig {
        name: group.name.clone(),
        key: spec.entity_columns(group).map(|column| column.ty).collect(),
        decoder: VectorDecoder::of_group(&group.layout(), group.features.iter().map(|feature| feature.ty).collect()),
    });
    let tables = spec.tables.iter().map(|table| {
        let columns = &table.topic.schema.columns;
        let types: Vec<_> = columns.iter().map(|column| column.ty).collect();
        RemoteTableConfig {
            name: table.topic.name.clone(),
            key: table.topic.key.iter().map(|at| types[*at]).collect(),
            decoder: VectorDecoder::of_columns(&types),
        }
    });
    // Log each change of the state of Redis.
    readiness.block(REDIS, "Redis has not been read yet");
    let (readiness, metrics) = (readiness.clone(), metrics.clone());
    let up = metrics.redis_up.with_label_values::<&str>(&[]);
    up.set(0);
    let (known, shown) = (Mutex::new(None), Mutex::new(None));
    let store = RemoteStore::start(RemoteStoreConfig {
        url,
        dataflow: spec.name.clone(),
        definition: ReplicaDefinition::new(&spec.definition()),
        groups: groups.collect(),
        tables: tables.collect(),
        observe: Box::new(move |found| {
            let reason = found.err();
            if let Ok(progress) = found
                && shown.lock().replace(progress) != Some(progress)
            {
                export(&progress, &metrics);
            }
            let before = known.lock().replace(reason.map(str::to_owned));
            if before.as_ref().is_some_and(|before| before.as_deref() == reason) {
                return;
            }
            up.set(i64::from(reason.is_none()));
            match reason {
                None => {
                    readiness.clear(REDIS);
                    tracing::info!(target: "redis", "features are read from Redis");
                }
                Some(reason) => {
                    readiness.block(REDIS, reason);
                    tracing::warn!(target: "redis", reason, "requests cannot be answered");
                }
            }
        }),
    })?;
    Ok(store)
}

/// Exports how far the replica is behind the run.
fn export(progress: &RunProgress, metrics: &Metrics) {
    progress.times.closed().iter().for_each(|time| metrics.replica.closed_up_to(*time));
    progress.written.iter().for_each(|time| metrics.replica.run_written_at(*time));
    metrics.replica.behind_by(progress.behind_ms());
}
