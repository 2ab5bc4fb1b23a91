//! Signals to a live run: SIGINT and SIGTERM end it, SIGHUP makes it read its files again.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::watchdog::{self, EndRequest};

/// The signals that a run has received. The first SIGINT or SIGTERM requests its end, the second ends the process at once.
pub struct Signals {
    end: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
    /// True if stderr was a terminal at the start.
    on_terminal: bool,
}

impl Signals {
    /// Handles the signals, and starts the watchdog that ends the process if the run takes longer than `within` to end.
    ///
    /// # Errors
    /// If the system refuses a handler or a thread.
    pub fn install(within: Duration) -> anyhow::Result<Self> {
        let (end, hang_up) = (Arc::default(), Arc::default());
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&end))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&end)))
                .context("signal handlers cannot be installed")?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&hang_up)).context("signal handlers cannot be installed")?;
        watchdog::start(Some(EndRequest { received: Arc::clone(&end), within }))?;
        Ok(Signals { end, hang_up, on_terminal: std::io::stderr().is_terminal() })
    }

    /// Returns whether the end is requested.
    pub fn is_end_requested(&self) -> bool {
        self.end.load(SeqCst)
    }

    /// Requests the end, as a signal does.
    pub fn request_end(&self) {
        self.end.store(true, SeqCst);
    }

    /// Returns whether the files are to be read again, once for each request. A terminal that goes away sends the same
    /// signal: that is a request to end.
    pub fn take_reload(&self) -> bool {
        if !self.hang_up.swap(false, SeqCst) {
            return false;
        }
        let is_gone = self.on_terminal && !std::io::stderr().is_terminal();
        if is_gone {
            self.request_end();
        }
        !is_gone
    }
}
