//! Roles and bearer tokens: what a request may do.
//!
//! Each role may have a file of tokens. A request for a route of that role must then carry one of them as
//! `Authorization: Bearer TOKEN` or, but for the role admin, as the password that a browser asks for; a role without a file is
//! open. A file is read again when it changes, at the latest after a second, so tokens are replaced without a restart. Tokens
//! are compared in a time that does not depend on where they differ, and are in no log and no error.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use parking_lot::Mutex;

use super::file_stamp::{CHECK, FileStamp};
use super::{RequestError, StartError};

/// The use of a route, for which it may take a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Probes: never a token.
    Open,
    /// Features, models, metrics.
    Read,
    /// Predictions.
    Predict,
    /// Moves of aliases.
    Admin,
}

impl Role {
    /// The roles that may have tokens.
    pub const ALL: [Role; 3] = [Role::Read, Role::Predict, Role::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Role::Open => "open",
            Role::Read => "read",
            Role::Predict => "predict",
            Role::Admin => "admin",
        }
    }
}

/// The tokens of all roles.
#[derive(Debug, Default)]
pub struct Tokens {
    files: Vec<(Role, TokenFile)>,
}

/// A file with a token a line.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    state: Mutex<TokenState>,
}

/// The tokens that a file had when it was read last.
struct TokenState {
    tokens: Arc<Vec<String>>,
    stamp: Option<FileStamp>,
    checked: Instant,
}

/// Shows no token.
impl std::fmt::Debug for TokenState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.tokens.len())
    }
}

impl Tokens {
    /// Reads the files of roles.
    ///
    /// # Errors
    /// If a file cannot be read, has no token, or has a line that is none.
    pub fn read(files: &[(Role, PathBuf)]) -> Result<Self, StartError> {
        let read = |(role, path): &(Role, PathBuf)| {
            let wrong = |why: String| StartError::Tokens { role: role.name(), path: path.display().to_string(), why };
            let (tokens, stamp) = read_tokens(path).map_err(wrong)?;
            let state = TokenState { tokens: Arc::new(tokens), stamp, checked: Instant::now() };
            Ok((*role, TokenFile { path: path.clone(), state: Mutex::new(state) }))
        };
        Ok(Tokens { files: files.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Returns whether a role needs a token.
    pub fn protects(&self, role: Role) -> bool {
        self.files.iter().any(|(known, _)| *known == role)
    }

    /// Checks whether a request may use a route of a role.
    ///
    /// # Errors
    /// If the role needs a token and the request has none that is known, or one of another role.
    pub fn check(&self, role: Role, headers: &HeaderMap) -> Result<(), RequestError> {
        if !self.protects(role) {
            return Ok(());
        }
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return Err(RequestError::NoToken(role.name())) };
        let token = bearer(value.as_bytes()).map(Cow::Borrowed);
        // A browser sends a password unasked, so moves of aliases do not take one.
        let token = token.or_else(|| password(value.as_bytes()).filter(|_| role != Role::Admin).map(Cow::Owned));
        let token = token.ok_or(RequestError::NoToken(role.name()))?;
        let roles: Vec<Role> = self.files.iter().filter(|(_, file)| file.has(&token)).map(|(role, _)| *role).collect();
        match roles.contains(&role) {
            true => Ok(()),
            false if roles.is_empty() => Err(RequestError::NoToken(role.name())),
            false => Err(RequestError::WrongRole(role.name())),
        }
    }
}

/// Checks that a request is for JSON by its own account: a web page cannot send such a one to another host unasked.
///
/// # Errors
/// If it has another `Content-Type`, or none.
pub fn check_json(headers: &HeaderMap) -> Result<(), RequestError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(RequestError::ContentType { found: value.to_owned(), expected: "application/json" })
    }
}

