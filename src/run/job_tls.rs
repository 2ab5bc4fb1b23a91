//! TLS of a client of the endpoint: whom it trusts, and its connection.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
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
    /// Certificates that an authority in a file has signed for the host, and those of the file that are for the host.
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
                let listed = vec![certificates(file)?.swap_remove(0)];
                let pinned = Arc::new(ListedCertificates { listed, authorities: None, provider });
                builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth()
            }
            Trust::Authorities(file) => {
                let listed = certificates(file)?;
                let unusable = || format!("{} has no certificate that can be used", file.display());
                let roots = Arc::new(roots(listed.clone()).with_context(unusable)?);
                let authorities = Some(WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?);
                let verifier = Arc::new(ListedCertificates { listed, authorities, provider });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
            Trust::System => {
                let found = roots(rustls_native_certs::load_native_certs().certs);
                let found = found.context("no trusted CA certificates were found on this system; pass --ca-file");
                builder.with_root_certificates(found?).with_no_client_auth()
            }
        })
    }

    /// Reads the certificates.
    ///
    /// # Errors
    /// If they cannot be read, or there is none.
    pub fn check(&self) -> anyhow::Result<()> {
        self.config().map(drop)
    }
}

/// Returns the reason for which a connection has failed, if it is the certificate of the server.
pub fn refused_certificate(error: &io::Error) -> Option<String> {
    let Error::InvalidCertificate(fault) = error.get_ref()?.downcast_ref::<Error>()? else { return None };
    Some(match fault {
        // An unknown authority may have the name of a trusted one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by no trusted authority; expected --ca-file with the certificate of its authority"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => {
            "the server's certificate is not that of the config's http.tls.cert".to_owned()
        }
        fault => format!("the server's certificate is refused: {fault}"),
    })
}

/// Returns a store of authorities, `None` if it is empty. Those that cannot be read, of which systems have a few, are left out.
fn roots(authorities: Vec<CertificateDer<'static>>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(authorities);
    (added > 0).then_some(roots)
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

/// Takes listed certificates, and those that an authority has signed for the host.
struct ListedCertificates {
    listed: Vec<CertificateDer<'static>>,
    /// Without authorities, a listed certificate is taken from any host.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for ListedCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListedCertificates")
    }
}

impl ServerCertVerifier for ListedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_listed = self.listed.contains(end_entity);
        let Some(authorities) = &self.authorities else {
            let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
            return if is_listed { Ok(ServerCertVerified::assertion()) } else { Err(refused) };
        };
        match authorities.verify_server_cert(end_entity, intermediates, host, ocsp, now) {
            // A self-signed certificate is its own authority, which no chain may end with: webpki has its own error for that.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if is_listed =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, host)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
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
