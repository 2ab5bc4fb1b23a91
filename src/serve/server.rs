//! The server: serving threads with a listener each on the same port, their start and their end.

use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::body::Limits;
use super::connection::{Connections, REJECTION, SWEEPS, rejection};
use super::service::Service;
use super::{RequestError, StartError};

/// The address and the limits of an endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Serving threads; at least one is started.
    pub threads: usize,
    pub max_body_bytes: usize,
    /// The longest time that a client may take to send a request, and that a connection may be inactive.
    pub request_timeout: Duration,
    /// The most connections of all threads together.
    pub max_connections: usize,
}

/// The time that requests may still take once the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The pause after the system failed to accept a connection, as when it is out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The most connections being rejected at a time, on each thread. Further ones are closed without an answer.
const MAX_REJECTING: usize = 64;

/// Threads that read old versions from the registry, for each serving thread.
const REGISTRY_READERS: usize = 2;

/// A running endpoint. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// The address listened on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, answers the requests that have arrived, and returns, at the latest after some seconds.
    pub fn drain(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            thread.join().expect("a serving thread does not panic");
        }
    }
}

/// Starts an endpoint on threads of its own.
///
/// # Errors
/// If the address is wrong or taken, or a thread cannot be started.
pub fn start(endpoint: &Endpoint, service: &Arc<Service>) -> Result<Server, StartError> {
    let wrong = || StartError::Address(endpoint.listen.clone());
    let address = endpoint.listen.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)?;
    let (listeners, addr) =
        listen(address, endpoint.threads.max(1)).map_err(|source| StartError::Listen { address, source })?;
    let (stop, stopped) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(REGISTRY_READERS).build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let thread = ServingThread {
            service: service.clone(),
            limits: Limits { body_bytes: endpoint.max_body_bytes, body_time: endpoint.request_timeout },
            max_connections: endpoint.max_connections,
            sweep: (endpoint.request_timeout / SWEEPS).max(Duration::from_millis(1)),
            open: open.clone(),
            rejecting: Arc::default(),
        };
        let stopped = stopped.clone();
        let builder = std::thread::Builder::new().name(format!("serve-{index}"));
        threads.push(builder.spawn(move || thread.run(&runtime, listener, stopped)).map_err(StartError::Thread)?);
    }
    Ok(Server { addr, stop, threads })
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
struct ServingThread {
    service: Arc<Service>,
    limits: Limits,
    /// The most connections of all threads together.
    max_connections: usize,
    /// The time between sweeps over the connections.
    sweep: Duration,
    /// Connections of all threads together.
    open: Arc<AtomicUsize>,
    /// Connections that are being rejected on this thread.
    rejecting: Arc<AtomicUsize>,
}

impl ServingThread {
    /// Accepts connections until the server stops, then waits for them to end.
    fn run(self, runtime: &Runtime, listener: StdListener, mut stopped: watch::Receiver<bool>) {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("the runtime has a driver for sockets");
            let mut connections = Connections::default();
            let mut sweep = interval(self.sweep);
            // A thread that was not scheduled did not read from its connections either, so missed sweeps do not count.
            sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    // An error means that the server was dropped.
                    _ = stopped.changed() => break,
                    _ = sweep.tick() => connections.sweep(),
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => self.admit(stream, &mut connections),
                        Err(_) => sleep(EXHAUSTED).await,
                    },
                }
            }
            drop(listener);
            connections.finish();
            let deadline = Instant::now() + DRAIN;
            while !connections.is_empty() && Instant::now() < deadline {
                sleep(Duration::from_millis(5)).await;
            }
        });
    }

    /// Serves a connection, or rejects it if there are too many.
    fn admit(&self, stream: TcpStream, connections: &mut Connections) {
        if self.open.load(Relaxed) < self.max_connections {
            // On an error small answers are slower, nothing else.
            let _ = stream.set_nodelay(true);
            connections.admit(stream, self.service.clone(), self.limits, &self.open);
            return;
        }
        if self.rejecting.load(Relaxed) < MAX_REJECTING {
            let rejecting = self.rejecting.clone();
            rejecting.fetch_add(1, Relaxed);
            let error = RequestError::TooManyConnections;
            self.service.count_rejected(error.status().as_u16());
            let answer = rejection(&error.to_string());
            tokio::spawn(async move {
                let _ = timeout(REJECTION, reject(stream, &answer)).await;
                rejecting.fetch_sub(1, Relaxed);
            });
        }
    }
}

/// Waits for the beginning of a request, since an answer before it could be lost, and answers it.
async fn reject(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}
