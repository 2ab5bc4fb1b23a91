//! The status of a live run on the terminal: its progress, its newest version, and how to request a prediction.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use super::forecast::Forecast;
use super::job;
use super::print_err;
use crate::flow::{Job, Plan};
use crate::model::{Decision, Version};
use crate::registry::LiveModels;
use crate::time::{EventTime, format_time};

/// The form of requests for predictions at the endpoint of a job.
pub struct SampleRequest {
    pub url: String,
    /// The certificate of the endpoint, if its connections are encrypted.
    pub cert: Option<PathBuf>,
    /// The file with the tokens of those who may predict, if they need one.
    pub token: Option<PathBuf>,
}

impl SampleRequest {
    /// Returns the command that requests a prediction with a body of JSON, for a shell.
    fn command(&self, body: &str) -> String {
        let mut flags = String::new();
        if let Some(cert) = &self.cert {
            flags += &format!(" --cacert '{}'", cert.display());
        }
        if let Some(token) = &self.token {
            flags += &format!(" -H \"Authorization: Bearer $(grep -m 1 '^[^#]' '{}')\"", token.display());
        }
        format!("curl{flags} --json '{body}' {}/predict", self.url)
    }
}

/// Options of a [`TerminalStatus`].
#[derive(Clone, Copy, Debug)]
pub struct StatusOptions {
    /// True if there is neither a status line nor a line for each version.
    pub quiet: bool,
    /// True if the line can be redrawn in place.
    pub terminal: bool,
    /// True if the job ends with its inputs.
    pub until_end: bool,
}

/// The status line of a job, and the lines that are printed once.
pub struct TerminalStatus {
    models: Vec<String>,
    sample: SampleRequest,
    quiet: bool,
    /// True if the line can be redrawn in place.
    terminal: bool,
    /// The time at which the line was last drawn, and the number of records then.
    seen: Option<(Instant, u64)>,
    /// The newest version, or after a restart those that are served, in words; `None` before the first.
    newest: Option<String>,
    /// By model, the version that has become champion last.
    published: Vec<Option<u64>>,
    forecast: Forecast,
    /// True once the command for a prediction has been printed.
    has_sample: bool,
    /// True once the end of the inputs has been printed.
    ended: bool,
    /// True if the job ends with its inputs.
    until_end: bool,
}

impl TerminalStatus {
    /// Returns the status of a job that answers by `sample`, with the models that it serves already.
    pub fn new(plan: &Plan, live: &LiveModels, sample: SampleRequest, options: StatusOptions) -> Self {
        let names: Vec<String> = plan.models.iter().map(|model| model.name.clone()).collect();
        let served = names.iter().filter_map(|name| Some(format!("{name} v{} champion", live.champion(name)?.version)));
        let served = served.collect::<Vec<String>>().join(", ");
        let StatusOptions { quiet, terminal, until_end } = options;
        TerminalStatus {
            newest: Some(served).filter(|served| !served.is_empty()),
            published: vec![None; names.len()],
            models: names,
            sample,
            quiet,
            terminal,
            until_end,
            seen: None,
            forecast: Forecast::new(plan.models.iter().map(|model| model.training_window()).collect()),
            has_sample: false,
            ended: false,
        }
    }

    /// Records a version. With the first one, prints a command that requests a prediction.
    pub fn version(&mut self, job: &Job, model: usize, version: &Version) {
        let decided = match version.decision {
            Decision::Published => "champion",
            Decision::Refused => "refused",
        };
        let score = |scores: &[(&'static str, f64)], metric: &str| {
            scores.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value)
        };
        let scores = &version.prequential;
        let shown: Vec<String> = ["logloss", "auc", "rmse"]
            .into_iter()
            .filter_map(|metric| {
                let value = score(&scores.champion, metric)?;
                let base =
                    score(&scores.no_skill, metric).map_or_else(String::new, |base| format!(" (no skill {base:.4})"));
                Some(format!("{metric} {value:.4}{base}"))
            })
            .collect();
        if version.decision == Decision::Published {
            self.published[model] = Some(version.number);
        }
        let name = &self.models[model];
        let scored = if shown.is_empty() { String::new() } else { format!(", window scored: {}", shown.join(", ")) };
        self.newest = Some(format!("{name} v{} {decided}{scored}", version.number));
        if version.decision == Decision::Refused {
            self.line(&format!("{name} v{} refused: {}", version.number, version.reason));
        }
        if !self.has_sample
            && let Some(sample) = job::sample_instance(job, model)
        {
            self.has_sample = true;
            let named = if self.models.len() > 1 { format!("\"model\":\"{name}\",") } else { String::new() };
            let body = format!("{{{named}\"instances\":[{}]}}", sample.json).replace('\'', "'\\''");
            self.line(&format!("{name} v{} is serving. Request a prediction:", version.number));
            self.line(&format!("  {}", self.sample.command(&body)));
        }
    }

