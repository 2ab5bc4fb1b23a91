//! The server: a listener on the same port for each serving thread, and how they stop.

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

use super::connection::{REFUSAL, Roster, SWEEPS, refusal};
use super::service::{Limits, Service};
use super::{RequestError, Route, StartError};

/// Where and within which limits to serve.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    pub listen: String,
    pub threads: usize,
    pub max_body_bytes: usize,
    /// How long a client may take to send a request, and a connection may idle.
    pub request_timeout: Duration,
    pub max_connections: usize,
}

/// How long requests may go on once the server is to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// The pause after the system had no more connections to give.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Connections that may be told, on each thread at a time, that there are too many.
const REFUSALS: usize = 64;

/// Threads for reading old versions from the registry, for each serving thread.
const REGISTRY_READERS: usize = 2;

/// A running endpoint. Dropping it stops it too, without waiting.
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

    /// Accepts nothing more, answers the requests that have come, and ends; at the latest after some seconds.
    pub fn drain(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            thread.join().expect("a serving thread does not panic");
        }
    }
}

/// Starts to serve on threads of their own.
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
        let core = Core {
            service: service.clone(),
            limits: Limits { body_bytes: endpoint.max_body_bytes, body_time: endpoint.request_timeout },
            most: endpoint.max_connections,
            sweep: (endpoint.request_timeout / SWEEPS).max(Duration::from_millis(1)),
            open: open.clone(),
            refusing: Arc::default(),
        };
        let stopped = stopped.clone();
        let thread = std::thread::Builder::new().name(format!("serve-{index}"));
        threads.push(thread.spawn(move || run(&runtime, listener, core, stopped)).map_err(StartError::Thread)?);
    }
    Ok(Server { addr, stop, threads })
}

/// As many listeners on one port. The first is bound alone, so that a port that is in use is noticed.
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

/// What one serving thread has.
struct Core {
    service: Arc<Service>,
    limits: Limits,
    /// The most connections, of all threads together.
    most: usize,
    sweep: Duration,
    open: Arc<AtomicUsize>,
    refusing: Arc<AtomicUsize>,
}

fn run(runtime: &Runtime, listener: StdListener, core: Core, mut stopped: watch::Receiver<bool>) {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("the runtime has a driver for sockets");
        let mut roster = Roster::default();
        let mut sweep = interval(core.sweep);
        // Where the system had no time for this thread, neither have connections been heard: nothing is made up for.
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // An error is that the server was dropped.
                _ = stopped.changed() => break,
                _ = sweep.tick() => roster.sweep(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => core.admit(stream, &mut roster),
                    Err(_) => sleep(EXHAUSTED).await,
                },
            }
        }
        drop(listener);
        roster.finish();
        let deadline = Instant::now() + DRAIN;
        while !roster.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
    });
}

impl Core {
    fn admit(&self, stream: TcpStream, roster: &mut Roster) {
        if self.open.load(Relaxed) < self.most {
            // Without it, small answers would only be slower.
            let _ = stream.set_nodelay(true);
            roster.admit(stream, self.service.clone(), self.limits, &self.open);
            return;
        }
        if self.refusing.load(Relaxed) < REFUSALS {
            let refusing = self.refusing.clone();
            refusing.fetch_add(1, Relaxed);
            let error = RequestError::TooManyConnections;
            self.service.count(Route::Unknown, error.status().as_u16(), Duration::ZERO);
            let answer = refusal(&error.to_string());
            tokio::spawn(async move {
                let _ = timeout(REFUSAL, refuse(stream, &answer)).await;
                refusing.fetch_sub(1, Relaxed);
            });
        }
    }
}

/// Waits for the beginning of a request, since an answer before it could be lost, and answers it.
async fn refuse(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}
