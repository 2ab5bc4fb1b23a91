//! A client of the endpoint: GET and POST of JSON, by HTTP or HTTPS, one request a connection.
//!
//! Requests are those of HTTP/1.0, so an answer is never chunked and ends with its connection, behind a proxy too.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Failure;
use super::config::Config;
use super::job_tls::{Trust, refused_certificate};
use crate::secret;

/// The longest time that a connection may take, and each read of an answer unless it is known to take longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer.
const MOST_BYTES: u64 = 256 << 20;

/// Letters of a segment of a path that need no encoding.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path, percent-encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The endpoint of a job.
#[derive(Clone, PartialEq, Eq)]
pub struct JobUrl {
    /// `HOST:PORT`
    authority: String,
    /// The beginning of every path, without a slash at its end.
    prefix: String,
    /// Sent with every request.
    token: Option<String>,
    /// The certificates taken from the endpoint; `None` for connections that are not encrypted.
    trust: Option<Trust>,
    /// The longest time that each read of an answer may take.
    patience: Duration,
}

/// Shows no token.
impl fmt::Debug for JobUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.prefix)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub body: serde_json::Value,
}

impl JobUrl {
    /// Returns the URL that was given, else that of a config's `http.listen`.
    ///
    /// # Errors
    /// If it is no URL of HTTP, or the config does not say the port.
    pub fn new(given: Option<&str>, config: impl FnOnce() -> Result<Config, Failure>) -> Result<Self, Failure> {
        match given {
            Some(url) => JobUrl::parse(url).ok_or_else(|| {
                Failure::Usage(format!("error: --url: {url:?} is not a valid URL; expected http://HOST:PORT"))
            }),
            None => {
                let config = config()?;
                let listen = &config.http.listen;
                let mut job = JobUrl::of_listen(listen).ok_or_else(|| {
                    Failure::Usage(format!("error: http.listen is {listen:?}; expected the job's address by --url"))
                })?;
                // The certificate may be for another name than that of the address, but it is known.
                job.trust = config.http.tls.files(&config.base).map(|files| Trust::Certificate(files.cert));
                Ok(job)
            }
        }
    }

    fn parse(url: &str) -> Option<Self> {
        let (rest, trust, port) = match url.strip_prefix("https://") {
            Some(rest) => (rest, Some(Trust::System), 443),
            None => (url.strip_prefix("http://")?, None, 80),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let is_plain =
            !authority.is_empty() && !authority.contains(['@', '?', '#', ' ']) && !path.contains(['?', '#', ' ']);
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        let prefix = path.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        is_plain.then_some(JobUrl { authority, prefix, token: None, trust, patience: PATIENCE })
    }

    /// The URL of an endpoint that listens on an address of this machine.
    fn of_listen(listen: &str) -> Option<Self> {
        let (host, port) = listen.rsplit_once(':')?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        let authority = format!("{host}:{port}");
        Some(JobUrl { authority, prefix: String::new(), token: None, trust: None, patience: PATIENCE })
    }

    /// Waits this long for each read of an answer.
    pub fn with_patience(self, patience: Duration) -> Self {
        JobUrl { patience, ..self }
    }

    fn scheme(&self) -> &'static str {
        if self.trust.is_some() { "https" } else { "http" }
    }

    /// Takes certificates that an authority of a file has signed, those of the file, and no others.
    ///
    /// # Errors
    /// If the endpoint is not asked by HTTPS, or the certificates cannot be read.
    pub fn with_authorities_of(mut self, file: &Path) -> Result<Self, Failure> {
        if self.trust.is_none() {
            return Err(Failure::Usage(format!("error: --ca-file: {self:?} has no certificate; expected https://")));
        }
        let trust = Trust::Authorities(file.to_owned());
        trust.check().map_err(|error| Failure::Usage(format!("error: --ca-file: {error:#}")))?;
        self.trust = Some(trust);
        Ok(self)
    }

