//! The watchdog: ends the process if a thread that it needs has ended, or if a run does not end in time.
//!
//! It is a thread of its own that waits for nothing, so it works whatever the others wait for. Ending the process where
//! it stands is safe: a run that is killed resumes from its newest checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::print_err;
use crate::threads::{self, ThreadEnd, Threads};
use crate::time::format_duration;

/// The exit code if a thread has ended.
pub const THREAD_ENDED: u8 = 3;

/// The exit code if a run did not end in time.
pub const ENDED_LATE: u8 = 4;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_millis(50);

/// The checks after which the system is asked for its threads.
const CHECKS_PER_SCAN: u32 = 20;

/// The longest time that the process waits for its last message to be written.
const MESSAGE: Duration = Duration::from_millis(300);

/// A request to end a run, and the time that it has for that.
#[derive(Clone, Debug)]
pub struct EndRequest {
    /// Set once the end is requested.
    pub received: Arc<AtomicBool>,
    /// The time from then on within which the process must end.
    pub within: Duration,
}

/// The reason why the process must end at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProcessEnd {
    code: u8,
    message: String,
}

/// The state of the watchdog.
struct Watchdog {
    threads: Arc<Threads>,
    end: Option<EndRequest>,
    /// The time at which the request was first seen.
    since: Option<Instant>,
}

/// Starts the watchdog of this process; it stays until the process ends.
///
/// # Errors
/// If the system cannot start a thread.
pub fn start(end: Option<EndRequest>) -> std::io::Result<()> {
    let mut watchdog = Watchdog { threads: threads::process().clone(), end, since: None };
    let watch = move || {
        for check in 1u32.. {
            std::thread::sleep(INTERVAL);
            if check % CHECKS_PER_SCAN == 0 {
                watchdog.threads.find_vanished();
            }
            if let Some(ProcessEnd { code, message }) = watchdog.look(Instant::now()) {
                end_process(code, message);
            }
        }
    };
    threads::spawn("watchdog", watch).map(std::mem::forget)
}

/// Does once what the watchdog does, so that the process does not stay if the watchdog itself has ended.
pub fn stand_in() {
    let threads = threads::process();
    threads.find_vanished();
    if let Some(end) = threads.first_end() {
        end_process(THREAD_ENDED, describe(&end));
    }
}

/// Returns the text that says which thread has ended.
pub fn describe(end: &ThreadEnd) -> String {
    format!("error: {end}; the process ends, and can be started again")
}

impl Watchdog {
    /// Decides whether the process must end.
    fn look(&mut self, now: Instant) -> Option<ProcessEnd> {
        if let Some(end) = self.threads.first_end() {
            return Some(ProcessEnd { code: THREAD_ENDED, message: describe(&end) });
        }
        let EndRequest { received, within } = self.end.as_ref()?;
        if !received.load(SeqCst) {
            return None;
        }
        let waited = now.duration_since(*self.since.get_or_insert(now));
        (waited >= *within).then(|| {
            let within = format_duration(i64::try_from(within.as_millis()).unwrap_or(i64::MAX));
            let message = format!(
                "error: the run did not end within shutdown_timeout, {within}, and is ended without its last checkpoint"
            );
            ProcessEnd { code: ENDED_LATE, message }
        })
    }
}

/// Ends the process without waiting for anything, after a message.
fn end_process(code: u8, message: String) {
    // On another thread, as the message may not be read.
    let written = std::thread::Builder::new().spawn(move || print_err(message));
    let since = Instant::now();
    while written.as_ref().is_ok_and(|thread| !thread.is_finished()) && since.elapsed() < MESSAGE {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal_hook::low_level::exit(i32::from(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog(within: Option<Duration>) -> (Watchdog, Arc<AtomicBool>) {
        let received: Arc<AtomicBool> = Arc::default();
        let end = within.map(|within| EndRequest { received: received.clone(), within });
        (Watchdog { threads: Arc::default(), end, since: None }, received)
    }

    #[test]
    fn a_run_that_was_told_to_end_has_its_time_and_no_more() {
        let (mut watchdog, received) = watchdog(Some(Duration::from_secs(5)));
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert_eq!(watchdog.look(at(100)), None, "no end was requested");
        received.store(true, SeqCst);
        assert_eq!(watchdog.look(at(200)), None);
        assert_eq!(watchdog.look(at(204)), None);
        let verdict = watchdog.look(at(205)).unwrap();
        assert_eq!(verdict.code, ENDED_LATE);
        assert!(verdict.message.contains("did not end within shutdown_timeout, 5s"), "{}", verdict.message);
    }

    #[test]
    fn a_thread_that_ends_ends_the_process_whether_or_not_it_was_told_to() {
        for told in [false, true] {
            let (mut watchdog, received) = watchdog(Some(Duration::from_secs(5)));
            received.store(told, SeqCst);
            assert_eq!(watchdog.look(Instant::now()), None);
            let serving = watchdog.threads.spawn("serve-0", || panic!("no such slot")).unwrap();
            serving.join().unwrap_err();
            let verdict = watchdog.look(Instant::now()).unwrap();
            assert_eq!(verdict.code, THREAD_ENDED);
            let expected =
                "error: thread serve-0 has panicked: no such slot; the process ends, and can be started again";
            assert_eq!(verdict.message, expected);
        }
        let (mut unbounded, received) = watchdog(None);
        received.store(true, SeqCst);
        assert_eq!(unbounded.look(Instant::now()), None, "a replay has no time to end in");
    }
}
