//! The verb `init`: samples records, drafts a dataflow, checks it, and writes it.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::TypedValueParser;
use serde_json::json;

use super::draft::{DataflowDraft, SampledPlace};
use super::sketch::{NamedColumnsOfSample, SampleSketch};
use super::{names, topic};
use crate::disk;
use crate::run::args::CommonArgs;
use crate::run::config::Config;
use crate::run::{Failure, output};
use crate::source::{RecordSample, sample_file};
use crate::spec;

/// Records that are sampled if the user does not say how many.
const SAMPLED_RECORDS: usize = 100_000;

/// The flags of `init`.
#[derive(Args, Clone, Debug)]
pub struct InitOptions {
    /// A file of records: `.csv`, `.jsonl` or `.parquet`, plain, `.gz` or `.zst`.
    #[arg(long, value_name = "FILE", required_unless_present = "topic", conflicts_with = "topic")]
    sample: Option<PathBuf>,
    /// A topic of JSON messages, on the brokers of the config.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    #[command(flatten)]
    named: NamedColumnsOfSample,
    /// The dataflow's name; by default that of the file or the topic.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Directory in which `dataflows/NAME.toml` and `config/NAME.toml` are written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// The most records that are looked at.
    #[arg(long, value_name = "N", default_value_t = SAMPLED_RECORDS,
        value_parser = clap::value_parser!(u32).range(1..).map(|rows| rows as usize))]
    rows: usize,
    /// Prints the files and all guesses as JSON.
    #[arg(long)]
    json: bool,
}

/// Writes a dataflow file, and a config if the sample is a file.
///
/// # Errors
/// If the sample cannot be read, no dataflow can be guessed from it, or a file exists already.
pub fn run(options: &InitOptions, common: &CommonArgs) -> Result<(), Failure> {
    let (sample, topic, place, origin) = match (&options.sample, &options.topic) {
        (Some(path), _) => {
            let sample = sample_of(path, options.rows)?;
            (sample, topic_of(path), Some(path), path.display().to_string())
        }
        (None, Some(topic)) => {
            let sample = topic::sample(topic, &common.load()?, options.rows)?;
            (sample, topic.clone(), None, format!("topic {topic}"))
        }
        (None, None) => {
            return Err(Failure::Usage("error: no sample was given; expected --sample or --topic".to_owned()));
        }
    };
    let name = match &options.name {
        Some(name) => name.clone(),
        None => names::plain(&topic),
    };
    let dataflow = options.out.join("dataflows").join(format!("{name}.toml"));
    let config = options.out.join("config").join(format!("{name}.toml"));
    let place = match place {
        Some(path) => SampledPlace::File(glob_of(path, &options.out.join("config"))?),
        None => SampledPlace::Topic,
    };

    // Guess, and check the guess.
    let sketch = SampleSketch::new(sample, &options.named)?;
    let draft = DataflowDraft::new(&sketch, &name, &topic, &origin, &place);
    spec::parse(&draft.dataflow, &dataflow.display().to_string()).map_err(|errors| match &options.name {
        Some(_) => Failure::Usage(errors.to_string()),
        None => Failure::Runtime(anyhow!("the dataflow that was guessed does not pass `check`:\n{errors}")),
    })?;

    // Write what does not exist yet.
    let files: Vec<(&Path, &str)> = std::iter::once((dataflow.as_path(), draft.dataflow.as_str()))
        .chain(draft.config.as_deref().map(|text| (config.as_path(), text)))
        .collect();
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::Usage(format!(
            "error: {} exists already; expected another --name or --out, or that it is removed",
            there.display()
        )));
    }
    for (at, (path, text)) in files.iter().enumerate() {
        // What is there after an error would be in the way of the next attempt.
        create(path, text).inspect_err(|_| files[..at].iter().for_each(|(path, _)| _ = std::fs::remove_file(path)))?;
    }
    if draft.config.is_some() {
        Config::load(&config, &[])?;
    }
    report(&sketch, &dataflow, draft.config.is_some().then_some(config.as_path()), options, common)
}

