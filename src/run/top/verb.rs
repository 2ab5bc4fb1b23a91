//! The verb `top`: asks a job for its metrics, again and again, and prints what it does.

use std::io::IsTerminal;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use super::activity::JobActivity;
use super::exposition::{MetricSample, samples};
use super::screen::render;
use crate::run::args::{CommonArgs, JobArgs};
use crate::run::http_client::JobUrl;
use crate::run::{Failure, output};
use crate::time::parse_duration;

/// Operators that are shown of a graph, and of one that is asked for once.
const ROWS: usize = 15;
const ALL: usize = usize::MAX;

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The flags of `top`.
#[derive(Args, Clone, Debug)]
pub struct TopOptions {
    #[command(flatten)]
    job: JobArgs,
    /// Time between two readings, such as `2s`.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval_argument)]
    interval: Duration,
    /// Prints once, with all operators, and ends.
    #[arg(long)]
    once: bool,
    /// Prints JSON, an object a line.
    #[arg(long)]
    json: bool,
}

fn interval_argument(text: &str) -> Result<Duration, String> {
    let ms = parse_duration(text).and_then(|ms| u64::try_from(ms).ok()).filter(|ms| (1..=3_600_000).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "expected a duration from 1ms to 1h, such as 2s".to_owned())
}

/// A reading of the metrics, and when it was taken.
struct Reading {
    samples: Vec<MetricSample>,
    at: Instant,
}

impl Reading {
    fn take(job: &JobUrl) -> anyhow::Result<Self> {
        let samples = samples(&job.text("/metrics")?);
        Ok(Reading { samples, at: Instant::now() })
    }
}

/// Prints what a job does until it is interrupted, or once.
///
/// # Errors
/// If the job does not answer, or not with metrics.
pub fn run(options: &TopOptions, common: &CommonArgs) -> Result<(), Failure> {
    let job = options.job.job(common)?;
    let is_drawn = std::io::stdout().is_terminal() && !options.once && !options.json;
    let mut before = Reading::take(&job)?;
    loop {
        sleep(options.interval);
        let after = Reading::take(&job)?;
        let mut activity = JobActivity::between(&before.samples, &after.samples, after.at - before.at);
        if !activity.ready {
            let reasons = job.get("/health/ready")?.body["reasons"].as_array().cloned().unwrap_or_default();
            activity.reasons = reasons.iter().filter_map(|reason| reason.as_str().map(str::to_owned)).collect();
        }
        let text = match options.json {
            // An object a line, for programs that read on and on.
            true => format!("{}\n", serde_json::to_string(&activity)?),
            false => render(&activity, if options.once { ALL } else { ROWS }),
        };
        output::print(&if is_drawn { format!("{CLEAR}{text}") } else { text })?;
        if options.once {
            return Ok(());
        }
        before = after;
    }
}
