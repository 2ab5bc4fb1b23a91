//! The log: to stderr from the start, and to a file once the config has been read.
//!
//! Both are layers of one `tracing` subscriber. stderr has warnings and errors unless flags say otherwise. The file has
//! everything from `info` on, among it a line for each training window (target [`TRAINING`]), and whatever verbs print
//! to stderr (target [`STDERR`]), which the layer of stderr leaves out. The file has a layer for each [`LogFormat`];
//! their level is off until [`open_file`].

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::Failure;
use super::config::{Config, LogConfig, LogFormat};
use super::log_file::LogFile;
use crate::secret;

/// The target of the lines on training windows.
pub const TRAINING: &str = "training";

/// The target of the lines that are on stderr in any case.
pub const STDERR: &str = "stderr";

/// The log file, once it is open.
static FILE: OnceLock<Mutex<LogFile>> = OnceLock::new();

/// The levels of the file's layers.
static LEVELS: OnceLock<FileLevels> = OnceLock::new();

struct FileLevels {
    json: reload::Handle<LevelFilter, Registry>,
    text: reload::Handle<LevelFilter, Registry>,
}

/// Starts logging to stderr, from `level` on: for people on a terminal, JSON otherwise.
pub fn start(level: LevelFilter) {
    let stderr = Targets::new().with_default(level).with_target(STDERR, LevelFilter::OFF);
    // A failure to write a log line is not logged: that would fail, too.
    let to_stderr = || fmt::layer().with_writer(|| StderrLog).log_internal_errors(false);
    let to_file = || fmt::layer().with_writer(|| FileLog).with_ansi(false).log_internal_errors(false);
    let (json_level, json) = reload::Layer::new(LevelFilter::OFF);
    let (text_level, text) = reload::Layer::new(LevelFilter::OFF);
    let _ = LEVELS.set(FileLevels { json, text });
    let on_stderr = match io::stderr().is_terminal() {
        true => to_stderr().with_target(false).with_filter(stderr).boxed(),
        false => to_stderr().json().with_filter(stderr).boxed(),
    };
    let in_file = [to_file().json().with_filter(json_level).boxed(), to_file().with_filter(text_level).boxed()];
    Registry::default().with(Vec::from_iter(in_file.into_iter().chain([on_stderr]))).init();
}

/// Opens the file that a config names, and logs to it from now on. Without one, does nothing.
///
/// # Errors
/// If the file cannot be created or opened.
pub fn open_file(config: &Config) -> Result<(), Failure> {
    let LogConfig { file: path, format, max_bytes, keep, .. } = &config.log;
    let Some(path) = path else { return Ok(()) };
    let file = LogFile::open(path, *max_bytes, *keep).map_err(|error| unopened(config, path, &error))?;
    if FILE.set(Mutex::new(file)).is_ok()
        && let Some(levels) = LEVELS.get()
    {
        let level = match format {
            LogFormat::Json => &levels.json,
            LogFormat::Text => &levels.text,
        };
        level.reload(LevelFilter::INFO).context("the level of the log file cannot be set")?;
    }
    Ok(())
}

/// Checks whether the file that a config names could be opened, without creating it.
///
/// # Errors
/// If it could not.
pub fn check_file(config: &Config) -> Result<(), Failure> {
    let Some(path) = &config.log.file else { return Ok(()) };
    LogFile::check(path).map_err(|error| unopened(config, path, &error))
}

/// Creates the file that a config names unless it exists, without logging to it.
///
/// # Errors
/// If it cannot be created or opened.
pub fn create_file(config: &Config) -> Result<(), Failure> {
    let Some(path) = &config.log.file else { return Ok(()) };
    LogFile::create(path).map(drop).map_err(|error| unopened(config, path, &error))
}

fn unopened(config: &Config, path: &Path, error: &io::Error) -> Failure {
    let place = config.origin.place(&["log", "file"]);
    Failure::Usage(format!("{place}: error: [log] file: {} cannot be opened: {error}", path.display()))
}

/// Writes the log to stderr, without secrets.
struct StderrLog;

impl Write for StderrLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(secret::masked(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the log to the log file, without secrets. `tracing` passes each line as a whole.
struct FileLog;

impl Write for FileLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = FILE.get() {
            let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            file.append(secret::masked(&String::from_utf8_lossy(bytes)).as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