/// Returns the token of an `Authorization`; `None` if it is of another scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Returns the password of an `Authorization` as browsers send it, which is the token; `None` if it is of another scheme.
fn password(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked("Basic ".len())?;
    let decoded = scheme.eq_ignore_ascii_case(b"Basic ").then(|| BASE64.decode(encoded.trim_ascii()).ok())??;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

impl TokenFile {
    /// Returns whether a token is one of the file's, all of which are compared.
    fn has(&self, token: &[u8]) -> bool {
        let tokens = self.tokens();
        let found = tokens.iter().fold(0_u8, |found, known| black_box(found | u8::from(same(known.as_bytes(), token))));
        found == 1
    }

    /// Returns the tokens, read again if the file has changed. One that cannot be read keeps those that it had.
    fn tokens(&self) -> Arc<Vec<String>> {
        let mut state = self.state.lock();
        if state.checked.elapsed() >= CHECK {
            state.checked = Instant::now();
            let now = FileStamp::of(&self.path);
            if now != state.stamp {
                state.stamp = now;
                let path = self.path.display();
                match read_tokens(&self.path) {
                    Ok((tokens, stamp)) => {
                        tracing::info!("{path} has changed; its tokens are in force");
                        (state.tokens, state.stamp) = (Arc::new(tokens), stamp);
                    }
                    Err(why) => tracing::warn!("{path}: {why}; the tokens that it had stay in force"),
                }
            }
        }
        Arc::clone(&state.tokens)
    }
}

/// Returns whether two tokens are the same, in a time that depends on their lengths alone.
fn same(known: &[u8], given: &[u8]) -> bool {
    let differing = known.iter().zip(given).fold(0_u8, |differing, (a, b)| black_box(differing | (a ^ b)));
    known.len() == given.len() && differing == 0
}

/// Reads the tokens of a file. Empty lines and those that begin with `#` are skipped.
fn read_tokens(path: &Path) -> Result<(Vec<String>, Option<FileStamp>), String> {
    let before = FileStamp::of(path);
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut tokens = Vec::new();
    for (at, line) in lines {
        if !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("line {} is not a token; expected visible ASCII characters without spaces", at + 1));
        }
        tokens.push(line.to_owned());
    }
    if tokens.is_empty() {
        return Err("the file has no token; expected one a line".to_owned());
    }
    Ok((tokens, before))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
    }

    #[test]
    fn a_role_with_a_file_takes_its_tokens_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = [(Role::Read, file("read", "# ours\nr1\nr2\n")), (Role::Admin, file("admin", "a1\n\nr2"))];
        let tokens = Tokens::read(&files).unwrap();
        let status = |role, authorization: &str| {
            let checked = tokens.check(role, &headers(authorization));
            checked.map_or_else(|error| error.status().as_u16(), |()| 200)
        };
        for (role, authorization, expected) in [
            (Role::Read, "Bearer r1", 200),
            (Role::Read, "bearer  r2 ", 200),
            (Role::Admin, "Bearer r2", 200),
            (Role::Admin, "Bearer a1", 200),
            // Of somebody:r1 and somebody:a1.
            (Role::Read, "Basic c29tZWJvZHk6cjE=", 200),
            (Role::Admin, "Basic c29tZWJvZHk6YTE=", 401),
            (Role::Read, "Basic c29tZWJvZHk=", 401),
            (Role::Read, "Basic =", 401),
            (Role::Read, "Bearer a1", 403),
            (Role::Admin, "Bearer r1", 403),
            (Role::Admin, "Bearer r", 401),
            (Role::Admin, "Bearer ", 401),
            (Role::Admin, "Bearer", 401),
            (Role::Admin, "Basic a1", 401),
            (Role::Admin, "a1", 401),
            (Role::Predict, "Bearer nonsense", 200),
            (Role::Open, "nonsense", 200),
        ] {
            assert_eq!(status(role, authorization), expected, "{role:?} {authorization}");
        }
        assert!(matches!(tokens.check(Role::Read, &HeaderMap::new()), Err(RequestError::NoToken("read"))));
        assert!(!format!("{tokens:?}").contains("r1"));
    }

    #[test]
    fn a_file_without_tokens_is_refused_without_showing_any() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Tokens::read(&[(Role::Admin, path.clone())]).unwrap_err().to_string()
        };
        assert!(error("# none\n").contains("has no token"));
        let two = error("secret-1\nsecret 2\n");
        assert!(two.contains("line 2 is not a token") && !two.contains("secret"), "{two}");
        let missing = Tokens::read(&[(Role::Admin, folder.path().join("none"))]).unwrap_err().to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn only_json_by_its_own_account_is_json() {
        let check = |value: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]);
            check_json(&headers).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8"));
        assert!(!check("text/plain") && !check("application/x-www-form-urlencoded") && !check("application/jsonp"));
        assert!(check_json(&HeaderMap::new()).is_err());
    }
}