    /// Sends the first token of a file with every request.
    ///
    /// # Errors
    /// If the file cannot be read, or has no token.
    pub fn with_token_of(mut self, file: &Path) -> Result<Self, Failure> {
        let label = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("error: --token-file: {label} cannot be read: {error}")))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let token = lines.next().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let token = token.ok_or_else(|| Failure::Usage(format!("error: --token-file: {label} has no token")))?;
        secret::keep(token);
        self.token = Some(token.to_owned());
        Ok(self)
    }

    /// Gets the JSON at a path, whose segments are encoded.
    ///
    /// # Errors
    /// If nothing answers, or not with JSON.
    pub fn get(&self, path: &str) -> anyhow::Result<HttpAnswer> {
        self.request(path, None)
    }

    /// Posts JSON to a path, whose segments are encoded.
    ///
    /// # Errors
    /// If nothing answers, or not with JSON.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<HttpAnswer> {
        self.request(path, Some(body))
    }

    /// Gets the text at a path.
    ///
    /// # Errors
    /// If nothing answers, or with another status than 200.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.exchange(&format!("{}\r\n", self.head(path, false))).with_context(|| self.unread(path))?;
        let (status, body) = split_answer(&answer).with_context(|| self.unread(path))?;
        match status {
            200 => Ok(String::from_utf8_lossy(body).into_owned()),
            status => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                // A job says what there is not.
                if status == 404 && !body["error"].is_string() {
                    return Err(anyhow!("{self:?} has no {path}, which each job has; is --url that of a job?"));
                }
                Err(HttpAnswer { status, body }.body().err().unwrap_or_else(|| anyhow!("status {status}")))
            }
        }
    }

    /// Returns what to say if a path cannot be read.
    fn unread(&self, path: &str) -> String {
        format!("{self:?}{path} cannot be read; does the job run, and is --url right?")
    }

    fn request(&self, path: &str, body: Option<&serde_json::Value>) -> anyhow::Result<HttpAnswer> {
        let head = self.head(path, body.is_some());
        let sent = match body.map(serde_json::Value::to_string) {
            Some(body) => {
                format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            None => format!("{head}\r\n"),
        };
        let answer = self.exchange(&sent).with_context(|| self.unread(path))?;
        parse_answer(&answer).with_context(|| self.unread(path))
    }

    /// Returns the beginning of a request.
    fn head(&self, path: &str, has_body: bool) -> String {
        let (method, JobUrl { authority, prefix, token, .. }) = (if has_body { "POST" } else { "GET" }, self);
        let token = token.as_ref().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        format!(
            "{method} {prefix}{path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\nConnection: close\r\n{token}"
        )
    }

    /// Sends a request and returns the bytes of the answer.
    fn exchange(&self, request: &str) -> anyhow::Result<Vec<u8>> {
        let stream = self.connect()?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let answer = match &self.trust {
            None => exchange_over(stream, request)?,
            Some(trust) => {
                let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
                let answer = exchange_over(trust.begin(host, stream)?, request);
                answer.map_err(|error| refused_certificate(&error).map_or_else(|| error.into(), anyhow::Error::msg))?
            }
        };
        if answer.len() as u64 > MOST_BYTES {
            bail!("the answer has more than {MOST_BYTES} bytes");
        }
        Ok(answer)
    }

    /// Connects to the first address that answers.
    fn connect(&self) -> anyhow::Result<TcpStream> {
        let mut failed = None;
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.map_or_else(|| anyhow!("{} has no address", self.authority), Into::into))
    }
}

impl HttpAnswer {
    /// Returns the body of an answer with status 200.
    ///
    /// # Errors
    /// If the job has refused the request, with its reason.
    pub fn body(self) -> anyhow::Result<serde_json::Value> {
        match self.status {
            200 => Ok(self.body),
            status => {
                let why = self.body["error"].as_str().map_or_else(|| format!("status {status}"), str::to_owned);
                Err(anyhow!("the job answers: {why}"))
            }
        }
    }
}

/// Sends a request and returns all that comes until the connection ends.
fn exchange_over(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(MOST_BYTES + 1).read_to_end(&mut answer) {
        // Some servers end TLS without saying so. A body that was cut is no JSON object.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        read => read.map(|_| answer),
    }
}

/// Returns the status and the body of an answer.
fn split_answer(answer: &[u8]) -> anyhow::Result<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("the server did not answer in HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    Ok((status.context("the server did not answer in HTTP")?, &answer[end + 4..]))
}

fn parse_answer(answer: &[u8]) -> anyhow::Result<HttpAnswer> {
    let (status, body) = split_answer(answer)?;
    let body =
        serde_json::from_slice(body).with_context(|| format!("the answer, with status {status}, is not JSON"))?;
    Ok(HttpAnswer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(authority: &str, prefix: &str) -> Option<JobUrl> {
        let (authority, prefix) = (authority.to_owned(), prefix.to_owned());
        Some(JobUrl { authority, prefix, token: None, trust: None, patience: PATIENCE })
    }

    #[test]
    fn a_url_has_a_host_and_may_have_a_port_and_a_path() {
        assert_eq!(JobUrl::parse("http://127.0.0.1:8080"), url("127.0.0.1:8080", ""));
        assert_eq!(JobUrl::parse("http://job/"), url("job:80", ""));
        assert_eq!(JobUrl::parse("http://[::1]:8080/mill/"), url("[::1]:8080", "/mill"));
        let encrypted = JobUrl { trust: Some(Trust::System), ..url("job:443", "/mill").unwrap() };
        assert_eq!(JobUrl::parse("https://job/mill"), Some(encrypted));
        for wrong in
            ["", "job:8080", "ftp://job", "https://", "http://", "http://a@job", "http://job/?x=1", "http:///x"]
        {
            assert_eq!(JobUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_on_all_addresses_is_asked_on_the_loopback_one() {
        assert_eq!(JobUrl::of_listen("0.0.0.0:8080"), url("127.0.0.1:8080", ""));
        assert_eq!(JobUrl::of_listen("[::]:8080"), url("[::1]:8080", ""));
        assert_eq!(JobUrl::of_listen("10.0.0.7:80"), url("10.0.0.7:80", ""));
        assert_eq!([JobUrl::of_listen("127.0.0.1:0"), JobUrl::of_listen("nowhere")], [None, None]);
    }

    #[test]
    fn an_answer_is_its_status_and_its_json() {
        let answer = parse_answer(b"HTTP/1.1 404 Not Found\r\na: b\r\n\r\n{\"error\":\"x\"}").unwrap();
        assert_eq!((answer.status, &answer.body["error"]), (404, &serde_json::json!("x")));
        for wrong in
            ["", "HTTP/1.1 200 OK", "SSH-2.0\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 ok\r\n\r\n{}"]
        {
            assert!(parse_answer(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_segment_keeps_no_letter_that_means_something_in_a_path() {
        assert_eq!(segment("a/b c?é-~"), "a%2Fb%20c%3F%C3%A9-~");
    }
}
