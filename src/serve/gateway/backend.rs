//! A server behind the gateway, and what is known of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::metrics::{BackendTraffic, Metrics};

/// The URL of a server: `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendUrl {
    /// `HOST:PORT`
    authority: String,
}

impl BackendUrl {
    /// Reads a URL; `None` if it is not of this form. Without a port, it is 80.
    pub fn parse(url: &str) -> Option<Self> {
        let authority = url.strip_prefix("http://")?.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if authority.is_empty() || !authority.chars().all(is_plain) {
            return None;
        }
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => {
                Some(BackendUrl { authority: authority.to_owned() })
            }
            Some(_) if !authority.ends_with(']') => None,
            _ => Some(BackendUrl { authority: format!("{authority}:80") }),
        }
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// A server behind the gateway.
#[derive(Debug)]
pub struct Backend {
    /// Its position among all servers.
    pub index: usize,
    pub url: BackendUrl,
    /// True while it gets requests.
    is_in: AtomicBool,
    /// The number of times that it was taken out. Connections from before are not used again.
    outages: AtomicU64,
    /// Requests that it has not answered yet.
    in_flight: AtomicUsize,
    pub traffic: BackendTraffic,
}

impl Backend {
    /// A server that gets no requests until a health check succeeds.
    pub fn new(index: usize, url: BackendUrl, metrics: &Metrics) -> Arc<Self> {
        let traffic = BackendTraffic::new(metrics, &url.to_string());
        traffic.set_in(false);
        let (is_in, outages, in_flight) = Default::default();
        Arc::new(Backend { index, url, is_in, outages, in_flight, traffic })
    }

    pub fn is_in(&self) -> bool {
        self.is_in.load(Relaxed)
    }

    pub fn outages(&self) -> u64 {
        self.outages.load(Relaxed)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Sends the server requests from now on, as it is ready.
    pub fn mark_ready(&self) {
        if !self.is_in.swap(true, Relaxed) {
            tracing::info!("{} is ready and gets requests", self.url);
            self.traffic.set_in(true);
        }
    }

    /// Sends the server no requests until it is ready again.
    pub fn take_out(&self, why: &dyn fmt::Display) {
        if self.is_in.swap(false, Relaxed) {
            self.outages.fetch_add(1, Relaxed);
            tracing::warn!("{} gets no requests until it is ready again: {why}", self.url);
            self.traffic.set_in(false);
        }
    }
}

/// A request that a server has not answered yet. Dropped once it has, or never will.
#[derive(Debug)]
pub struct InFlightRequest(Arc<Backend>);

impl InFlightRequest {
    pub fn begin(backend: &Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Relaxed);
        backend.traffic.begin();
        InFlightRequest(backend.clone())
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
        self.0.traffic.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_may_have_a_port_and_nothing_else() {
        let parsed = |url| BackendUrl::parse(url).map(|url| url.to_string());
        assert_eq!(parsed("http://127.0.0.1:8081").as_deref(), Some("http://127.0.0.1:8081"));
        assert_eq!(parsed("http://mill-0.mills/").as_deref(), Some("http://mill-0.mills:80"));
        assert_eq!(parsed("http://[::1]:9").as_deref(), Some("http://[::1]:9"));
        assert_eq!(parsed("http://[::1]").as_deref(), Some("http://[::1]:80"));
        for wrong in ["", "mill:80", "https://mill", "http://", "http://a@b", "http://a/b", "http://a:x", "http://a:0"]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
