//! The parts of a live run that exist before its checkpoint is known, and the steps that open the others.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::args::CommonArgs;
use super::checkpoints::{Checkpoints, checkpoint_url};
use super::config::Config;
use super::job::{self, JobOptions, OfflineLayout, PreparedJob};
use super::job_events::saved_champions;
use super::locks::{Locks, RUN};
use super::status::{SampleRequest, StatusOptions, TerminalStatus};
use super::{Failure, endpoint, explain, finish, inputs, inspect, logging, online, picture, print_err};
use crate::blob::Blobs;
use crate::checkpoint::{CheckpointCoordinator, Overtaken};
use crate::disk;
use crate::error::chain;
use crate::flow::Plan;
use crate::flow::draw::Graph;
use crate::flow::op::learn;
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry, Restoration, SavedChampion, When};
use crate::serve::{DashboardConfig, LetterBoard, Readiness, Role, Server, Service, ServiceConfig};
use crate::spec::Spec;
use crate::store::Online;

/// Versions of a model that can be requested without reading the registry.
pub const LIVE_VERSIONS: usize = 16;

/// The reason in the readiness of the endpoint that is about Kafka.
pub const KAFKA: &str = "kafka";

/// A checked dataflow and config, with the stores that the graph writes and the endpoint reads.
pub struct RunSetup {
    pub config: Config,
    pub plan: Arc<Plan>,
    /// The folder of the dataflow's own files.
    pub home: PathBuf,
    pub metrics: Arc<Metrics>,
    pub online: Arc<Online>,
    pub live: Arc<LiveModels>,
    pub readiness: Arc<Readiness>,
    /// The newest dead letters, for the dashboard.
    pub letters: Arc<LetterBoard>,
}

/// Returns the url of a dataflow's registry: that of the config, or a folder of the dataflow.
pub fn registry_url(config: &Config, dataflow: &str) -> String {
    let own = || config.home(dataflow).join("registry").to_string_lossy().into_owned();
    config.registry.url.clone().unwrap_or_else(own)
}

/// Returns what the dashboard shows beside the state that requests are answered from.
pub fn dashboard(spec: &Spec, letters: &Arc<LetterBoard>) -> DashboardConfig {
    let graph = Graph::of(spec);
    DashboardConfig { letters: letters.clone(), graph: Arc::new(move |rates| picture::draw(&graph, rates)) }
}

