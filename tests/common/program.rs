//! A run of the program that is observed while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Returns a command for the program in which no file may grow beyond `kib` KiB: the system fails such writes, as on a full
/// disk. Arguments are added by the caller.
pub fn limited(kib: u64) -> Command {
    let mut command = Command::new("bash");
    let script = format!("ulimit -S -f {kib}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_tidemill"));
    command
}

/// A started program.
pub struct Run {
    child: Child,
    url: String,
    address: String,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    /// Starts the program and waits until it listens.
    pub fn start(command: &mut Command) -> Run {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, keep) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *keep.lock().unwrap() += &format!("{line}\n");
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url: String = url.unwrap_or_else(|| panic!("{line:?}: {}", said.lock().unwrap()));
        let address = url.split_once("://").expect("it is a URL").1.to_owned();
        Run { child, url, address, said, reader: Some(reader) }
    }

    /// Returns the URL of its endpoint.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Connects to its endpoint.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Returns the response to a GET, with its head.
    pub fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Returns the sum of a metric's samples whose labels contain this text.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = self.get("/metrics");
        let samples = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Returns whether it has written this to stderr.
    pub fn says(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }

    /// Removes the limit that it was started with.
    pub fn unlimit(&self) {
        let id = self.child.id().to_string();
        let freed = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &id]).status();
        assert!(freed.expect("prlimit is installed").success());
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Pauses all of its threads until it receives `CONT`.
    pub fn hold_up(&self) {
        self.signal("STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        let stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        while !std::fs::read_dir(&threads).unwrap().all(stopped) {
            std::thread::yield_now();
        }
    }

    /// Sends `TERM`; the program must end with exit code 0. Returns its stderr.
    pub fn stop(self) -> String {
        self.signal("TERM");
        self.ends(0)
    }

    /// Waits until it ends, with this exit code, and returns its stderr.
    pub fn ends(mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        // The last lines may still be on their way.
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let said = self.said.lock().unwrap().clone();
        assert_eq!(status.code(), Some(code), "{said}");
        said
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
