//! SIGHUP: the dataflow file and the config are read again, and the run goes over to them if nothing that it keeps is
//! lost.
//!
//! The files are checked while the run goes on. If they are wrong, or the run's state is not of what they define or not
//! where they look for it, it says so and nothing changes. Otherwise the run takes its last checkpoint as at a stop, and
//! the process starts itself again with the same arguments: it has the same id, and continues from that checkpoint.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::args::CommonArgs;
use super::checkpoints::checkpoint_url;
use super::config::Config;
use super::setup::registry_url;
use super::{Failure, endpoint, inspect, logging, print_err};
use crate::flow::Plan;
use crate::spec::Spec;

/// The files of a run, and what it was started with.
pub struct RunFiles {
    file: PathBuf,
    common: CommonArgs,
    /// True once the process is to start again after the end of the run.
    pub restarts: bool,
}

impl RunFiles {
    /// The files of a run that was started with these arguments.
    pub fn new(file: &Path, common: &CommonArgs) -> Self {
        RunFiles { file: file.to_owned(), common: common.clone(), restarts: false }
    }

    /// Reads the files again, and says what follows: the process is to start again, or the run goes on as it is.
    /// `keeps_state` is false for a run without checkpoints.
    pub fn reload(&mut self, spec: &Spec, config: &Config, keeps_state: bool) {
        if let Some(why) = self.obstacle(spec, config, keeps_state) {
            return print_err(format_args!("SIGHUP: {why}; the run keeps its current config"));
        }
        print_err("SIGHUP: the config has changed; starting again from a last checkpoint");
        self.restarts = true;
    }

    /// Reads the files again. Returns why the run does not go over to them; `None` if it can.
    fn obstacle(&self, spec: &Spec, config: &Config, keeps_state: bool) -> Option<String> {
        let (plan, new_config) = match self.read(config) {
            Ok(read) => read,
            Err(Failure::Usage(text)) => {
                print_err(text.trim_end());
                return Some("the files are wrong".to_owned());
            }
            Err(Failure::Runtime(error)) => {
                print_err(format_args!("error: {error:#}"));
                return Some("the files cannot be used".to_owned());
            }
        };
        let new = &plan.spec;
        if new.name != spec.name {
            return Some(format!("the file is of another dataflow, {:?}", new.name));
        }
        if new.definition() != spec.definition() {
            let lost = lost(spec, new).join(", ");
            let what = format!("the dataflow file has changed, and a checkpoint of the run is not of it: {lost}");
            return Some(format!("{what}; stop the run, and start it with --fresh to compute all of it again"));
        }
        if !has_changed(config, &new_config) {
            return Some("nothing has changed".to_owned());
        }
        if !keeps_state {
            return Some("the config has changed, and without checkpoints the state would be lost".to_owned());
        }
        if let Some(key) = moved(&plan, config, &new_config) {
            let what = format!("{key} has changed, and the run's state is at the old place");
            return Some(format!("{what}; stop the run, move its files and start it again"));
        }
        rebound(&plan, config, &new_config).map(|topic| {
            let what = format!("the config reads topic {topic:?} from elsewhere, and a checkpoint is of what was read");
            format!("{what}; stop the run, and start it with --fresh to read all of it again")
        })
    }

    fn read(&self, old: &Config) -> Result<(Plan, Config), Failure> {
        let (spec, config) = (inspect::load(&self.file)?, self.common.load()?);
        let plan = inspect::check_config(spec, &config)?;
        endpoint::check_new_ports(&config, old)?;
        // Created, since permissions alone do not say whether a file system takes a file.
        logging::create_file(&config)?;
        Ok((plan, config))
    }
}

/// Returns the key of a place of the run's state that another config has elsewhere.
fn moved(plan: &Plan, old: &Config, new: &Config) -> Option<&'static str> {
    let places = |config: &Config| {
        let name = &plan.spec.name;
        let own = config.home(name).to_string_lossy().into_owned();
        [own, registry_url(config, name), checkpoint_url(plan, config)]
    };
    let [old, new] = [places(old), places(new)];
    let is_other = |at: &usize| old[*at] != new[*at];
    (0..old.len()).find(is_other).map(|at| ["data_dir", "registry.url", "checkpoint.url"][at])
}

