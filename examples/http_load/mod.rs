//! HTTP clients that measure a server of this machine: a closed loop for its rate, and an open loop for its latency.

#![allow(dead_code, reason = "an example uses a part")]

#[path = "../processor_time/mod.rs"]
mod processor_time;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

/// Times from requests to their answers, ascending.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    fn of(mut latencies: Vec<Duration>) -> Latencies {
        latencies.sort_unstable();
        Latencies(latencies)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that this share of the answers does not exceed, in ms. There must be an answer.
    pub fn quantile(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }
}

/// Sends the requests in turn over some connections for some time. Each connection sends its next request when it has the
/// answer to the last.
pub fn closed_loop(addr: SocketAddr, requests: &[Vec<u8>], connections: usize, time: Duration) -> Latencies {
    let requests: Arc<[Vec<u8>]> = requests.into();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let end = Instant::now() + time;
        let ask = |first: usize| {
            let requests = requests.clone();
            async move {
                let mut stream = tokio::net::TcpStream::connect(addr).await.expect("a connection");
                stream.set_nodelay(true).expect("an open socket");
                let (mut latencies, mut answer) = (Vec::new(), PartialAnswer::default());
                loop {
                    let begun = Instant::now();
                    if begun >= end {
                        return latencies;
                    }
                    let request = &requests[(first + latencies.len()) % requests.len()];
                    stream.write_all(request).await.expect("an open connection");
                    answer.clear();
                    while !answer.is_whole() {
                        let read = stream.read(answer.room()).await.expect("an open connection");
                        answer.received(read);
                    }
                    latencies.push(begun.elapsed());
                }
            }
        };
        let tasks: Vec<_> = (0..connections).map(|index| tokio::spawn(ask(index * 16))).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.expect("asking does not panic"));
        }
        Latencies::of(latencies)
    })
}

/// Sends the requests in turn at a fixed rate for some time. A request that is due while all connections wait for answers
/// is sent when one is free. Latencies are measured from when a request was due, so a stall of the server counts for
/// every request that should have been sent during it. The client uses a whole core.
pub fn open_loop(addr: SocketAddr, requests: &[Vec<u8>], connections: usize, rate: f64, time: Duration) -> Latencies {
    let mut idle: Vec<TcpStream> = (0..connections).map(|_| connect(addr)).collect();
    let mut busy: VecDeque<Exchange> = VecDeque::new();
    let mut spare: Vec<PartialAnswer> = Vec::new();
    let (begun, total) = (Instant::now(), (rate * time.as_secs_f64()) as usize);
    let (mut sent, mut latencies) = (0, Vec::with_capacity(total));
    while latencies.len() < total {
        let due = begun + Duration::from_secs_f64(sent as f64 / rate);
        if sent < total
            && Instant::now() >= due
            && let Some(mut stream) = idle.pop()
        {
            send(&mut stream, &requests[sent % requests.len()]);
            let mut answer = spare.pop().unwrap_or_default();
            answer.clear();
            busy.push_back(Exchange { stream, due, answer });
            sent += 1;
        }
        let Some(mut exchange) = busy.pop_front() else { continue };
        if exchange.poll() {
            latencies.push(exchange.due.elapsed());
            idle.push(exchange.stream);
            spare.push(exchange.answer);
        } else {
            busy.push_back(exchange);
        }
    }
    Latencies::of(latencies)
}

/// Seconds of processor time that the thread of this name has had.
pub fn thread_seconds(name: &str) -> f64 {
    processor_time::of_thread(name).as_secs_f64()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("a connection");
    stream.set_nodelay(true).expect("an open socket");
    stream.set_nonblocking(true).expect("an open socket");
    stream
}

/// Sends a request, which fits the buffer of an idle connection unless it is large.
fn send(stream: &mut TcpStream, request: &[u8]) {
    let mut rest = request;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("a connection broke: {error}"),
        }
    }
}

/// A request that was sent, and as much of its answer as there is.
struct Exchange {
    stream: TcpStream,
    due: Instant,
    answer: PartialAnswer,
}

impl Exchange {
    /// Reads what has come. Returns whether the answer is whole.
    fn poll(&mut self) -> bool {
        match self.stream.read(self.answer.room()) {
            Ok(read) => {
                self.answer.received(read);
                self.answer.is_whole()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("a connection broke: {error}"),
        }
    }
}

/// The beginning of an answer that has a `content-length`.
#[derive(Default)]
struct PartialAnswer {
    bytes: Vec<u8>,
    read: usize,
    /// The length of the whole answer, once its head is there.
    whole: Option<usize>,
}

impl PartialAnswer {
    fn clear(&mut self) {
        (self.read, self.whole) = (0, None);
    }

    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.read + 4096 {
            self.bytes.resize((self.bytes.len() * 2).max(16 << 10), 0);
        }
        &mut self.bytes[self.read..]
    }

    fn received(&mut self, count: usize) {
        assert!(count > 0, "the server closed a connection");
        self.read += count;
        if self.whole.is_none() {
            self.whole = whole_length(&self.bytes[..self.read]);
        }
    }

    fn is_whole(&self) -> bool {
        self.whole.is_some_and(|length| self.read >= length)
    }
}

/// The length of an answer with its head, if the head is whole. The status must be 200.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..head]).expect("heads are text");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + 4 + length.expect("a content-length"))
}
