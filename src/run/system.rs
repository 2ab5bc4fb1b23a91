//! Settings of the process in the system: who may read the files that it writes, how many it may open, and the name of
//! the machine.

use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// The permissions that no file or directory has that the process makes: writing for the group, anything for others.
const DENIED: u32 = 0o027;

/// Hides what the process writes from now on from users outside its group, whatever it was started with:
/// files have the mode 0640 or a stricter one, directories 0750. To be called before there are other threads.
pub fn restrict_files() {
    let before = umask(Mode::from_raw_mode(DENIED));
    umask(before | Mode::from_raw_mode(DENIED));
}

/// Makes a write beyond the limit on the size of files an ordinary error, which names the file. By default it ends the process
/// without a message.
pub fn report_large_files() {
    // The process goes on without the handler, as before.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Raises the number of files that the process may open as far as the system allows, and returns it.
pub fn raise_open_files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without the right to do so the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the name of the machine, if the system tells it.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_the_most_that_is_allowed() {
        let raised = raise_open_files();
        assert_eq!(Some(raised), getrlimit(Resource::Nofile).maximum.or(Some(u64::MAX)));
    }
}