impl RunSetup {
    /// Reads the config and the dataflow file.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn load(file: &Path, common: &CommonArgs) -> Result<Self, Failure> {
        let config = common.load()?;
        logging::open_file(&config)?;
        let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
        let models = plan.models.iter().map(|model| model.name.clone());
        let metrics = Metrics::new(&plan.spec.name);
        models.clone().for_each(|model| metrics.export_model(&model));
        Ok(RunSetup {
            home: config.home(&plan.spec.name),
            metrics,
            online: job::online_store(&plan),
            live: Arc::new(LiveModels::new(models, LIVE_VERSIONS)),
            readiness: Arc::new(Readiness::default()),
            letters: Arc::default(),
            config,
            plan,
        })
    }

    /// Returns the folder of the offline files.
    pub fn offline(&self) -> PathBuf {
        self.home.join("offline")
    }

    /// Locks the folders that the run owns.
    ///
    /// # Errors
    /// If another process holds a lock, or the run's own folder cannot be written.
    pub fn lock(&self) -> Result<Locks, Failure> {
        let mut locks = Locks::new(RUN, &self.plan.spec.name);
        locks.acquire(&self.home, "stop it or set another data_dir")?;
        // Files of an earlier version may be readable by every user of this machine.
        disk::restrict(&self.home).with_context(|| format!("{} cannot be read", self.home.display()))?;
        self.lock_stores(&mut locks)?;
        Ok(locks)
    }

    /// Locks the registry, the checkpoints and the offline files. What is wrong with an url is reported by its store.
    fn lock_stores(&self, locks: &mut Locks) -> Result<(), Failure> {
        let checkpoints = checkpoint_url(&self.plan, &self.config);
        for (url, key) in [(self.registry_url(), "registry.url"), (checkpoints, "checkpoint.url")] {
            if let Some(folder) = Blobs::folder_of(&url).ok().filter(|folder| std::fs::create_dir_all(folder).is_ok()) {
                locks.acquire(&folder, &format!("stop it or set another {key}"))?;
            }
        }
        if self.config.offline.enabled {
            locks.acquire(&self.offline(), "stop it or set another data_dir")?;
        }
        Ok(())
    }

    /// Returns the url of the registry: that of the config, or a folder of the dataflow.
    fn registry_url(&self) -> String {
        registry_url(&self.config, &self.plan.spec.name)
    }

    /// Opens the registry.
    ///
    /// # Errors
    /// If its url is wrong, or the folder cannot be made.
    pub fn registry(&self) -> Result<Registry, Failure> {
        Ok(Registry::open(&self.registry_url())?)
    }

    /// Returns the status of a job on the terminal; `url` is that of its endpoint.
    pub fn status(&self, url: String, quiet: bool, until_end: bool) -> TerminalStatus {
        let Config { http, base, .. } = &self.config;
        let token = http.tokens.files(base).into_iter().find(|(role, _)| *role == Role::Predict).map(|(_, file)| file);
        let sample = SampleRequest { url, cert: http.tls.files(base).map(|files| files.cert), token };
        let options = StatusOptions { quiet, terminal: std::io::stderr().is_terminal(), until_end };
        TerminalStatus::new(&self.plan, &self.live, sample, options)
    }

    /// Binds the endpoint's address and starts to answer. It is not ready before the graph runs.
    ///
    /// # Errors
    /// If the address cannot be bound, or the registry cannot be opened.
    pub fn start_server(&self) -> Result<Server, Failure> {
        let service = Service::new(ServiceConfig {
            spec: &self.plan.spec,
            programs: (0..self.plan.models.len()).map(|model| self.plan.program(model)).collect(),
            online: self.online.clone().into(),
            live: self.live.clone(),
            registry: Some(self.registry()?),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            dashboard: dashboard(&self.plan.spec, &self.letters),
            explainer: Some(explain::explainer(&self.plan, &self.config)),
            logged_share: self.config.log.predictions,
        });
        endpoint::open_service(&self.config, &service)
    }

    /// Opens the inputs and outputs of the job, which starts from a restored state and repeats a journal. With
    /// `bounded`, topics are read only up to where they end now.
    ///
    /// # Errors
    /// If an input or output cannot be opened.
    pub fn prepare(
        &self,
        coordinator: Arc<CheckpointCoordinator>,
        journal: Vec<Overtaken>,
        layout: OfflineLayout,
        bounded: bool,
    ) -> Result<PreparedJob, Failure> {
        online::measure_freshness(&self.plan, &self.config, &self.online, &self.metrics);
        let offline = self.offline();
        if self.config.offline.enabled {
            finish::invalidate(&offline)?;
        }
        let options = JobOptions {
            online: Some(self.online.clone()),
            live: self.live.clone(),
            journal,
            offline: self.config.offline.enabled.then_some((offline.as_path(), layout)),
            ..JobOptions::new(self.config.play.speed, bounded)
        };
        // The endpoint answers already, and opening the inputs takes as long as the brokers do.
        if inputs::uses_kafka(&self.plan, &self.config) {
            self.readiness.block(KAFKA, "kafka: waiting for the first answer of the brokers");
        }
        let prepared = job::prepare(&self.plan, &self.config, coordinator, options)?;
        if prepared.inputs.kafka().is_none_or(|kafka| kafka.error().is_none()) {
            self.readiness.clear(KAFKA);
        }
        Ok(prepared)
    }

    /// Serves the models of a registry until the graph makes new ones. Where it is damaged, what is served instead is said
    /// on stderr and in the readiness of the endpoint.
    ///
    /// # Errors
    /// If the state of the earlier run that was saved by [`JobEvents`](super::job_events::JobEvents) cannot be read.
    pub fn restore_models(
        &self,
        registry: &Registry,
        coordinator: &CheckpointCoordinator,
        saved_events: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        let manifests = saved_events.map_or_else(|| Ok(Default::default()), saved_champions)?;
        let saved = |name: &str| {
            let plan = self.plan.models.iter().find(|model| model.name == name)?;
            // An error is reported by the graph, which reads the same.
            let champion = learn::saved_champion(plan, coordinator).ok().flatten()?;
            let manifest = manifests.get(name).filter(|manifest| manifest.version == champion.version).cloned();
            Some(SavedChampion { manifest, ..champion })
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        let when = When { event: coordinator.restored_time().unwrap_or(wall), wall };
        let Restoration { errors, substitutes } = self.live.restore(registry, saved, when);
        errors.iter().for_each(|error| print_err(format_args!("warning: {}", chain(error))));
        for (model, text) in substitutes {
            print_err(format_args!("warning: model {model}: {text}"));
            self.readiness.warn(format!("model {model}"), text);
        }
        Ok(())
    }

    /// Removes the warning about a model, as its new champion is whole.
    pub fn settle_model(&self, model: usize) {
        self.readiness.settle(&format!("model {}", self.plan.models[model].name));
    }

    /// Moves the checkpoints and the registry of an earlier run aside, and locks the new folders. A registry with an url of
    /// its own stays, as others may read it.
    ///
    /// # Errors
    /// If a folder cannot be renamed, or another process has locked the new one.
    pub fn archive_previous(&self, checkpoints: &mut Checkpoints, locks: &mut Locks) -> Result<(), Failure> {
        checkpoints.start_over()?;
        if self.config.registry.url.is_none()
            && let Some(kept) = disk::archive_previous(&self.home.join("registry"))?
        {
            print_err(format_args!("starting over: the models of an earlier run are kept in {}", kept.display()));
        }
        self.lock_stores(locks)
    }
}
