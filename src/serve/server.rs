//! The server: serving threads with a listener each on the same port, their start and their end.

use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::StartError;
use super::admission::ConnectionLimits;
use super::body::Limits;
use super::budget::BodyBudget;
use super::connection::{Connections, SWEEPS};
#[cfg(feature = "grpc")]
use super::grpc::GrpcService;
use super::hosts::AllowedHosts;
use super::request_service::RequestService;
use super::rules::ConnectionRules;
use super::service::Service;
use super::tls::{ServerTls, TlsFiles};
use super::tokens::{Role, Tokens};
use crate::metrics::Metrics;
use crate::threads::{self, Thread};

/// The address and the limits of an endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Serving threads; at least one is started.
    pub threads: usize,
    /// The largest body, as sent and decompressed.
    pub max_body_bytes: usize,
    /// The most bytes of bodies that all connections together hold, but for the first 16 KiB of each. At least twice
    /// the largest body, since one in gzip is held as sent and decompressed.
    pub max_total_body_bytes: usize,
    /// The longest time that a client may take to send a request, and that a connection may be inactive.
    pub request_timeout: Duration,
    /// The most connections of all threads together.
    pub max_connections: usize,
    /// The most connections of one client: an address of IPv4, or a network of 64 bits of IPv6.
    pub max_connections_per_address: usize,
    /// Names that a request on a loopback address may have as its host, beside those of a loopback address.
    pub allowed_hosts: Vec<String>,
    /// The files with the tokens of roles.
    pub tokens: Vec<(Role, PathBuf)>,
    /// The certificate and its key; `None` for connections that are not encrypted.
    pub tls: Option<TlsFiles>,
}

/// The time that requests may still take once the server stops, unless it is told another.
const DRAIN: Duration = Duration::from_secs(5);

/// The pause after the system failed to accept a connection, as when it is out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Threads that read old versions from the registry, for each serving thread.
const REGISTRY_READERS: usize = 2;

/// A running endpoint. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    is_encrypted: bool,
    shared: SharedRules,
    /// Sends the time until which open requests are still answered.
    stop: watch::Sender<Option<Instant>>,
    threads: Vec<Thread<()>>,
}

/// The rules and limits of all connections of a server, whatever they speak.
#[derive(Clone, Debug)]
struct SharedRules {
    /// Serving threads of each address.
    threads: usize,
    limits: Limits,
    hosts: Arc<AllowedHosts>,
    tokens: Arc<Tokens>,
    /// Limits of the connections of all threads together.
    admission: Arc<ConnectionLimits>,
    /// The time between sweeps over the connections of a thread.
    sweep: Duration,
}

/// An address to listen on, and the certificate of its connections.
#[derive(Debug)]
struct Listening {
    /// The beginning of the names of its threads.
    name: &'static str,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Server {
    /// The address listened on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the endpoint.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_encrypted { "https" } else { "http" }, self.addr)
    }

    /// Stops accepting, answers the requests that have arrived, and returns, at the latest after some seconds.
    pub fn drain(self) {
        self.drain_within(DRAIN);
    }

    /// Stops accepting, answers the requests that have arrived, for no longer than `within`, and returns.
    pub fn drain_within(mut self, within: Duration) {
        self.threads.iter().for_each(Thread::expect_end);
        self.stop.send_replace(Some(Instant::now() + within));
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("a serving thread does not panic");
        }
    }
}

#[cfg(feature = "grpc")]
impl Server {
    /// Answers gRPC as well, at an address of its own, under the same rules and limits. Returns the address with the real
    /// port.
    ///
    /// # Errors
    /// If the address is wrong or taken, the certificate cannot be read, or a thread cannot be started.
    pub fn open_grpc(
        &mut self,
        listen: &str,
        endpoint: &Endpoint,
        service: &Arc<Service>,
    ) -> Result<SocketAddr, StartError> {
        let service = Arc::new(GrpcService::new(service.clone()));
        let tls = read_tls::<GrpcService>(endpoint, service.metrics())?;
        let listening = Listening { name: "grpc", address: resolve("grpc.listen", listen)?, tls };
        self.listen(listening, &service)
    }
}

impl Server {
    /// Listens on an address, on threads of its own. Returns the address with the real port.
    fn listen<S: RequestService>(&mut self, at: Listening, service: &Arc<S>) -> Result<SocketAddr, StartError> {
        let Listening { name, address, tls } = at;
        let tls = tls.map(Arc::new);
        let (listeners, addr) =
            listen(address, self.shared.threads).map_err(|source| StartError::Listen { address, source })?;
        for (index, listener) in listeners.into_iter().enumerate() {
            let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(REGISTRY_READERS).build();
            let runtime = runtime.map_err(StartError::Thread)?;
            let thread = ServingThread { service: service.clone(), shared: self.shared.clone(), tls: tls.clone() };
            let stopped = self.stop.subscribe();
            let run = move || thread.run(&runtime, listener, stopped);
            self.threads.push(threads::spawn(format!("{name}-{index}"), run).map_err(StartError::Thread)?);
        }
        Ok(addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the channel is closed, by which they end.
        self.threads.iter().for_each(Thread::expect_end);
    }
}

/// The address of an endpoint, and the contents of its files.
#[derive(Debug)]
struct EndpointFiles {
    address: SocketAddr,
    tokens: Tokens,
    tls: Option<ServerTls>,
}

impl EndpointFiles {
    fn read<S: RequestService>(endpoint: &Endpoint, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let address = resolve("http.listen", &endpoint.listen)?;
        let tokens = Tokens::read(&endpoint.tokens)?;
        if !address.ip().to_canonical().is_loopback() && !tokens.protects(Role::Admin) {
            return Err(StartError::OpenAdmin(address));
        }
        Ok(EndpointFiles { address, tokens, tls: read_tls::<S>(endpoint, metrics)? })
    }
}

/// Reads the certificate of an endpoint for what a service speaks.
fn read_tls<S: RequestService>(endpoint: &Endpoint, metrics: &Arc<Metrics>) -> Result<Option<ServerTls>, StartError> {
    endpoint.tls.as_ref().map(|files| ServerTls::read(files, S::HTTP.alpn(), metrics)).transpose()
}

/// Returns the first address of a value of a config key.
///
/// # Errors
/// If it is no `ADDRESS:PORT`.
pub fn resolve(key: &'static str, listen: &str) -> Result<SocketAddr, StartError> {
    let wrong = || StartError::Address { key, found: listen.to_owned() };
    listen.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)
}

