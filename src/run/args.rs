//! The arguments that several verbs share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::config::{Config, ConfigChange};
use super::http_client::JobUrl;
use crate::serve::Role;
use crate::time::{EARLIEST, EventTime, LATEST};
use crate::value::TimeRules;

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

/// Flags of verbs that ask a running job.
#[derive(Args, Clone, Debug, Default)]
pub struct JobArgs {
    /// The job's endpoint; by default that of `http.listen` in the config.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File whose first line is the token that the endpoint takes; by default that of `http.tokens` in the config.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// File with the certificates, in PEM, of authorities that an endpoint with `https://` is trusted by; by default
    /// those of the system. The endpoint of the config is trusted by its own certificate.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl JobArgs {
    /// Returns whether one of the flags is given.
    pub fn is_given(&self) -> bool {
        self.url.is_some() || self.token_file.is_some() || self.ca_file.is_some()
    }

    /// Returns the endpoint, to be read from.
    ///
    /// # Errors
    /// If the URL, the token's file or the config is wrong.
    pub fn job(&self, common: &CommonArgs) -> Result<JobUrl, Failure> {
        self.job_for(common, Role::Read)
    }

    /// Returns the endpoint, to be used in a role.
    ///
    /// # Errors
    /// If the URL, the token's file or the config is wrong.
    pub fn job_for(&self, common: &CommonArgs, role: Role) -> Result<JobUrl, Failure> {
        let mut job = JobUrl::new(self.url.as_deref(), || common.load())?;
        if let Some(file) = &self.ca_file {
            job = job.with_authorities_of(file)?;
        }
        let of_config = || {
            let config = common.load().ok().filter(|_| self.url.is_none())?;
            config.http.tokens.files(&config.base).into_iter().find(|(known, _)| *known == role).map(|(_, path)| path)
        };
        match self.token_file.clone().or_else(of_config) {
            Some(file) => job.with_token_of(&file),
            None => Ok(job),
        }
    }
}

/// Parses a point in event time.
///
/// # Errors
/// If the text is none.
pub fn moment_argument(text: &str) -> Result<EventTime, String> {
    let time = TimeRules::default().of_text(text);
    time.ok_or_else(|| "expected RFC 3339, a date or epoch ms".to_owned())
}

/// Parses a point in event time, `earliest` or `latest`: the first and the last that a record may have.
///
/// # Errors
/// If the text is none.
pub fn any_moment_argument(text: &str) -> Result<EventTime, String> {
    match text {
        "earliest" => Ok(EARLIEST),
        "latest" => Ok(LATEST),
        text => moment_argument(text).map_err(|_| "expected RFC 3339, a date, epoch ms, earliest or latest".to_owned()),
    }
}

/// Output format of `graph`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GraphFormat {
    Text,
    Dot,
    Svg,
}

/// A kind of files that has a JSON schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaOf {
    Dataflow,
    Config,
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
