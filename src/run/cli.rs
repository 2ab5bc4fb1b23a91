//! The command line.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

use super::args::{CommonArgs, GraphFormat, JobArgs, RunOptions, SchemaOf, any_moment_argument};
use super::explain::ExplainOptions;
use super::features::AskedEntity;
use super::init::InitOptions;
use super::load::LoadOptions;
use super::models::ModelsVerb;
use super::replay_start::ReplayOptions;
use super::tap::TapOptions;
use super::top::TopOptions;
use super::{
    Failure, config, explain, features, gateway, init, inspect, live, load, logging, reference, replay, replica, tap,
    test, top,
};
use crate::source::PlaybackSpeed;
use crate::spec::AssumedEntities;
use crate::time::EventTime;
use crate::value::TimeRules;

/// Kafka topics in; fresh features, models retrained on every window and a prediction endpoint out.
#[derive(Parser)]
#[command(name = "tidemill", version, max_term_width = 100, after_long_help = config::help())]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Runs a dataflow live, with features, models and the endpoint, until SIGINT or SIGTERM.
    #[command(after_help = "Example: tidemill run dataflows/flights.toml --set http.listen=127.0.0.1:0")]
    Run {
        /// The dataflow file.
        file: PathBuf,
        /// Ends once all inputs have been read to their end.
        #[arg(long)]
        until_end: bool,
        /// Starts over, without a checkpoint. Checkpoints of an earlier run are renamed to `checkpoints.1`, `checkpoints.2` and so on.
        #[arg(long)]
        fresh: bool,
        /// Starts from this manifest of an earlier checkpoint of the run, `NUMBER.json`. Later ones are set aside, and what was overtaken after it takes effect at its own time.
        #[arg(long, value_name = "PATH", conflicts_with = "fresh")]
        checkpoint: Option<PathBuf>,
    },
    /// Runs a dataflow over a bounded range of its topics, as fast as possible, and writes the results to a directory. Does not affect a live run.
    #[command(after_help = "Example: tidemill replay dataflows/flights.toml --out /tmp/january --to 2013-02-01")]
    Replay {
        /// The dataflow file.
        file: PathBuf,
        /// Output directory: examples, features, models and the digest.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Writes only what takes effect at this time or later: RFC 3339, a date, epoch ms, or `earliest`. Earlier
        /// records are still read, so that windows are full.
        #[arg(long, value_name = "T", value_parser = time_argument)]
        from: Option<Bound>,
        /// Writes only what takes effect before this time: RFC 3339, a date, epoch ms, or `latest`. Windows that end at it are included.
        #[arg(long, value_name = "T", value_parser = time_argument)]
        to: Option<Bound>,
        /// Starts reading the longest window before `--from`, not at the earliest record.
        #[arg(long, requires = "from")]
        cold: bool,
        /// Starts from a checkpoint of a run: the directory of checkpoints, for the newest intact one, or a manifest.
        #[arg(long, value_name = "PATH", conflicts_with = "cold")]
        checkpoint: Option<PathBuf>,
        /// Repeats the overtaken records of a live run: the directory of its checkpoints, or one file of its journal.
        #[arg(long, value_name = "PATH")]
        journal: Option<PathBuf>,
        /// Writes examples without a label, too: those that were dropped and those that still wait for one. Their `_label`,
        /// `_known` and `_window_end` are null.
        #[arg(long)]
        unlabelled: bool,
        /// Compares the results with another replay, or with the `offline` directory of a run with `--until-end`. If they
        /// differ, the exit code is 1 and stderr has the first row, version or count that does.
        #[arg(long, value_name = "DIR")]
        verify: Option<PathBuf>,
    },
    /// Fills the Kafka topics of a dataflow from the files that CONFIG binds them to, or with mended dead letters.
    #[command(after_help = "Example: tidemill load dataflows/flights.toml --from config/embedded.toml \\\n    \
                            --config config/production.toml --partitions 4")]
    Load {
        /// The dataflow file.
        file: PathBuf,
        /// Config that binds the topics to files. The brokers are those of `--config`.
        #[arg(long, value_name = "CONFIG", required_unless_present = "dead_letters")]
        from: Option<PathBuf>,
        /// Loads the records of a file of dead letters, whose `value` has been mended, in place of the files. Nothing is
        /// loaded unless all of them can be read.
        #[arg(long, value_name = "FILE")]
        dead_letters: Option<PathBuf>,
        /// Creates missing topics with this many partitions.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        partitions: Option<u32>,
        /// Seconds of event time per second, or `max` for as fast as possible.
        #[arg(long, value_name = "X", default_value = "max", value_parser = speed_argument)]
        speed: PlaybackSpeed,
    },
    /// Reports all problems of a dataflow file and its config; if there are none, prints the plan.
    #[command(after_help = "Example: tidemill check dataflows/flights.toml --entities 1000000")]
    Check {
        /// The dataflow file.
        file: PathBuf,
        /// Number of entities of each feature group for which memory is estimated.
        #[arg(long, value_name = "N")]
        entities: Option<u64>,
        /// Number of records of an entity a day that is assumed then.
        #[arg(long, value_name = "N", default_value_t = AssumedEntities::RECORDS, value_parser = clap::value_parser!(u64).range(AssumedEntities::BOUNDS))]
        records: u64,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes a dataflow file to begin with, guessed from a sample, and a config that binds its topic to the sample.
    #[command(after_help = "Example: tidemill init --sample clicks.csv.gz --entity user --label bought")]
    Init {
        #[command(flatten)]
        options: InitOptions,
    },
    /// Runs the `[[test]]` blocks of a dataflow file, in memory; the exit code is 1 if one fails.
    #[command(after_help = "Example: tidemill test dataflows/flights.toml")]
    Test {
        /// The dataflow file.
        file: PathBuf,
        /// Runs the test of this name only; may be repeated.
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<String>,
    },
    /// Shows or explains the features of an entity.
    Features {
        #[command(subcommand)]
        verb: FeaturesVerb,
    },
    /// Lists models and their versions, and moves their aliases: on a registry, or through a running job.
    Models {
        #[command(subcommand)]
        verb: ModelsVerb,
    },
    /// Shows what a running job does: sources with their lag, the busiest operators, and the scores of models.
    #[command(after_help = "Example: tidemill top --url http://127.0.0.1:8080\n         tidemill top --once --json")]
    Top {
        #[command(flatten)]
        options: TopOptions,
    },
    /// Serves features and predictions as a run does, without computing them: from the registry and the Redis that a run
    /// writes to, until SIGINT or SIGTERM.
    #[command(
        after_help = "Example: tidemill serve dataflows/flights.toml --set redis.url=redis://127.0.0.1:6379 \\\n    \
                            --set registry.url=/srv/registry --set http.listen=127.0.0.1:8081"
    )]
    Serve {
        /// The dataflow file, the same as that of the run.
        file: PathBuf,
    },
    /// Passes requests on to several servers of one dataflow, those of `gateway.servers`, until SIGINT or SIGTERM.
    #[command(after_help = "Example: tidemill gateway --config gateway.toml")]
    Gateway,
    /// Prints the records of a source or a view as a running job reads them, or the vectors of a feature group or of one
    /// entity as they change: a JSON object a line.
    #[command(
        after_help = "Example: tidemill tap clicks --where user=u1\n         tidemill tap airport\n         tidemill \
                            tap airport JFK --count 1"
    )]
    Tap {
        #[command(flatten)]
        options: TapOptions,
    },
    /// Draws the operators and edges of a dataflow.
    #[command(after_help = "Example: tidemill graph dataflows/flights.toml --format svg > flights.svg")]
    Graph {
        /// The dataflow file.
        file: PathBuf,
        /// Output format.
        #[arg(long, default_value = "text", value_name = "F")]
        format: GraphFormat,
    },
    /// Prints a script that completes commands and flags in a shell.
    #[command(after_help = "Example: tidemill completions bash > ~/.local/share/bash-completion/completions/tidemill")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Prints the JSON schema of dataflow files or configs, by which editors complete and check them.
    #[command(after_help = "Example: tidemill schema dataflow > dataflow.schema.json")]
    Schema {
        /// The kind of files.
        of: SchemaOf,
    },
    /// Writes a manual page of each command.
    #[command(after_help = "Example: tidemill man --out ~/.local/share/man/man1")]
    Man {
        /// Directory for the pages; created if it does not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
enum FeaturesVerb {
    /// Prints the newest feature vector of an entity, from a running job.
    #[command(after_help = "Example: tidemill features get desk JFK DL")]
    Get {
        /// The feature group.
        group: String,
        /// The values of the entity's columns, in their order.
        #[arg(required = true, allow_negative_numbers = true)]
        entity: Vec<String>,
        /// Prints the features in this window instead, from the panes that the group keeps (`request_windows`).
        #[arg(long, value_name = "DURATION")]
        window: Option<String>,
        #[command(flatten)]
        job: JobArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the records that the features of an entity are of, and recomputes them from just those. The topics are read
    /// again: by the running job or, with a dataflow file, by this command. The exit code is 1 if a feature is not as the
    /// running job serves it, or as the replay has written it.
    #[command(
        after_help = "Example: tidemill features explain airport JFK --feature delay_mean_3h\n         tidemill \
                            features explain airport JFK --dataflow dataflows/flights.toml --as-of 2013-01-01T12:00:00Z"
    )]
    Explain {
        /// The feature group.
        group: String,
        /// The values of the entity's columns, in their order.
        #[arg(required = true, allow_negative_numbers = true)]
        entity: Vec<String>,
        /// Reads the topics of this dataflow file, where the config says that they are, in place of asking the job to.
        #[arg(long, value_name = "FILE")]
        dataflow: Option<PathBuf>,
        /// Explains this feature only; may be repeated.
        #[arg(long = "feature", value_name = "F")]
        features: Vec<String>,
        /// Explains the features as of this time, and compares them with nothing: RFC 3339, a date, epoch ms, `earliest`, or `latest` for after the newest record.
        #[arg(long, value_name = "T", value_parser = any_moment_argument)]
        as_of: Option<EventTime>,
        #[command(flatten)]
        job: JobArgs,
        /// Compares with the newest vector of the entity, or the newest before `--as-of`, in the output directory of a
        /// replay.
        #[arg(long, value_name = "DIR", requires = "dataflow", conflicts_with_all = ["url", "token_file", "ca_file"])]
        replay: Option<PathBuf>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A bound of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Earliest,
    Latest,
    At(EventTime),
}

fn time_argument(text: &str) -> Result<Bound, String> {
    match text {
        "earliest" => Ok(Bound::Earliest),
        "latest" => Ok(Bound::Latest),
        text => TimeRules::default()
            .of_text(text)
            .map(Bound::At)
            .ok_or_else(|| "expected RFC 3339, a date, epoch ms, earliest or latest".to_owned()),
    }
}

fn speed_argument(text: &str) -> Result<PlaybackSpeed, String> {
    match (text, text.parse::<f64>()) {
        ("max", _) => Ok(PlaybackSpeed::Unlimited),
        (_, Ok(speed)) if speed > 0.0 && speed.is_finite() => Ok(PlaybackSpeed::Factor(speed)),
        _ => Err("expected a positive number of event seconds per second, or max".to_owned()),
    }
}

impl Cli {
    /// Starts logging to stderr, as much as the flags say.
    pub fn start_logging(&self) {
        logging::start(match (self.common.quiet, self.common.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, _) => LevelFilter::DEBUG,
        });
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// If it cannot be done.
    pub fn run(self) -> Result<(), Failure> {
        let common = self.common;
        match self.verb {
            Verb::Run { file, until_end, fresh, checkpoint } => {
                live::run(&file, &common, RunOptions { until_end, fresh, checkpoint })
            }
            Verb::Replay { file, out, from, to, cold, checkpoint, journal, unlabelled, verify } => {
                let bound = |bound: Option<Bound>| match bound {
                    Some(Bound::At(time)) => Some(time),
                    Some(Bound::Earliest | Bound::Latest) | None => None,
                };
                if from == Some(Bound::Latest) || to == Some(Bound::Earliest) {
                    return Err(Failure::Usage("error: --from and --to leave nothing to replay".to_owned()));
                }
                let (from, to) = (bound(from), bound(to));
                replay::run(
                    &file,
                    &common,
                    &ReplayOptions { out, from, to, cold, checkpoint, journal, unlabelled, verify },
                )
            }
            Verb::Load { file, from, dead_letters, partitions, speed } => {
                load::run(&file, &common, &LoadOptions { from, dead_letters, partitions, speed })
            }
            Verb::Check { file, entities, records, json } => {
                inspect::check(&file, &common, AssumedEntities { entities, records }, json)
            }
            Verb::Init { options } => init::run(&options, &common),
            Verb::Test { file, names } => test::run(&file, &common, &names),
            Verb::Features { verb } => verb.run(&common),
            Verb::Models { verb } => verb.run(&common),
            Verb::Top { options } => top::run(&options, &common),
            Verb::Serve { file } => replica::run(&file, &common),
            Verb::Gateway => gateway::run(&common),
            Verb::Tap { options } => tap::run(&options, &common),
            Verb::Graph { file, format } => inspect::graph(&file, format),
            Verb::Completions { shell } => reference::completions(Cli::command(), shell),
            Verb::Schema { of } => reference::schema(of),
            Verb::Man { out } => reference::man(Cli::command(), &out),
        }
    }
}

impl FeaturesVerb {
    fn run(self, common: &CommonArgs) -> Result<(), Failure> {
        match self {
            FeaturesVerb::Get { group, entity: key, window, job, json } => {
                features::get(&AskedEntity { group, key }, window.as_deref(), common, &job, json)
            }
            FeaturesVerb::Explain { group, entity: key, dataflow, features, as_of, job, replay, json } => {
                let options = ExplainOptions { dataflow, features, as_of, job, replay, json };
                explain::run(&AskedEntity { group, key }, common, &options)
            }
        }
    }
}
