//! `check` and `graph`: a dataflow file explained without running it.

use std::path::Path;
use std::sync::Arc;

use super::args::{CommonArgs, GraphFormat};
use super::config::Config;
use super::{Failure, endpoint, inputs, logging, output};
use crate::flow::Plan;
use crate::flow::draw::Graph;
use crate::spec::{AssumedEntities, Spec};

/// Reads and checks a dataflow file.
///
/// # Errors
/// If it has mistakes; the text lists all of them.
pub fn load(file: &Path) -> Result<Spec, Failure> {
    crate::spec::load(file).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// Runs `check`: prints the plan of a file.
///
/// # Errors
/// If the file or the config has mistakes; the text lists all of them.
pub fn check(file: &Path, common: &CommonArgs, assumed: AssumedEntities, json: bool) -> Result<(), Failure> {
    let spec = match (load(file), common.load()) {
        (Ok(spec), Ok(config)) => check_config(spec, &config)?.spec,
        (Err(Failure::Usage(of_file)), Err(Failure::Usage(of_config))) => {
            return Err(Failure::Usage(format!("{of_file}\n{of_config}")));
        }
        (Err(failure), _) | (_, Err(failure)) => return Err(failure),
    };
    for warning in &spec.warnings {
        output::print_err(format!("{}:{warning}", file.display()));
    }
    let text = match json {
        true => format!("{:#}\n", spec.to_json(assumed)),
        false => spec.explain(assumed),
    };
    Ok(output::print(&text)?)
}

/// Checks a config against a dataflow, as far as that needs no broker and no port. Returns the plan of the dataflow.
///
/// # Errors
/// If a run with them would not start.
pub fn check_config(spec: Spec, config: &Config) -> Result<Plan, Failure> {
    inputs::cluster(config, &spec.name)?;
    inputs::check_formats(&spec, config)?;
    let plan = Plan::new(Arc::new(spec));
    inputs::check_files(&plan, config)?;
    logging::check_file(config)?;
    endpoint::check(config)?;
    Ok(plan)
}

/// Runs `graph`: prints a drawing of a file.
///
/// # Errors
/// If the file has mistakes; the text lists all of them.
pub fn graph(file: &Path, format: GraphFormat) -> Result<(), Failure> {
    let graph = Graph::of(&load(file)?);
    let picture = match format {
        GraphFormat::Text => graph.text(),
        GraphFormat::Dot => graph.dot(),
        GraphFormat::Svg => graph.svg(),
    };
    Ok(output::print(&picture)?)
}
