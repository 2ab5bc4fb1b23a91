//! The folder of a replay: whose it may be, and what an earlier replay has left in it.
//!
//! A replay begins with an empty registry. It deletes only what it can tell to be of a replay: a registry with a
//! [`MARK`], and the Parquet files that the digest beside it lists.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use super::digest::{DIGEST, Digest};
use super::locks::{LockOwner, Locks, RUN};
use super::{Failure, finish};
use crate::disk;
use crate::registry::Registry;

/// The folders in that of a run that it writes.
const OWN_FOLDERS: [&str; 3] = ["registry", "checkpoints", "offline"];

/// The file in a registry that says that a replay has written it.
const MARK: &str = "tidemill.replay";

/// Locks the folder of a replay and the registry in it, neither of which may be that of a run: it would be written over.
///
/// # Errors
/// If the folder is of a run, its registry is not of a replay, or another process has locked one of them.
pub fn lock(out: &Path, dataflow: &str) -> Result<Locks, Failure> {
    let is_of_run = |folder: &Path| LockOwner::of(folder).is_some_and(|owner| owner.verb == RUN);
    let absolute = std::path::absolute(out).with_context(|| format!("{} cannot be found", out.display()))?;
    let home = absolute.parent().filter(|_| OWN_FOLDERS.iter().any(|name| absolute.ends_with(name)));
    let belongs = is_of_run(out) || is_of_run(&out.join("registry")) || home.is_some_and(is_of_run);
    if belongs || out.join("checkpoints").is_dir() {
        let out = out.display();
        return Err(Failure::Usage(format!("error: --out: {out} belongs to a run; expected another folder")));
    }
    let registry = out.join("registry");
    if let Some(why) = fault_of(&registry)? {
        let registry = registry.display();
        return Err(Failure::Usage(format!(
            "error: --out: {registry} is not of a replay, which would delete it: {why}; expected another folder"
        )));
    }
    let mut locks = Locks::new("replay", dataflow);
    locks.acquire(out, "wait for its end or choose another --out")?;
    locks.acquire(&registry, "wait for its end or choose another --out")?;
    Ok(locks)
}

/// Returns why a registry is not one that a replay may delete; `None` if it is empty or there is none.
fn fault_of(registry: &Path) -> anyhow::Result<Option<&'static str>> {
    let unreadable = || format!("{} cannot be read", registry.display());
    match fs::symlink_metadata(registry) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found if found.as_ref().is_ok_and(fs::Metadata::is_symlink) => return Ok(Some("it is a symbolic link")),
        found => _ = found.with_context(unreadable)?,
    }
    let mut is_empty = true;
    for entry in fs::read_dir(registry).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        if name == MARK {
            return Ok(None);
        }
        is_empty &= name == disk::LOCK;
    }
    Ok((!is_empty).then_some("it has no file tidemill.replay"))
}

/// Deletes the digest of an earlier replay and the Parquet files that it lists: this replay may be of another dataflow.
///
/// # Errors
/// If something cannot be deleted.
pub fn invalidate(out: &Path) -> anyhow::Result<()> {
    let digest = fs::read(out.join(DIGEST)).ok().and_then(|text| serde_json::from_slice::<Digest>(&text).ok());
    let files = digest.iter().flat_map(|digest| {
        let features = digest.features.keys().map(|name| ("features", name));
        features.chain(digest.examples.keys().map(|name| ("examples", name)))
    });
    // A digest may have been edited: a name leads to no other folder.
    for (part, name) in files.filter(|(_, name)| !name.contains('/')) {
        let path = out.join(part).join(format!("{name}.parquet"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be deleted", path.display()));
            }
            _ => {}
        }
    }
    finish::invalidate(out)
}

/// Returns an empty registry in a folder; that of an earlier replay is deleted.
///
/// # Errors
/// If something cannot be deleted, or the registry not be written.
pub fn empty_registry(out: &Path) -> Result<Registry, Failure> {
    let folder = out.join("registry");
    disk::clear(&folder).with_context(|| format!("{} cannot be deleted", folder.display()))?;
    let mark = folder.join(MARK);
    fs::write(&mark, "the next replay into this folder deletes this registry\n")
        .with_context(|| format!("{} cannot be written", mark.display()))?;
    Ok(Registry::scratch(&folder.to_string_lossy())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(out: &Path) -> Option<String> {
        match lock(out, "demo") {
            Ok(_) => None,
            Err(Failure::Usage(text)) => Some(text),
            Err(Failure::Runtime(error)) => panic!("{error:#}"),
        }
    }

    #[test]
    fn only_the_registry_of_a_replay_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let (out, copied, linked) = (root.path().join("out"), root.path().join("copied"), root.path().join("linked"));
        assert_eq!(refusal(&out), None, "there is none");
        empty_registry(&out).unwrap();
        fs::create_dir_all(out.join("registry/late/1")).unwrap();
        assert_eq!(refusal(&out), None, "it is of a replay");
        empty_registry(&out).unwrap();
        assert!(!out.join("registry/late").exists());
        assert_eq!(refusal(&out), None, "it is of a replay that was interrupted");

        fs::create_dir_all(copied.join("registry/late/1")).unwrap();
        let error = refusal(&copied).unwrap();
        assert!(error.contains("registry is not of a replay, which would delete it: it has no file"), "{error}");
        fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(out.join("registry"), linked.join("registry")).unwrap();
        assert!(refusal(&linked).unwrap().contains("it is a symbolic link"));
        assert!(copied.join("registry/late/1").exists());
    }

    #[test]
    fn files_that_an_earlier_replay_lists_are_deleted() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("features")).unwrap();
        fs::create_dir_all(root.path().join("registry")).unwrap();
        for name in ["features/old.parquet", "features/own.parquet", "kept.parquet"] {
            fs::write(root.path().join(name), "rows").unwrap();
        }
        let content = r#"{ "rows": 1, "sha256": "" }"#;
        let digest = format!(
            r#"{{ "dataflow": "demo", "from": null, "to": null, "sources": {{}}, "examples": {{}}, "models": {{}},
            "features": {{ "old": {content}, "../kept": {content} }} }}"#
        );
        assert!(serde_json::from_str::<Digest>(&digest).is_ok());
        fs::write(root.path().join(DIGEST), digest).unwrap();
        invalidate(root.path()).unwrap();
        let exists = ["features/old.parquet", "features/own.parquet", "kept.parquet", DIGEST]
            .map(|name| root.path().join(name).exists());
        assert_eq!(exists, [false, true, true, false]);
    }
}
