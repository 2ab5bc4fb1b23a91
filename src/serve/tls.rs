//! TLS of the endpoint: its certificate, read again when it changes, and the handshake of a connection.
//!
//! Connections speak TLS 1.2 or 1.3. The files of the certificate and of its key are looked at when a
//! connection is accepted, at most once a second. If one has changed, new connections have the new pair, and open ones go
//! on. A pair that cannot be used, as while only one of the two has been replaced, is logged, and the one before it stays.
//!
//! Handshakes in progress are bounded by what bounds connections: they have a place among them, and end with the request
//! timeout. They are computed on the serving threads, so an endpoint that the public can reach wants a proxy before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::StartError;
use super::activity::WatchedStream;
use super::certificate_expiry::expiry;
use super::file_stamp::{CHECK, FileStamp};
use crate::metrics::Metrics;

/// The first byte of every connection of TLS: a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// The answer to a request that is not encrypted.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 55\r\n\
                     connection: close\r\n\r\n{\"error\":\"this port takes HTTPS; expected https://…\"}";

/// The files of a certificate and of its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub cert: PathBuf,
    /// The private key, without a password.
    pub key: PathBuf,
}

/// The certificate of an endpoint, kept up to date with its files.
pub struct ServerTls {
    files: TlsFiles,
    /// The name of the protocol that connections speak.
    alpn: &'static [u8],
    metrics: Arc<Metrics>,
    state: Mutex<TlsState>,
}

/// The certificate that is in force, and the files as they were when they were looked at last.
struct TlsState {
    config: Arc<ServerConfig>,
    stamps: [Option<FileStamp>; 2],
    checked: Instant,
}

/// The reason why a pair cannot be used.
struct Unusable {
    /// The config key of the file at fault.
    key: &'static str,
    path: PathBuf,
    why: String,
}

impl ServerTls {
    /// Reads the files. The metrics have the time at which the certificate expires.
    ///
    /// # Errors
    /// If one cannot be read, is not what it should be, or the two do not belong together.
    pub fn read(files: &TlsFiles, alpn: &'static [u8], metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let stamps = files.stamps();
        let config = files.config(alpn, metrics).map_err(|Unusable { key, path, why }| {
            let path = path.display().to_string();
            StartError::Tls { key, path, why }
        })?;
        let state = Mutex::new(TlsState { config, stamps, checked: Instant::now() });
        Ok(ServerTls { files: files.clone(), alpn, metrics: metrics.clone(), state })
    }

    /// Returns the certificate for a new connection, read again if its files have changed.
    pub fn newest(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock();
        if state.checked.elapsed() >= CHECK {
            state.checked = Instant::now();
            let stamps = self.files.stamps();
            if stamps != state.stamps {
                state.stamps = stamps;
                match self.files.config(self.alpn, &self.metrics) {
                    Ok(config) => {
                        tracing::info!("{} has changed; its certificate is in force", self.files.cert.display());
                        state.config = config;
                    }
                    Err(Unusable { key, path, why }) => {
                        let path = path.display();
                        tracing::warn!("http.tls.{key}: {path}: {why}; the certificate before it stays in force");
                    }
                }
            }
        }
        state.config.clone()
    }
}

/// Shows no key.
impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsFiles {
    fn stamps(&self) -> [Option<FileStamp>; 2] {
        [FileStamp::of(&self.cert), FileStamp::of(&self.key)]
    }

    /// Reads the files as the settings of connections.
    fn config(&self, alpn: &[u8], metrics: &Metrics) -> Result<Arc<ServerConfig>, Unusable> {
        let wrong = |key: &'static str, path: &Path, why: String| Unusable { key, path: path.to_owned(), why };
        let chain = read_chain(&self.cert).map_err(|why| wrong("cert", &self.cert, why))?;
        let private = read_key(&self.key).map_err(|why| wrong("key", &self.key, why))?;
        let expiry = expiry(&chain[0]);
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has suites of both versions");
        let config = builder.with_no_client_auth().with_single_cert(chain, private);
        let mut config = config.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let cert = self.cert.display();
                wrong("key", &self.key, format!("this is not the key of the certificate in {cert}"))
            }
            Error::General(_) => {
                wrong("key", &self.key, "this key cannot be used; expected RSA, ECDSA or Ed25519".to_owned())
            }
            error => wrong("cert", &self.cert, format!("the certificate cannot be used: {error}")),
        })?;
        config.alpn_protocols = vec![alpn.to_vec()];
        if let Some(expiry) = expiry {
            metrics.certificate_expires(expiry);
        }
        Ok(Arc::new(config))
    }
}

/// Reads the certificates of a file, the endpoint's own first.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("the file has no certificate; expected PEM".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("this is not valid PEM: {error}")),
    }
}

/// Reads the private key of a file. No error has a part of it.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let contains = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    if contains(b"BEGIN ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") {
        return Err(
            "the key has a password; expected one without, as `openssl pkey -in FILE -out KEY` writes it".into()
        );
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| "the file has no private key; expected PEM".to_owned())
}

/// Does the handshake of a connection; `None` if the client does not do its part. A request that is not encrypted is
/// answered with an error.
pub async fn handshake(tls: Arc<ServerConfig>, mut stream: WatchedStream) -> Option<TlsStream<WatchedStream>> {
    let mut first = [0];
    let arrived = stream.stream.peek(&mut first).await.ok()?;
    if arrived == 1 && first[0].is_ascii_uppercase() && first[0] != HANDSHAKE {
        let _ = stream.write_all(PLAIN.as_bytes()).await;
        let _ = stream.shutdown().await;
        return None;
    }
    TlsAcceptor::from(tls).accept(stream).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_plain_request_has_its_length() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).unwrap()["error"].is_string());
    }
}
