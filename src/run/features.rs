//! `features get`: the newest vector of an entity, from a running job.

use anyhow::Context;
use serde_json::Value;

use super::args::{CommonArgs, JobArgs};
use super::http_client::{JobUrl, segment};
use super::{Failure, output};
use crate::padding::{pad_end, width_of};

/// The entity that a verb asks for.
#[derive(Clone, Debug)]
pub struct AskedEntity {
    pub group: String,
    /// The values of the entity's columns, as text.
    pub key: Vec<String>,
}

impl AskedEntity {
    /// The path of its vector, or of another thing that a route has of it.
    pub fn path(&self, route: &str) -> String {
        let key: Vec<String> = self.key.iter().map(|value| segment(value)).collect();
        format!("/{route}/{}/{}", segment(&self.group), key.join("/"))
    }

    /// Gets its vector from a job, or its features in another window: the body of `GET /features`.
    ///
    /// # Errors
    /// If the job does not answer, has no such group or entity, or cannot answer the window.
    pub fn get(&self, window: Option<&str>, job: &JobUrl) -> anyhow::Result<Value> {
        let query = window.map_or_else(String::new, |window| format!("?window={}", segment(window)));
        job.get(&(self.path("features") + &query))?.body()
    }
}

/// Prints the vector of an entity, or its features in another window.
///
/// # Errors
/// If the job does not answer, has no such group or entity, or cannot answer the window.
pub fn get(
    asked: &AskedEntity,
    window: Option<&str>,
    common: &CommonArgs,
    at: &JobArgs,
    json: bool,
) -> Result<(), Failure> {
    let job = at.job(common)?;
    let body = asked.get(window, &job)?;
    if json {
        return Ok(output::print(&format!("{body:#}\n"))?);
    }
    let features = body["features"].as_object().context("the answer has no features")?;
    let width = width_of(features.keys().map(String::as_str).chain(["watermark"]));
    let line = |name: &str, value: &str| format!("{}  {value}\n", pad_end(name, width));
    let mut text: String = features.iter().map(|(name, value)| line(name, &value.to_string())).collect();
    text += &line("watermark", body["watermark"].as_str().unwrap_or("null"));
    Ok(output::print(&text)?)
}
