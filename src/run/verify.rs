//! `replay --verify`: the comparison of two folders, up to their first difference.
//!
//! The files of the other folder are compared with their hashes before the replay begins. After it, digests are compared
//! first. If the hashes of a file's rows differ, both Parquet files are read side by side up to the first row that differs.
//! In messages the replay is *here*, and the folder that it is compared with *there*.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Failure;
use super::digest::{Digest, VersionDigest};
use crate::aggregate::Feature;
use crate::flow::Plan;
use crate::source::{Outcome, RecordCounts};
use crate::store::checksums;
use crate::store::offline::Content;
use crate::store::offline_rows::OfflineRows;
use crate::time::{EventTime, format_time};
use crate::value::Scalar;

/// The folder that a replay is compared with.
pub struct Baseline {
    folder: PathBuf,
    digest: Digest,
}

impl Baseline {
    /// Opens the folder of another replay, or the offline folder of a run.
    ///
    /// # Errors
    /// If it has no digest, is the folder that the replay writes to, or a file of it is damaged.
    pub fn open(folder: &Path, out: &Path) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::Usage(format!("error: --verify: {}: {what}", folder.display()));
        let path = folder.join("digest.json");
        let expected = "expected the folder of a replay, or of a run with --until-end and offline.enabled";
        let text =
            std::fs::read_to_string(&path).map_err(|error| wrong(format!("no digest.json: {error}; {expected}")))?;
        let digest = serde_json::from_str(&text).map_err(|error| wrong(format!("digest.json: {error}; {expected}")))?;
        let same = |other: PathBuf| out.canonicalize().is_ok_and(|out| out == other);
        if folder.canonicalize().is_ok_and(same) {
            return Err(wrong("this is --out itself; expected another folder".to_owned()));
        }
        verify_files(folder, &digest)?;
        Ok(Baseline { folder: folder.to_owned(), digest })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the first difference of each source, group and model, in words.
    ///
    /// # Errors
    /// If a file whose hashes differ cannot be read.
    pub fn differences(&self, plan: &Plan, out: &Path, here: &Digest) -> anyhow::Result<Vec<String>> {
        let there = &self.digest;
        let mut found = Vec::new();
        let time = |time: Option<EventTime>| time.map_or("none".to_owned(), format_time);
        let mut plain = |what: &str, here: String, there: String| {
            (here != there).then(|| found.push(format!("{what}: {here} here, {there} there")));
        };
        plain("dataflow", here.dataflow.clone(), there.dataflow.clone());
        plain("from", time(here.from), time(there.from));
        plain("to", time(here.to), time(there.to));
        for (name, here, there) in both(&here.sources, &there.sources) {
            found.extend(tallies(here, there).map(|what| format!("source {name}: {what}")));
        }
        let key_of_group =
            |name: &str| plan.groups.iter().find(|group| group.name == name).map(|g| g.entity_names.clone());
        let key_of_model = |name: &str| {
            let model = plan.models.iter().find(|model| model.name == name)?;
            let named = |column: &usize| model.columns.columns.get(*column).map(|column| column.name.clone());
            Some(model.identity.iter().filter_map(named).collect::<Vec<String>>())
        };
        for (name, here, there) in both(&here.features, &there.features) {
            let what = self.content("features", name, (here, there), out, &key_of_group(name).unwrap_or_default())?;
            found.extend(what.map(|what| format!("features {name}: {what}")));
        }
        for (name, here, there) in both(&here.entities_dropped, &there.entities_dropped) {
            let count = |dropped: Option<&u64>| dropped.map_or("none".to_owned(), u64::to_string);
            let what = format!("entities dropped by {name}: {} here, {} there", count(here), count(there));
            found.extend((here != there).then_some(what));
        }
        for (name, here, there) in both(&here.examples, &there.examples) {
            let what = self.content("examples", name, (here, there), out, &key_of_model(name).unwrap_or_default())?;
            found.extend(what.map(|what| format!("examples {name}: {what}")));
        }
        for (name, here, there) in both(&here.models, &there.models) {
            found.extend(versions(here, there).map(|what| format!("model {name}: {what}")));
        }
        Ok(found)
    }

    /// Returns the first difference between the rows of a group or model.
    fn content(
        &self,
        part: &str,
        name: &str,
        contents: (Option<&Content>, Option<&Content>),
        out: &Path,
        key: &[String],
    ) -> anyhow::Result<Option<String>> {
        match contents {
            (Some(here), Some(there)) if here == there => Ok(None),
            (Some(_), Some(_)) => {
                let path = format!("{part}/{name}.parquet");
                let open = |folder: &Path| OfflineRows::open(&folder.join(&path));
                let rows = rows(open(out)?, open(&self.folder)?, key);
                rows.map(Some).with_context(|| format!("{path} cannot be compared"))
            }
            (here, _) => Ok(Some(only(here.is_some()))),
        }
    }
}

