//! The thread of a replica that reads from Redis.
//!
//! It has one connection and answers all requests that wait at a time with one round trip: the more come, the more a
//! round trip is for. Each is read in one transaction with the state that the run has written, so that it is known to
//! be of the replica's definition and complete. While Redis cannot be read, requests are refused at once with the
//! reason, and connecting is tried again with pauses.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use redis::{Client, Connection, FromRedisValue, Pipeline, Value, pipe};
use tokio::sync::oneshot;

use super::replica_layout::{DEFINITION, NEWEST, READ, WATERMARK, WRITER, WRITTEN};
use crate::secret;

/// The timeout for connecting.
const CONNECT: Duration = Duration::from_secs(1);
/// The timeout for reading from the connection.
const ANSWER: Duration = Duration::from_secs(2);
/// The interval at which the state is read while there are no requests.
const CHECK: Duration = Duration::from_millis(250);
/// The most requests of a round trip.
const BATCH: usize = 256;
/// The first and the longest pause before Redis is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The keys that are to be read for one request.
#[derive(Debug)]
pub struct RawRequest {
    /// Keys of strings.
    pub values: Vec<String>,
    /// Fields of hashes.
    pub fields: Vec<RawFields>,
    /// Hashes all of whose values are wanted if they are not more than this.
    pub all: Vec<RawRows>,
    pub answer: oneshot::Sender<Result<RawAnswer, String>>,
}

/// Fields of a hash.
#[derive(Debug)]
pub struct RawFields {
    pub key: String,
    pub fields: Vec<Vec<u8>>,
}

/// A hash all of whose values are wanted.
#[derive(Debug)]
pub struct RawRows {
    pub key: String,
    pub most: usize,
}

/// The values that were read for one request.
#[derive(Debug, Default)]
pub struct RawAnswer {
    pub state: RawState,
    pub values: Vec<Option<Vec<u8>>>,
    /// By hash, the values of its fields.
    pub fields: Vec<Vec<Option<Vec<u8>>>>,
    /// By hash, all values, or the number of them if that is too large.
    pub all: Vec<Result<Vec<Vec<u8>>, usize>>,
}

/// The state that the run has written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawState {
    pub writer: Option<String>,
    pub definition: Option<String>,
    pub watermark: Option<String>,
    pub newest: Option<String>,
    pub read: Option<String>,
    pub written: Option<String>,
}

/// A function of the state, or of the reason why it cannot be read.
pub type StateObserver = Box<dyn Fn(Result<&RawState, &str>) + Send>;

/// The state of the thread.
pub struct ReplicaReader {
    pub client: Client,
    /// The key of the hash with the state.
    pub state: String,
    pub requests: Receiver<RawRequest>,
    /// Called each time that the state is read, or cannot be.
    pub observe: StateObserver,
}

impl ReplicaReader {
    /// Reads until there can be no more requests.
    pub fn run(self) {
        let mut pause = PAUSE.0;
        loop {
            let Err(error) = self.serve(&mut pause) else { return };
            let reason = reason(&error);
            (self.observe)(Err(&reason));
            // Requests that come during the pause are refused.
            let until = Instant::now() + pause;
            loop {
                match self.requests.recv_deadline(until) {
                    Ok(request) => drop(request.answer.send(Err(reason.clone()))),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Reads over one connection until it fails, or until there can be no more requests. Resets `pause` once it has read.
    fn serve(&self, pause: &mut Duration) -> redis::RedisResult<()> {
        let mut connection = self.client.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        let mut batch = Vec::new();
        loop {
            match self.answer(&mut connection, &mut batch) {
                Ok(state) => (self.observe)(Ok(&state)),
                Err(error) => {
                    let reason = reason(&error);
                    batch.into_iter().for_each(|request| drop(request.answer.send(Err(reason.clone()))));
                    return Err(error);
                }
            }
            *pause = PAUSE.0;
            match self.requests.recv_timeout(CHECK) {
                Ok(request) => batch.push(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            batch.extend(self.requests.try_iter().take(BATCH - batch.len().min(BATCH)));
            // No request waits for these any more.
            batch.retain(|request| !request.answer.is_closed());
        }
    }

    /// Answers the requests of a batch, which is empty then. Returns the state.
    fn answer(&self, connection: &mut Connection, batch: &mut Vec<RawRequest>) -> redis::RedisResult<RawState> {
        let mut asked = pipe();
        asked.atomic().cmd("HMGET").arg(&self.state).arg(&[WRITER, DEFINITION, WATERMARK, NEWEST, READ, WRITTEN]);
        batch.iter().for_each(|request| ask(&mut asked, request));
        let mut found = asked.query::<Vec<Value>>(connection)?.into_iter();
        let mut next = move || found.next().unwrap_or(Value::Nil);
        let [writer, definition, watermark, newest, read, written] = <[Option<String>; 6]>::from_redis_value(next())?;
        let state = RawState { writer, definition, watermark, newest, read, written };
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch.iter() {
            let mut answer = RawAnswer { state: state.clone(), ..RawAnswer::default() };
            if !request.values.is_empty() {
                answer.values = FromRedisValue::from_redis_value(next())?;
            }
            for _ in &request.fields {
                answer.fields.push(FromRedisValue::from_redis_value(next())?);
            }
            for rows in &request.all {
                let count: usize = FromRedisValue::from_redis_value(next())?;
                answer.all.push(if count > rows.most { Err(count) } else { Ok(Vec::new()) });
            }
            answers.push(answer);
        }
        self.read_all(connection, batch, &mut answers)?;
        for (request, answer) in batch.drain(..).zip(answers) {
            // Ignored: the request may have been given up.
            let _ = request.answer.send(Ok(answer));
        }
        Ok(state)
    }

    /// Reads the hashes all of whose values are wanted and which are small enough.
    fn read_all(
        &self,
        connection: &mut Connection,
        batch: &[RawRequest],
        answers: &mut [RawAnswer],
    ) -> redis::RedisResult<()> {
        for (request, answer) in batch.iter().zip(answers) {
            for (rows, found) in request.all.iter().zip(&mut answer.all) {
                if found.is_ok() {
                    *found = Ok(redis::cmd("HVALS").arg(&rows.key).query(connection)?);
                }
            }
        }
        Ok(())
    }
}

/// Returns the reason why requests are refused. A Redis error says the same as its source.
fn reason(error: &redis::RedisError) -> String {
    if error.is_timeout() {
        return "Redis cannot be read: it does not answer in time".to_owned();
    }
    format!("Redis cannot be read: {}", secret::masked(&error.to_string()))
}

/// Appends the commands that read what a request wants.
fn ask(asked: &mut Pipeline, request: &RawRequest) {
    if !request.values.is_empty() {
        asked.cmd("MGET").arg(&request.values);
    }
    for RawFields { key, fields } in &request.fields {
        asked.cmd("HMGET").arg(key).arg(fields);
    }
    request.all.iter().for_each(|rows| _ = asked.cmd("HLEN").arg(&rows.key));
}
