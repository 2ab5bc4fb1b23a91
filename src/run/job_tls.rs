//! TLS of a client of the endpoint: whom it trusts, and its connection.

use std::fmt;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned,
};

/// The certificates that a client takes from a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Certificates that an authority of the system has signed for the host.
    #[default]
    System,
    /// Certificates that an authority in a file has signed for the host.
    Authorities(PathBuf),
    /// The first one of a file and no other, whatever host it is for: that of a job of the same config.
    Certificate(PathBuf),
}

impl Trust {
    /// Begins TLS with a host, over a connection to it. The handshake takes place with the first bytes.
    ///
    /// # Errors
    /// If the trusted certificates cannot be read, or the host is no name and no address.
    pub fn begin(&self, host: &str, stream: TcpStream) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).with_context(|| format!("{host:?} is not a host name"))?;
        let client = ClientConnection::new(Arc::new(self.config()?), name)?;
        Ok(StreamOwned::new(client, stream))
    }

    fn config(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13, &TLS12])?;
        Ok(match self {
            Trust::Certificate(file) => {
                let certificate = certificates(file)?.swap_remove(0);
                let pinned = Arc::new(PinnedCertificate { certificate, provider });
                builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth()
            }
            Trust::Authorities(file) => {
                builder.with_root_certificates(roots(certificates(file)?)?).with_no_client_auth()
            }
            Trust::System => {
                let found = rustls_native_certs::load_native_certs();
                builder.with_root_certificates(roots(found.certs)?).with_no_client_auth()
            }
        })
    }
}

/// Returns a store of authorities. Those that cannot be read, of which systems have a few, are left out.
fn roots(authorities: Vec<CertificateDer<'static>>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(authorities).0 == 0 {
        bail!("no trusted CA certificates were found on this system; pass --ca-file");
    }
    Ok(roots)
}

/// Reads the certificates of a file, of which there is at least one.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let found = read().with_context(|| format!("the certificates in {} cannot be read", file.display()))?;
    if found.is_empty() {
        bail!("{} has no certificate; expected PEM", file.display());
    }
    Ok(found)
}

/// Takes one certificate, and no other.
struct PinnedCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for PinnedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinnedCertificate")
    }
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