/// Samples a file.
///
/// # Errors
/// If it cannot be read.
fn sample_of(path: &Path, rows: usize) -> Result<RecordSample, Failure> {
    let shown = path.display();
    if !path.exists() && shown.to_string().contains(['*', '?', '[']) {
        return Err(Failure::Usage(format!("error: --sample: {shown} is a pattern; expected the path of one file")));
    }
    sample_file(path, rows).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::Usage(format!("error: --sample: {error}{cause}"))
    })
}

/// Prints what was written, what is unsure, and what to do next.
fn report(
    sketch: &SampleSketch,
    dataflow: &Path,
    config: Option<&Path>,
    options: &InitOptions,
    common: &CommonArgs,
) -> Result<(), Failure> {
    let doubts = sketch.doubts();
    if options.json {
        let column = |column: &super::column::GuessedColumn| json!({ "name": column.column.name, "type": column.column.ty.name(), "nullable": column.column.nullable });
        let name = |at: usize| sketch.columns[at].column.name.clone();
        let entities: Vec<Vec<String>> =
            sketch.entities.iter().map(|entity| entity.columns.iter().map(|at| name(*at)).collect()).collect();
        let written = json!({
            "dataflow": dataflow, "config": config, "rows": sketch.rows, "time": sketch.timing.text,
            "columns": sketch.columns.iter().map(column).collect::<Vec<_>>(), "entities": entities,
            "label": sketch.target.as_ref().map(|target| name(target.column)), "unsure": doubts,
        });
        return Ok(output::print(&format!("{written:#}\n"))?);
    }
    for doubt in doubts {
        output::print_err(format!("unsure: {doubt}"));
    }
    let file = dataflow.display();
    let mut text = format!("{file}\n");
    let config = match config {
        Some(config) => {
            text += &format!("{}\n", config.display());
            config.to_owned()
        }
        None => common.config.clone(),
    };
    output::print(&text)?;
    // Without it, most records would be late or dead letters.
    let sort = if sketch.timing.doubt_of_lateness.is_some() { "sort the records by time; then " } else { "" };
    output::print_err(format!("next: {sort}tidemill run {file} --config {}", config.display()));
    Ok(())
}

/// Creates a file that does not exist, and its folder. After an error there is none.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let label = path.display();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    disk::replace(path, text.as_bytes()).with_context(|| format!("{label} cannot be written"))
}

/// Returns the name of the topic of a file: its own without extensions, as far as a topic may have it.
fn topic_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    names::plain(stem)
}

/// Returns a glob that matches a file alone, relative to a folder that need not exist.
fn glob_of(path: &Path, folder: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
    let name = path.file_name().unwrap_or_default();
    let path = real(path.parent().unwrap_or(&path))?.join(name);
    let folder = real(folder)?;
    let (from, to): (Vec<Component>, Vec<Component>) = (folder.components().collect(), path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    // A path that shares nothing but the root is clearer as it is.
    let relative: PathBuf = match shared {
        0 | 1 => path.clone(),
        _ => from[shared..].iter().map(|_| Component::ParentDir).chain(to[shared..].iter().copied()).collect(),
    };
    let text = relative.to_str().ok_or_else(|| {
        Failure::Usage(format!("error: --sample: {} is not UTF-8; expected a path that is", path.display()))
    })?;
    Ok(glob::Pattern::escape(text))
}

/// Returns a folder's path without links, as far as it exists.
fn real(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(folder).with_context(|| format!("{} is not a path", folder.display()))?;
    let there = folder.ancestors().find_map(|path| Some((path, path.canonicalize().ok()?)));
    let (known, real) = there.with_context(|| format!("{} cannot be found", folder.display()))?;
    let rest = folder.strip_prefix(known).expect("an ancestor is a beginning of the path");
    Ok(real.join(rest))
}
