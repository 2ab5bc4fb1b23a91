//! The config: where a dataflow runs. Every key has a default; an unknown key is an error.
//!
//! | file | contents |
//! |---|---|
//! | `keys` | the description and the default of each key, for the reference and the terminal |
//! | `bounds` | the bounds of numbers and durations |
//! | `load` | reads a file and its overrides as a [`Config`] |
//! | `origin` | the place of each key, for errors |
//! | `schema` | the JSON schema, for editors |
//! | `sections` | the tables of a config |
//! | `values` | the spelling of values: durations, speeds, texts |
//!
//! ```
//! use tidemill::run::config::Config;
//!
//! let config: Config = toml::from_str("workers = 2\n[checkpoint]\ninterval = \"10s\"").unwrap();
//! assert_eq!((config.workers, config.checkpoint.interval.unwrap().as_secs()), (2, 10));
//! assert!(toml::from_str::<Config>("wrokers = 2").is_err());
//! ```

mod bounds;
mod keys;
mod load;
mod origin;
mod schema;
mod sections;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::source::{DEFAULT_RECORD_BYTES, Volume};

pub use keys::{ConfigKey, help, keys};
pub use load::ConfigChange;
pub use origin::Origin;
pub use schema::schema;
pub use sections::{
    CheckpointConfig, DeadLettersConfig, GatewaySection, GrpcSection, HttpConfig, LogConfig, LogFormat, OfflineConfig,
    PlayConfig, RedisConfig, RegistryConfig, TlsConfig, TokensConfig, TopicConfig,
};

/// A config file with its overrides applied. [`keys`] describes each key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data_dir: PathBuf,
    pub workers: usize,
    pub max_in_flight: u64,
    pub max_in_flight_bytes: u64,
    pub max_record_bytes: usize,
    pub max_dead_letters: f64,
    #[serde(with = "values::duration")]
    pub idle_after: Duration,
    pub clock: Clock,
    #[serde(with = "values::duration")]
    pub max_ahead: Duration,
    #[serde(with = "values::duration")]
    pub shutdown_timeout: Duration,
    pub topics: BTreeMap<String, TopicConfig>,
    pub play: PlayConfig,
    pub http: HttpConfig,
    pub grpc: GrpcSection,
    #[serde(deserialize_with = "values::texts")]
    pub kafka: BTreeMap<String, String>,
    pub dead_letters: DeadLettersConfig,
    pub redis: RedisConfig,
    pub registry: RegistryConfig,
    pub checkpoint: CheckpointConfig,
    pub offline: OfflineConfig,
    pub log: LogConfig,
    pub gateway: GatewaySection,
    /// The folder that the paths of topics are relative to: that of the config file.
    #[serde(skip)]
    pub base: PathBuf,
    /// The places where keys were set.
    #[serde(skip)]
    pub origin: Origin,
}

/// Shows no values, as some are secret.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: "var".into(),
            workers: 1,
            max_in_flight: 1 << 17,
            max_in_flight_bytes: 64 << 20,
            max_record_bytes: DEFAULT_RECORD_BYTES,
            max_dead_letters: 0.1,
            idle_after: Duration::from_secs(5),
            clock: Clock::Wall,
            max_ahead: Duration::from_secs(86_400),
            shutdown_timeout: Duration::from_secs(60),
            topics: BTreeMap::new(),
            play: PlayConfig::default(),
            http: HttpConfig::default(),
            grpc: GrpcSection::default(),
            kafka: BTreeMap::new(),
            dead_letters: DeadLettersConfig::default(),
            redis: RedisConfig::default(),
            registry: RegistryConfig::default(),
            checkpoint: CheckpointConfig::default(),
            offline: OfflineConfig::default(),
            log: LogConfig::default(),
            gateway: GatewaySection::default(),
            base: PathBuf::new(),
            origin: Origin::default(),
        }
    }
}

impl Config {
    /// Returns the folder of a dataflow's own files.
    pub fn home(&self, dataflow: &str) -> PathBuf {
        self.data_dir.join(dataflow)
    }

    /// Returns how much of a partition may be in flight.
    pub fn in_flight(&self) -> Volume {
        Volume { records: self.max_in_flight, bytes: self.max_in_flight_bytes }
    }
}

/// The clock that advances event time while there are no records. Files always use the stream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    Wall,
    Stream,
}
