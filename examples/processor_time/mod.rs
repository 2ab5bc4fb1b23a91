//! Processor time of threads of this process, as the scheduler of Linux accounts it.

#![allow(dead_code, reason = "an example uses a part")]

use std::path::Path;
use std::time::Duration;

/// Returns the processor time that the current thread has had.
///
/// # Panics
/// If the system does not account the time of threads as Linux does.
pub fn of_this_thread() -> Duration {
    of_task(Path::new("/proc/thread-self"))
}

/// Returns the processor time that the thread of a name has had.
///
/// # Panics
/// If there is no such thread, or the system does not account the time of threads as Linux does.
pub fn of_thread(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the system is Linux");
    let is_it = |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let path = tasks.filter_map(|task| Some(task.ok()?.path())).find(|path| is_it(path)).expect("the thread runs");
    of_task(&path)
}

fn of_task(path: &Path) -> Duration {
    let text = std::fs::read_to_string(path.join("schedstat")).expect("Linux with scheduler statistics");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first"))
}
