//! Health of the servers: each is asked regularly whether it is ready.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Uri};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::backend::Backend;
use super::exchange::{Outgoing, exchange};
use super::gateway_service::Gateway;
use crate::threads::{self, Thread};

/// The route that a server is asked by.
const READY: &str = "/health/ready";

/// The shortest time that a server has to answer.
const SHORTEST: Duration = Duration::from_millis(500);

/// The checks of all servers, on a thread of their own. Dropping them ends it.
#[derive(Debug)]
pub struct HealthChecks {
    thread: Thread<()>,
    /// Closed when this is dropped.
    _stop: watch::Sender<()>,
}

impl HealthChecks {
    /// Asks every server of a gateway once, then every `period` in the background.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(gateway: &Gateway, period: Duration) -> std::io::Result<Self> {
        let backends = gateway.backends().to_vec();
        let (stop, stopped) = watch::channel(());
        let (asked, first) = std::sync::mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(backends.len()).build()?;
        let run = move || runtime.block_on(watch_all(backends, period, stopped, asked));
        let thread = threads::spawn("gateway-health", run)?;
        // Each server sends once, or its check has panicked, which ends the process.
        while first.recv().is_ok() {}
        Ok(HealthChecks { thread, _stop: stop })
    }
}

impl Drop for HealthChecks {
    fn drop(&mut self) {
        self.thread.expect_end();
    }
}

/// Checks all servers until `stopped` is closed. Each says on `asked` when it has been asked once.
async fn watch_all(
    backends: Vec<Arc<Backend>>,
    period: Duration,
    mut stopped: watch::Receiver<()>,
    asked: std::sync::mpsc::Sender<()>,
) {
    for backend in backends {
        let asked = asked.clone();
        tokio::spawn(async move {
            let mut asked = Some(asked);
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match check(&backend, period.max(SHORTEST)).await {
                    Ok(()) => backend.mark_ready(),
                    Err(why) => backend.take_out(&why),
                }
                asked.take();
            }
        });
    }
    drop(asked);
    // An error means that the checks were dropped.
    while stopped.changed().await.is_ok() {}
}

/// Asks a server whether it is ready.
async fn check(backend: &Arc<Backend>, time: Duration) -> Result<(), String> {
    let request = Outgoing {
        method: Method::GET,
        target: Uri::from_static(READY),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        is_repeatable: false,
    };
    let answered = exchange(backend, &request, time).await.map_err(|error| error.to_string())?;
    if answered.status().is_success() { Ok(()) } else { Err(format!("{READY} answers {}", answered.status())) }
}
