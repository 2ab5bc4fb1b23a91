//! The end of a run whatever hangs, and the permissions of its files, with the program itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::clicks;
use crate::common::program::Run;

/// A folder with a dataflow, its input, in which a record is refused, and a config.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    clicks::write(folder.path());
    let config = format!("{}[http]\nlisten = \"127.0.0.1:0\"\n[offline]\nenabled = true\n", clicks::TOPICS);
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

fn command(folder: &Path, before: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(env!("CARGO_BIN_EXE_tidemill"));
    command.args(arguments).args(["clicks.toml", "--config", "config.toml", "--set", "data_dir=var"]);
    command.current_dir(folder);
    command
}

/// Every file and directory in a folder, with its permissions.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        found.push((path.display().to_string(), metadata.permissions().mode() & 0o777));
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn other_users_can_read_nothing_that_a_run_or_a_replay_writes_whatever_the_umask() {
    for (umask, denied) in [("000", 0o027), ("022", 0o027), ("077", 0o077)] {
        let folder = folder();
        let run = command(folder.path(), &format!("umask {umask}"), &["run", "--until-end"]).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let replay = ["replay", "--out", "out"];
        let replay = command(folder.path(), &format!("umask {umask}"), &replay).output().unwrap();
        assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
        for written in ["var", "out"] {
            let modes = modes(&folder.path().join(written));
            for part in ["model.json", "weights.safetensors", "dead_letters.jsonl", ".parquet", "digest.json"] {
                assert!(modes.iter().any(|(path, _)| path.ends_with(part)), "{part} in {modes:?}");
            }
            let open: Vec<_> = modes.iter().filter(|(_, mode)| mode & denied != 0).collect();
            assert!(open.is_empty(), "umask {umask}: {open:?}");
        }
    }
}

#[test]
fn a_run_restricts_the_files_of_an_earlier_version() {
    let folder = folder();
    let old = folder.path().join("var/clicks/checkpoints.1");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("00000001.json"), "{}").unwrap();
    fs::set_permissions(old.join("00000001.json"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(command(folder.path(), "true", &["run", "--until-end"]).output().unwrap().status.success());
    let open: Vec<_> =
        modes(&folder.path().join("var/clicks")).into_iter().filter(|(_, mode)| mode & 0o027 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_run_that_hangs_ends_with_a_code_of_its_own_within_the_shutdown_timeout() {
    let folder = folder();
    // No process reads from the pipe, so opening it waits forever.
    let home = folder.path().join("var/clicks");
    fs::create_dir_all(&home).unwrap();
    assert!(Command::new("mkfifo").arg(home.join("dead_letters.jsonl")).status().unwrap().success());
    let mut command = command(folder.path(), "true", &["run", "--set", "shutdown_timeout=1s"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Signals are handled before the folder is locked.
    while !home.join("tidemill.lock").exists() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("error: the run did not end within shutdown_timeout, 1s"), "{stderr}");
}

#[test]
fn a_run_that_others_can_reach_takes_a_token_for_moves_and_says_so() {
    let folder = folder();
    fs::write(folder.path().join("admin"), "keeper-of-the-mill\n").unwrap();
    let run = |listen: &str, more: &[&str]| {
        let mut command =
            command(folder.path(), "true", &["run", "--fresh", "--set", &format!("http.listen={listen}")]);
        command.args(more);
        command
    };
    let tokens = ["--set", "http.tokens.admin=file:admin"];
    for (listen, warns) in [("0.0.0.0:0", true), ("127.0.0.1:0", false), ("localhost:0", false)] {
        let run = Run::start(&mut run(listen, if warns { &tokens } else { &[] }));
        assert!(run.get("/health/live").starts_with("HTTP/1.1 200"));
        let said = run.stop();
        assert_eq!(said.contains("warning: [http] listen is 0.0.0.0:"), warns, "{said}");
        assert!(!said.contains("keeper-of-the-mill"), "{said}");
    }
    for (more, expected) in [
        (&[][..], "--set http.listen: error: [http] listen: others can reach 0.0.0.0:0"),
        (
            &["--set", "http.tokens.admin=keeper"],
            "--set http.tokens.admin: error: http.tokens.admin: expected file:PATH",
        ),
        (
            &["--set", "http.tokens.admin=file:none"],
            "--set http.tokens.admin: error: the tokens of the role admin cannot",
        ),
    ] {
        let ended = run("0.0.0.0:0", more).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && !said.contains("keeper"), "{said}");
    }
}