/// Checks whether an address can be listened on now.
///
/// # Errors
/// If it is wrong, or cannot be bound.
pub fn check_port(key: &'static str, text: &str) -> Result<(), StartError> {
    let address = resolve(key, text)?;
    listen(address, 1).map(drop).map_err(|source| StartError::Listen { address, source })
}

/// Checks whether an endpoint could be started, but for its port.
///
/// # Errors
/// If the address is wrong, tokens or the certificate cannot be read, or the admin routes would be open to others.
pub fn check(endpoint: &Endpoint) -> Result<(), StartError> {
    EndpointFiles::read::<Service>(endpoint, &Metrics::new("")).map(drop)
}

/// Starts an endpoint on threads of its own.
///
/// # Errors
/// As [`check`], or if the port is taken or a thread cannot be started.
pub fn start<S: RequestService>(endpoint: &Endpoint, service: &Arc<S>) -> Result<Server, StartError> {
    let EndpointFiles { address, tokens, tls } = EndpointFiles::read::<S>(endpoint, service.metrics())?;
    let shared = SharedRules {
        threads: endpoint.threads.max(1),
        limits: Limits {
            body_bytes: endpoint.max_body_bytes,
            body_time: endpoint.request_timeout,
            bodies: BodyBudget::new(endpoint.max_total_body_bytes),
        },
        hosts: Arc::new(AllowedHosts::new(&endpoint.allowed_hosts)),
        tokens: Arc::new(tokens),
        admission: ConnectionLimits::new(endpoint.max_connections, endpoint.max_connections_per_address),
        sweep: (endpoint.request_timeout / SWEEPS).max(Duration::from_millis(1)),
    };
    let (stop, threads) = (watch::Sender::new(None), Vec::new());
    let mut server = Server { addr: address, is_encrypted: tls.is_some(), shared, stop, threads };
    server.addr = server.listen(Listening { name: "serve", address, tls }, service)?;
    Ok(server)
}

/// Opens `count` listeners on one port and returns its address. A first socket is bound without sharing, so that a port
/// in use is an error.
fn listen(address: SocketAddr, count: usize) -> std::io::Result<(Vec<StdListener>, SocketAddr)> {
    let alone = bind(address, false)?;
    let addr = alone.local_addr()?.as_socket().unwrap_or(address);
    if count == 1 {
        return Ok((vec![opened(alone)?], addr));
    }
    drop(alone);
    let sockets: std::io::Result<Vec<Socket>> = (0..count).map(|_| bind(addr, true)).collect();
    let listeners: std::io::Result<Vec<StdListener>> = sockets?.into_iter().map(opened).collect();
    Ok((listeners?, addr))
}

fn bind(address: SocketAddr, shared: bool) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn opened(socket: Socket) -> std::io::Result<StdListener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The state of one serving thread.
struct ServingThread<S> {
    service: Arc<S>,
    shared: SharedRules,
    tls: Option<Arc<ServerTls>>,
}

impl<S: RequestService> ServingThread<S> {
    /// Accepts connections until the server stops, then waits for them to end.
    fn run(self, runtime: &Runtime, listener: StdListener, mut stopped: watch::Receiver<Option<Instant>>) {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("the runtime has a driver for sockets");
            let mut connections = Connections::default();
            let mut sweep = interval(self.shared.sweep);
            // A thread that was not scheduled did not read from its connections either, so missed sweeps do not count.
            sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    // An error means that the server was dropped.
                    _ = stopped.changed() => break,
                    _ = sweep.tick() => {
                        connections.sweep();
                        // A certificate that cannot be used is logged even if no client connects.
                        self.tls.iter().for_each(|tls| drop(tls.newest()));
                    }
                    accepted = listener.accept() => match accepted {
                        Ok((stream, client)) => self.admit(stream, client.ip(), &mut connections),
                        Err(_) => sleep(EXHAUSTED).await,
                    },
                }
            }
            drop(listener);
            connections.finish();
            let deadline = *stopped.borrow();
            while !connections.is_empty() && deadline.is_some_and(|deadline| Instant::now() < deadline) {
                sleep(Duration::from_millis(5)).await;
            }
        });
    }

    /// Serves a connection; if there are too many, as one of the reserve.
    fn admit(&self, stream: TcpStream, client: IpAddr, connections: &mut Connections) {
        // On an error small answers are slower, nothing else.
        let _ = stream.set_nodelay(true);
        let is_local = stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        let SharedRules { limits, hosts, tokens, admission, .. } = &self.shared;
        let place = admission.admit(client);
        let rules = ConnectionRules {
            limits: limits.clone(),
            hosts: is_local.then(|| hosts.clone()),
            tokens: tokens.clone(),
            client,
            tls: self.tls.as_ref().map(|tls| tls.newest()),
            is_reserved: place.is_none(),
            activity: Arc::default(),
        };
        match place {
            Some(place) => connections.admit(stream, self.service.clone(), rules, place),
            None => connections.admit_reserved(stream, self.service.clone(), rules),
        }
    }
}
