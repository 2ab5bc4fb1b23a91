//! The arguments that several verbs share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::config::{Config, ConfigChange};

/// Flags that every verb takes.
#[derive(Args, Clone)]
pub struct CommonArgs {
    /// Config file: where the dataflow runs.
    #[arg(long, global = true, default_value = "config/embedded.toml", value_name = "PATH")]
    pub config: PathBuf,
    /// Overrides a config key; may be repeated. The value is TOML or, if that does not parse, plain text.
    #[arg(long = "set", global = true, value_name = "KEY.PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Worker threads of the graph; short for `--set workers=N`.
    #[arg(long, global = true, value_name = "N")]
    pub workers: Option<usize>,
    /// Prints errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Logs more to stderr; given twice, everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl CommonArgs {
    /// The config with all overrides.
    ///
    /// # Errors
    /// If the config is wrong.
    pub fn load(&self) -> Result<Config, Failure> {
        let set = self.overrides.iter().map(|text| ConfigChange { text: text.clone(), flag: "--set" });
        let workers =
            self.workers.map(|workers| ConfigChange { text: format!("workers={workers}"), flag: "--workers" });
        Config::load_changed(&self.config, &set.chain(workers).collect::<Vec<_>>())
    }
}

/// Output format of `graph`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GraphFormat {
    Text,
    Dot,
    Svg,
}

/// The flags of `run`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// End once every bounded input is used up.
    pub until_end: bool,
    /// Ignore checkpoints of an earlier run.
    pub fresh: bool,
    /// The checkpoint to start from in place of the newest.
    pub checkpoint: Option<PathBuf>,
}
