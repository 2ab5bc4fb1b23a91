//! `gateway`: stands before the servers of a dataflow until it is told to stop.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::args::CommonArgs;
use super::config::Config;
use super::signals::Signals;
use super::{Failure, endpoint, logging, print_err, watchdog};
use crate::metrics::Metrics;
use crate::serve::{Gateway, GatewayConfig, HealthChecks, Readiness};

/// The interval at which signals are looked for.
const TICK: Duration = Duration::from_millis(20);

/// The name under which the metrics of the process are.
const NAME: &str = "gateway";

/// Passes requests on until SIGINT or SIGTERM; then answers those that have come, and returns.
///
/// # Errors
/// If the config is wrong, or the endpoint cannot be opened.
pub fn run(common: &CommonArgs) -> Result<(), Failure> {
    let config = common.load()?;
    logging::open_file(&config)?;
    let signals = Signals::install(config.shutdown_timeout)?;
    let (metrics, readiness) = (Metrics::new(NAME), Arc::new(Readiness::default()));
    let gateway = Gateway::new(settings(&config)?, &metrics, &readiness);
    // The servers are asked first, so that the first request finds one.
    let checks = HealthChecks::start(&gateway, config.gateway.health_interval)?;
    readiness.started();
    let server = endpoint::open(&config, &gateway)?;
    // Ignored: stdout may be closed.
    let _ = writeln!(std::io::stdout(), "listening on {}", server.url());
    if !common.quiet {
        print_err(format_args!("{} of {} servers are ready", gateway.ready_servers(), config.gateway.servers.len()));
    }
    while !signals.is_end_requested() {
        std::thread::sleep(TICK);
        watchdog::stand_in();
        if signals.take_reload() {
            print_err("SIGHUP ignored: certificate and tokens reload by themselves; other settings need a restart");
        }
    }
    readiness.block("shutdown", "the gateway is stopping");
    // A second is left of the time within which the process ends.
    let within = config.shutdown_timeout.saturating_sub(Duration::from_secs(1)).max(config.shutdown_timeout / 2);
    server.drain_within(within);
    drop(checks);
    Ok(())
}

/// Returns whether requests to an authority, `HOST:PORT`, come to who listens on an address. Hosts that cannot be resolved
/// now are taken for others.
fn is_own(listen: &str, authority: &str) -> bool {
    let port = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port(listen).is_none_or(|own| own == 0 || port(authority) != Some(own)) {
        return false;
    }
    let resolve = |text: &str| text.to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
    let theirs = resolve(authority);
    let is_it = |own: &SocketAddr| {
        theirs.iter().any(|their| their.ip() == own.ip() || own.ip().is_unspecified() && their.ip().is_loopback())
    };
    listen == authority || resolve(listen).iter().any(is_it)
}

/// Returns the settings of the gateway.
fn settings(config: &Config) -> Result<GatewayConfig, Failure> {
    let section = &config.gateway;
    let servers = section.backends().expect("a config that was loaded has URLs of servers");
    if servers.is_empty() {
        let place = config.origin.place(&["gateway", "servers"]);
        return Err(Failure::Usage(format!(
            "{place}: error: gateway.servers has none; expected those to pass requests on to, such as \
             [\"http://127.0.0.1:8081\"]"
        )));
    }
    if let Some(at) = servers.iter().position(|server| is_own(&config.http.listen, server.authority())) {
        let place = config.origin.place(&["gateway", "servers"]);
        return Err(Failure::Usage(format!(
            "{place}: error: gateway.servers: entry {} is the gateway itself, which listens on {}; expected the servers \
             behind it",
            at + 1,
            config.http.listen
        )));
    }
    if config.grpc.listen.is_some() {
        let place = config.origin.place(&["grpc", "listen"]);
        return Err(Failure::Usage(format!("{place}: error: grpc.listen is given; a gateway passes on HTTP only")));
    }
    Ok(GatewayConfig {
        servers,
        policy: section.policy,
        entity: section.entity.clone(),
        timeout: config.http.request_timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_knows_itself_among_its_servers() {
        for (listen, server) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "localhost:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
        ] {
            assert!(is_own(listen, server), "{listen} {server}");
        }
        for (listen, server) in [
            ("127.0.0.1:8080", "127.0.0.1:8081"),
            ("127.0.0.1:8080", "10.0.0.1:8080"),
            ("127.0.0.1:0", "127.0.0.1:8080"),
        ] {
            assert!(!is_own(listen, server), "{listen} {server}");
        }
    }
}