/// Returns a topic that another config binds to other files, or to Kafka instead of files or the reverse.
fn rebound(plan: &Plan, old: &Config, new: &Config) -> Option<String> {
    let files = |config: &Config, topic: &str| config.topics.get(topic).map(|bound| bound.file.clone());
    let mut topics = plan.readers().map(|reader| &reader.topic);
    topics.find(|topic| files(old, topic) != files(new, topic)).cloned()
}

/// Returns whether a config has another value.
fn has_changed(old: &Config, new: &Config) -> bool {
    let values = |config: &Config| serde_json::to_value(config).expect("a config is plain values");
    values(old) != values(new)
}

/// Returns what a run keeps of a dataflow that another one does not define alike.
fn lost(old: &Spec, new: &Spec) -> Vec<String> {
    let mut lost = Vec::new();
    for group in &old.groups {
        let definition = old.group_definition(group);
        let is_kept = new.groups.iter().any(|it| it.name == group.name && new.group_definition(it) == definition);
        lost.extend((!is_kept).then(|| format!("the features of {}", group.name)));
    }
    for model in &old.models {
        let definition = old.model_definition(model);
        let is_kept = new.models.iter().any(|it| it.name == model.name && new.model_definition(it) == definition);
        lost.extend((!is_kept).then(|| format!("the versions of {}", model.name)));
    }
    if lost.is_empty() {
        lost.push("what has been read of its sources".to_owned());
    }
    lost
}

/// Replaces the process by a new one of the same program and arguments, which continues from the newest checkpoint.
/// Returns only if that fails.
///
/// # Errors
/// If the program cannot be started.
pub fn restart() -> Result<(), Failure> {
    let program = std::env::current_exe().context("the program cannot be found")?;
    // A program that was replaced by a newer one has this mark behind its path.
    let path = program.to_string_lossy();
    let program = path.strip_suffix(" (deleted)").map_or_else(|| program.clone(), PathBuf::from);
    let error = Command::new(&program).args(continuing(std::env::args_os().skip(1))).exec();
    Err(Failure::Runtime(anyhow::Error::new(error).context(format!("{} cannot be started", program.display()))))
}

/// Returns arguments without those that say where to start from.
fn continuing(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skips_value = false;
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        if std::mem::take(&mut skips_value) {
            continue;
        }
        match text.as_str() {
            "--fresh" => {}
            "--checkpoint" => skips_value = true,
            text if text.starts_with("--checkpoint=") => {}
            _ => kept.push(argument),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_does_not_say_where_to_start_from() {
        let arguments =
            ["run", "a.toml", "--fresh", "--checkpoint", "7.json", "--set", "workers=2", "--checkpoint=8.json"];
        assert_eq!(continuing(arguments.map(OsString::from).into_iter()), ["run", "a.toml", "--set", "workers=2"]);
    }

    #[test]
    fn a_refused_reload_names_the_state_it_would_lose() {
        let parse = |window: &str, label: &str| {
            let text = format!(
                "name = \"d\"\n[source.s]\ntopic = \"s\"\nformat = \"json\"\ntime = \"at\"\ncolumns = {{ u = \"string\", x = \"float\", at = \"timestamp\" }}\n\
                 [features.g]\nfrom = \"s\"\nentity = \"u\"\naggregate = [{{ op = \"count\", windows = [\"{window}\"] }}]\n\
                 [model.m]\nkind = \"logistic\"\nexamples = \"s\"\nfeatures = [\"x\"]\nlabel = {{ value = \"{label}\" }}\nwindow = \"1d\"\n"
            );
            crate::spec::parse(&text, "d.toml").unwrap_or_else(|errors| panic!("{errors}"))
        };
        let old = parse("1h", "x > 1");
        assert_eq!(lost(&old, &parse("2h", "x > 1")), ["the features of g"]);
        assert_eq!(lost(&old, &parse("1h", "x > 2")), ["the versions of m"]);
    }
}
