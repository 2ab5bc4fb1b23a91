//! Certificates for tests, made by openssl: an authority, and pairs for this machine that it has signed.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tidemill::serve::TlsFiles;

/// An authority in a folder, in which further files may be made.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes a new authority.
    pub fn new() -> Authority {
        let authority = Authority { folder: tempfile::tempdir().unwrap() };
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority";
        authority.openssl(&format!("{key} -keyout ca.key -out ca.pem"));
        authority
    }

    /// Returns the path of a file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the certificate that clients trust.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Makes a pair for `localhost` and 127.0.0.1: `NAME.pem` and `NAME.key`.
    pub fn pair(&self, name: &str) -> TlsFiles {
        self.pair_of(name, "ec -pkeyopt ec_paramgen_curve:prime256v1")
    }

    /// Makes a pair with a key of this kind.
    pub fn pair_of(&self, name: &str, kind: &str) -> TlsFiles {
        std::fs::write(self.path("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        self.openssl(&format!("req -newkey {kind} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
        self.openssl(&format!("x509 -req -in {name}.csr {signed} -out {name}.pem"));
        TlsFiles { cert: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) }
    }

    /// Runs openssl in the folder.
    pub fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let ran = command.args(arguments.split(' ')).current_dir(self.folder.path()).output();
        let ran = ran.expect("openssl is installed; tests/setup installs it");
        assert!(ran.status.success(), "{arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// Copies a pair over another one, the certificate first.
pub fn replace(from: &TlsFiles, to: &TlsFiles) {
    std::fs::copy(&from.cert, &to.cert).unwrap();
    std::fs::copy(&from.key, &to.key).unwrap();
}

/// Returns whether a file has a text.
pub fn contains(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).unwrap().contains(text)
}