/// Compares the files of a folder, and the parts that some were gathered from, with their hashes.
fn verify_files(folder: &Path, digest: &Digest) -> anyhow::Result<()> {
    let listed = checksums::verify(folder)?;
    let features = digest.features.keys().map(|group| format!("features/{group}"));
    for name in features.chain(digest.examples.keys().map(|model| format!("examples/{model}"))) {
        let file = format!("{name}.parquet");
        if !listed.iter().any(|sum| sum.name == file) {
            bail!("{}: has no hash of {file}", folder.join(checksums::LIST).display());
        }
        let parts = folder.join(format!("{name}.parts"));
        if parts.is_dir() {
            checksums::verify(&parts)?;
        }
    }
    Ok(())
}

fn only(here: bool) -> String {
    if here { "is only here".to_owned() } else { "is only there".to_owned() }
}

/// Returns the entries of two maps by name; `None` if one lacks the name.
fn both<'a, T>(
    here: &'a BTreeMap<String, T>,
    there: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let names: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    names.into_iter().map(move |name| (name.as_str(), here.get(name), there.get(name)))
}

fn tallies(here: Option<&RecordCounts>, there: Option<&RecordCounts>) -> Option<String> {
    let (Some(here), Some(there)) = (here, there) else { return Some(only(here.is_some())) };
    let outcomes = Outcome::ALL.iter().map(|outcome| (outcome.name(), here.of(*outcome), there.of(*outcome)));
    let mut counts = std::iter::once(("read", here.read, there.read)).chain(outcomes);
    let (name, here, there) = counts.find(|(_, here, there)| here != there)?;
    Some(format!("{name} is {here} here and {there} there"))
}

fn versions(here: Option<&Vec<VersionDigest>>, there: Option<&Vec<VersionDigest>>) -> Option<String> {
    let (Some(here), Some(there)) = (here, there) else { return Some(only(here.is_some())) };
    let named = |versions: &[VersionDigest]| -> BTreeMap<String, VersionDigest> {
        // 20 digits hold any number, and keep the order of numbers as text.
        versions.iter().map(|version| (format!("{:020}", version.version), version.clone())).collect()
    };
    let (here, there) = (named(here), named(there));
    let (_, here, there) = both(&here, &there).find(|(_, here, there)| here != there)?;
    let number = here.or(there).map(|version| version.version)?;
    let shown = |version: &VersionDigest| {
        let role = if version.champion { "champion" } else { "refused" };
        format!("{} (window end {}, {role})", version.sha256, format_time(version.window_end))
    };
    Some(match (here, there) {
        (Some(here), Some(there)) => format!("version {number} is {} here and {} there", shown(here), shown(there)),
        (here, _) => format!("version {number} {}", only(here.is_some())),
    })
}

/// Returns the first row in which two files differ, in words.
fn rows(mut here: OfflineRows, mut there: OfflineRows, key: &[String]) -> anyhow::Result<String> {
    let names = here.names().to_vec();
    if names != there.names() {
        return Ok(format!("the columns are {} here and {} there", names.join(", "), there.names().join(", ")));
    }
    // Rows are named by their time and their key.
    let place: Vec<usize> = names
        .iter()
        .enumerate()
        .filter(|(index, name)| *index == 0 || key.contains(name))
        .map(|(index, _)| index)
        .collect();
    let shown = |row: &[Feature]| -> String {
        let parts = place.iter().map(|column| match &row[*column] {
            Feature::Value(Scalar::Timestamp(time)) if *column == 0 => format!("at {}", format_time(*time)),
            value => format!("{} = {}", names[*column], value.to_json(EventTime::MIN)),
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    // Rows of files are finished.
    let json = |value: &Feature| value.to_json(EventTime::MIN);
    loop {
        let (here, there) = match (here.next().transpose()?, there.next().transpose()?) {
            (Some(here), Some(there)) => (here, there),
            (Some(here), None) => return Ok(format!("{}: {}", shown(&here), only(true))),
            (None, Some(there)) => return Ok(format!("{}: {}", shown(&there), only(false))),
            (None, None) => return Ok("the rows are the same; one digest does not belong to its file".to_owned()),
        };
        // The first difference: a value of the same row, or a row that one of the files lacks.
        let Some(column) = (0..names.len()).find(|column| !same(&here[*column], &there[*column])) else { continue };
        if place.iter().all(|column| same(&here[*column], &there[*column])) {
            let (name, here_has, there_has) = (&names[column], json(&here[column]), json(&there[column]));
            return Ok(format!("{}: {name} is {here_has} here and {there_has} there", shown(&here)));
        }
        return Ok(match (&here[0], &there[0]) {
            (Feature::Value(Scalar::Timestamp(a)), Feature::Value(Scalar::Timestamp(b))) if a < b => {
                format!("{}: {}", shown(&here), only(true))
            }
            (Feature::Value(Scalar::Timestamp(a)), Feature::Value(Scalar::Timestamp(b))) if a > b => {
                format!("{}: {}", shown(&there), only(false))
            }
            _ => format!("{}: is here, where there has {}", shown(&here), shown(&there)),
        });
    }
}

/// Returns whether two values are the same to the bit.
fn same(a: &Feature, b: &Feature) -> bool {
    let same = |a: &Scalar, b: &Scalar| match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    };
    match (a, b) {
        (Feature::Value(a), Feature::Value(b)) => same(a, b),
        (Feature::List(a), Feature::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (Feature::Map(a), Feature::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        (a, b) => a == b,
    }
}