    /// Redraws the status line. `has_ended` says whether all records of bounded inputs have been processed.
    pub fn refresh(&mut self, job: &Job, has_ended: bool) {
        let (now, read) = (Instant::now(), taken(job));
        // After a restart, the counts at first are those of the earlier run.
        let (at, before) = self.seen.replace((now, read)).unwrap_or((now, read));
        let rate = read.saturating_sub(before) as f64 / now.duration_since(at).as_secs_f64().max(1e-3);
        self.forecast.note(now, job.frontier.watermark());
        let time = match job.frontier.watermark() {
            EventTime::MIN => starting(job),
            time => format_time(time),
        };
        if has_ended {
            self.say_end(job);
        }
        if self.terminal && !self.quiet {
            // Errors are ignored as in `print_err`.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{time}  {rate:.0} records/s  {}", self.newest());
        } else if !self.ended {
            self.line(&format!("{time}  {rate:.0} records/s  {}", self.newest()));
        }
    }

    /// Prints the final counts, and the newest version, or the champions where they are others by hand.
    pub fn end(&mut self, job: &Job, live: &LiveModels) {
        if self.until_end && job.partitions.all_ended() {
            self.say_end(job);
        }
        let moved = self.models.iter().zip(&self.published).filter_map(|(name, published)| {
            let champion = live.champion(name)?.version;
            published.is_some_and(|published| published != champion).then(|| format!("{name} v{champion} champion"))
        });
        let moved = moved.collect::<Vec<String>>().join(", ");
        let newest = if moved.is_empty() { self.newest() } else { moved };
        self.line(&format!("stopped after {} records; {newest}", taken(job)));
    }

    /// Prints once that the inputs are used up.
    fn say_end(&mut self, job: &Job) {
        if !std::mem::replace(&mut self.ended, true) {
            let next = if self.until_end { "stopping" } else { "still serving" };
            let time = format_time(job.frontier.watermark());
            self.line(&format!("{time}  all files are read: {} records; {next}", taken(job)));
        }
    }

    /// Returns the newest version in words, or else when the first one comes.
    fn newest(&self) -> String {
        self.newest.clone().unwrap_or_else(|| self.forecast.in_words())
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            let clear = if self.terminal { "\r\x1b[2K" } else { "" };
            print_err(format_args!("{clear}{text}"));
        }
    }
}

/// Returns the partitions that keep event time from starting: those without a record, until they are idle.
fn starting(job: &Job) -> String {
    let list = job.partitions.list();
    let silent = list.iter().filter(|partition| partition.watermark() == EventTime::MIN && !partition.has_ended());
    let silent: Vec<String> = silent.map(|at| format!("{}/{}", at.id.source, at.id.partition)).collect();
    match &silent[..] {
        [] => "starting".to_owned(),
        [one, two, three, _, ..] => format!("starting: no record yet of {one}, {two}, {three} and others"),
        few => format!("starting: no record yet of {}", few.join(", ")),
    }
}

/// Returns the number of records whose outcome is known; those read ahead of the clock do not count yet.
fn taken(job: &Job) -> u64 {
    let list = job.partitions.list();
    list.iter()
        .map(|partition| partition.stats())
        .map(|standing| standing.counts.read.saturating_sub(standing.in_flight))
        .sum()
}
