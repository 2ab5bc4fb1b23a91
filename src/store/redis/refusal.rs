//! Commands that a server refuses: those that concern one key, after which the others go on, and those that concern the
//! server, which is tried again later.

use redis::RedisError;

/// A command of a pipeline that the server refused.
#[derive(Debug)]
pub struct RefusedCommand {
    /// The position of the command.
    pub command: usize,
    pub error: RedisError,
}

/// The effect of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The key holds another type than a hash.
    WrongType,
    /// The key cannot be written here.
    Key,
    /// The server accepts no writes at present, or not all.
    Server,
}

/// Codes of errors that concern the server. All others concern one key: it belongs to another node (`MOVED`, `ASK`), say, or
/// the user may not write it (`NOPERM`).
const SERVER_CODES: [&str; 10] =
    ["OOM", "READONLY", "LOADING", "MISCONF", "BUSY", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOAUTH"];

impl RefusedCommand {
    /// Returns the code of the error: its first word.
    pub fn code(&self) -> &str {
        self.error.code().unwrap_or("ERR")
    }

    pub fn kind(&self) -> RefusalKind {
        match self.code() {
            "WRONGTYPE" => RefusalKind::WrongType,
            code if SERVER_CODES.contains(&code) => RefusalKind::Server,
            _ => RefusalKind::Key,
        }
    }
}

impl From<RefusedCommand> for super::RedisError {
    fn from(refused: RefusedCommand) -> Self {
        super::RedisError::Refused { code: refused.code().to_owned(), source: refused.error }
    }
}

/// Returns whether an error is an answer of the server, and not a failure to reach it.
pub fn is_refused(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

/// Returns whether a key holds another type than the command is for.
pub fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}
