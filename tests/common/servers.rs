//! Real servers as child processes of a test, each on a free port and in a folder of its own. They end with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use tempfile::TempDir;

/// The longest time to wait for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds; `what` describes it in the panic that ends the wait.
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    assert!(holds_in_time(is_so), "not within {PATIENCE:?}: {what}");
}

/// Waits until a condition holds. Returns false if it does not within [`PATIENCE`].
pub fn holds_in_time(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() >= PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Returns ports that nothing listens on. They are below the range that the system assigns ports from, so they are still
/// free when a server starts, or starts again.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let below_the_systems = || rand::rng().random_range(20_000..32_000);
    let listen = |_| (0..1000).find_map(|_| TcpListener::bind(("127.0.0.1", below_the_systems())).ok());
    let listeners: [TcpListener; N] = std::array::from_fn(|index| listen(index).expect("a port is free"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("it listens").port())
}

/// A program that is killed when it is dropped.
pub struct Program(pub Child);

impl Program {
    /// # Panics
    /// If it is not installed; the message says how to install it.
    pub fn start(command: &mut Command) -> Program {
        let name = Path::new(command.get_program()).display().to_string();
        let child = command.stdin(Stdio::null()).spawn();
        Program(child.unwrap_or_else(|error| panic!("{name} cannot be started ({error}); tests/setup installs it")))
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that listens on one port.
pub struct Server {
    pub port: u16,
    folder: TempDir,
    program: Option<Program>,
}

impl Server {
    /// A Redis server that keeps nothing on disk.
    pub fn redis() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let [port] = free_ports();
        let mut server = Server { port, folder, program: None };
        server.start();
        server
    }

    /// Starts it again, empty.
    pub fn start(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string()]);
        command.arg("--dir").arg(self.folder.path()).stdout(Stdio::null());
        self.program = Some(Program::start(&mut command));
        let program = self.program.as_mut().expect("just started");
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("redis-server listens", || {
            assert!(!program.has_ended(), "redis-server ended on port {}", address.port());
            TcpStream::connect(address).is_ok()
        });
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program = None;
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).and_then(|client| client.get_connection()).expect("the server answers")
    }
}
