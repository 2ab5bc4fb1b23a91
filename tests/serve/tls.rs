//! TLS: real clients, certificates that are replaced, files that cannot be used, handshakes that hang.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tidemill::serve::{Endpoint, Server, StartError, TlsFiles, start};

use crate::common::certificates::{Authority, contains, replace};
use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::common::shop::{Client, Shop, endpoint};

fn serve(shop: &Shop, tls: &TlsFiles) -> Server {
    start(&Endpoint { tls: Some(tls.clone()), ..endpoint() }, &shop.service()).unwrap()
}

/// A connection that stays open.
struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    fn connect(authority: &Authority, addr: SocketAddr) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        TlsClient(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
    }

    /// Returns the status line of the answer to a GET.
    fn get(&mut self, path: &str) -> String {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.0.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_lowercase();
                let length = length.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                    return head.lines().next().unwrap().to_owned();
                }
            }
        }
    }

    fn certificate(&self) -> CertificateDer<'_> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }
}

/// Returns the certificate that a new connection is answered with.
fn served(authority: &Authority, addr: SocketAddr) -> Vec<u8> {
    let mut client = TlsClient::connect(authority, addr);
    assert_eq!(client.get("/health/live"), "HTTP/1.1 200 OK");
    client.certificate().to_vec()
}

fn certificate_of(files: &TlsFiles) -> Vec<u8> {
    CertificateDer::from_pem_file(&files.cert).unwrap().to_vec()
}

fn curl(authority: &Authority, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "10", "--cacert"]).arg(authority.certificate()).args(arguments);
    command.output().expect("curl is installed; tests/setup installs it")
}

#[test]
fn curl_and_python_are_answered_over_tls_1_2_and_1_3_and_no_older_version() {
    let (shop, authority) = (Shop::open(), Authority::new());
    for kind in ["ec -pkeyopt ec_paramgen_curve:prime256v1", "rsa:2048", "ed25519"] {
        let server = serve(&shop, &authority.pair_of("server", kind));
        let url = format!("https://localhost:{}/predict", server.addr().port());
        let body = r#"{"instances":[{"id":"o","buyer":"ann","amount":20.0,"items":2}]}"#;
        for version in ["1.2", "1.3"] {
            let version = [format!("--tlsv{version}"), "--tls-max".to_owned(), version.to_owned()];
            let [least, flag, most] = version.each_ref().map(String::as_str);
            let answer = curl(&authority, &[least, flag, most, "-w", "%{http_code} %{http_version}", "-d", body, &url]);
            let text = String::from_utf8_lossy(&answer.stdout);
            assert!(text.ends_with("200 1.1") && text.contains("\"predictions\""), "{kind} {version:?}: {answer:?}");
        }
        let old = curl(&authority, &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", &url]);
        assert!(!old.status.success() && old.stdout.is_empty(), "{old:?}");
        let stranger = Authority::new();
        assert!(!curl(&stranger, &[&url]).status.success(), "no other authority is trusted");
        let script = "import ssl, sys, urllib.request as r\n\
                      context = ssl.create_default_context(cafile=sys.argv[1])\n\
                      print(r.urlopen(sys.argv[2], context=context, timeout=10).status)";
        let health = format!("https://127.0.0.1:{}/health/ready", server.addr().port());
        let python = Command::new("python3").args(["-c", script]).arg(authority.certificate()).arg(health).output();
        let python = python.unwrap();
        assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), "200", "{python:?}");
        server.drain();
    }
}

#[test]
fn an_unencrypted_request_is_refused_with_the_reason() {
    let (shop, authority) = (Shop::open(), Authority::new());
    let server = serve(&shop, &authority.pair("server"));
    let mut plain = Client::connect(server.addr());
    let answer = plain.get("/health/live");
    assert_eq!((answer.status, answer.error().as_str()), (400, "this port takes HTTPS; expected https://…"));
    assert!(plain.receive().is_none());
    let mut noise = Client::connect(server.addr());
    noise.send(&[0x16, 3, 1, 0, 5, 9, 9, 9, 9, 9]).unwrap();
    while noise.receive().is_some() {}
    let metrics = || String::from_utf8(shop.metrics.exposition()).unwrap();
    eventually("both are counted", || metrics().contains("tidemill_tls_handshake_failures_total 2"));
    let metrics = metrics();
    let expiry =
        metrics.lines().find_map(|line| line.strip_prefix("tidemill_tls_certificate_expiry_timestamp_seconds "));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let left = expiry.unwrap().parse::<f64>().unwrap() - now;
    assert!((left - 2.0 * 86_400.0).abs() < 600.0, "it expires in {left} s");
    server.drain();
}

#[test]
fn a_certificate_that_changes_is_served_without_a_restart_and_open_connections_go_on() {
    let (shop, authority) = (Shop::open(), Authority::new());
    let [first, second, third, live] = ["first", "second", "third", "live"].map(|name| authority.pair(name));
    replace(&first, &live);
    let server = serve(&shop, &live);
    let mut open = TlsClient::connect(&authority, server.addr());
    assert_eq!(open.get("/models"), "HTTP/1.1 200 OK");
    assert_eq!(served(&authority, server.addr()), certificate_of(&first));
    replace(&second, &live);
    let begun = Instant::now();
    while served(&authority, server.addr()) != certificate_of(&second) {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(open.get("/models"), "HTTP/1.1 200 OK");
    assert_eq!(open.certificate().to_vec(), certificate_of(&first));
    // The certificate of another pair, then nonsense: the pair before it stays until both fit again.
    let settled = Duration::from_millis(1300);
    for wrong in [fs::read(&third.cert).unwrap(), b"nonsense".to_vec(), Vec::new()] {
        fs::write(&live.cert, wrong).unwrap();
        std::thread::sleep(settled);
        assert_eq!(served(&authority, server.addr()), certificate_of(&second));
    }
    fs::remove_file(&live.key).unwrap();
    std::thread::sleep(settled);
    assert_eq!(served(&authority, server.addr()), certificate_of(&second));
    replace(&third, &live);
    std::thread::sleep(settled);
    assert_eq!(served(&authority, server.addr()), certificate_of(&third));
    assert_eq!(open.get("/models"), "HTTP/1.1 200 OK");
    server.drain();
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let (shop, authority) = (Shop::open(), Authority::new());
    let (one, other) = (authority.pair("one"), authority.pair("other"));
    authority.openssl("pkey -in one.key -aes256 -passout pass:hush-hush -out locked.key");
    fs::write(authority.path("empty"), "").unwrap();
    fs::write(authority.path("torn.pem"), fs::read(&one.cert).unwrap().split_at(200).0).unwrap();
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(authority.path("nonsense.pem"), torn).unwrap();
    let error = |cert: &Path, key: &Path| {
        let tls = TlsFiles { cert: cert.to_owned(), key: key.to_owned() };
        match start(&Endpoint { tls: Some(tls), ..endpoint() }, &shop.service()) {
            Err(error @ StartError::Tls { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (cert, key, place, why) in [
        (authority.path("none"), one.key.clone(), "http.tls.cert", "the file cannot be read"),
        (one.cert.clone(), authority.path("none"), "http.tls.key", "the file cannot be read"),
        (authority.path("empty"), one.key.clone(), "http.tls.cert", "has no certificate"),
        (one.key.clone(), one.key.clone(), "http.tls.cert", "has no certificate"),
        (authority.path("torn.pem"), one.key.clone(), "http.tls.cert", "not valid PEM"),
        (authority.path("nonsense.pem"), one.key.clone(), "http.tls.cert", "the certificate cannot be used"),
        (one.cert.clone(), one.cert.clone(), "http.tls.key", "has no private key"),
        (one.cert.clone(), other.key, "http.tls.key", "this is not the key of the certificate in"),
        (one.cert.clone(), authority.path("locked.key"), "http.tls.key", "the key has a password"),
    ] {
        let text = error(&cert, &key);
        assert!(text.starts_with(place) && text.contains(why), "{text}");
        assert!(!text.contains("hush") && !text.contains("BEGIN"), "{text}");
    }
}

#[test]
fn handshakes_that_hang_end_with_the_request_timeout_and_probes_are_answered_meanwhile() {
    let (shop, authority) = (Shop::open(), Authority::new());
    let limits = Endpoint {
        tls: Some(authority.pair("server")),
        max_connections: 20,
        request_timeout: Duration::from_millis(1500),
        ..endpoint()
    };
    let server = start(&limits, &shop.service()).unwrap();
    let begun = Instant::now();
    let mut held: Vec<Client> = (0..60).map(|_| Client::connect(server.addr())).collect();
    // Some send the beginning of a hello.
    held.iter_mut().step_by(2).for_each(|client| client.send(&[0x16, 3, 1, 2, 0, 1]).unwrap());
    assert_eq!(TlsClient::connect(&authority, server.addr()).get("/health/live"), "HTTP/1.1 200 OK");
    assert_eq!(TlsClient::connect(&authority, server.addr()).get("/models"), "HTTP/1.1 429 Too Many Requests");
    for client in &mut held {
        while client.receive().is_some() {}
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(TlsClient::connect(&authority, server.addr()).get("/models"), "HTTP/1.1 200 OK");
    server.drain();
}

#[test]
fn verbs_ask_a_job_over_https_by_its_certificate_or_an_authority() {
    let authority = Authority::new();
    let pair = authority.pair("server");
    let stranger = Authority::new();
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflows/flights.toml");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let var = authority.path("var");
    let cert = format!("http.tls.cert={}", pair.cert.display());
    let key = format!("http.tls.key={}", pair.key.display());
    let data = format!("data_dir={}", var.display());
    let log = format!("log.file={}", authority.path("log").display());
    let tidemill = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(root).args(arguments);
        command
    };
    let sets = ["--set", &cert, "--set", &key, "--set", &data, "--set", &log];
    let run = ["run", spec, "--set", "http.listen=127.0.0.1:0", "--set", "play.speed=1000"];
    let run = Run::start(tidemill(&run).args(sets));
    assert!(run.url().starts_with("https://127.0.0.1:"), "{}", run.url());
    let list = |arguments: &[&str]| tidemill(&["models", "list"]).args(arguments).output().unwrap();
    let ca = authority.certificate().display().to_string();
    let own = pair.cert.display().to_string();
    let other = stranger.certificate().display().to_string();
    let listen = format!("http.listen={}", run.url().trim_start_matches("https://"));
    for good in [
        &["--url", &run.url(), "--ca-file", &ca][..],
        &["--url", &run.url(), "--ca-file", &own],
        &[&sets[..4], &["--set", &listen]].concat(),
    ] {
        let listed = list(good);
        assert!(listed.status.success(), "{good:?}: {listed:?}");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("late"), "{listed:?}");
    }
    let http = run.url().replace("https", "http");
    for (bad, code, why) in [
        (&["--url", &run.url()][..], 1, "signed by no trusted authority"),
        (&["--url", &run.url(), "--ca-file", &other], 1, "signed by no trusted authority"),
        (&["--url", &run.url(), "--ca-file", "nowhere.pem"], 2, "the certificates in nowhere.pem cannot be read"),
        (&["--url", &run.url(), "--ca-file", spec], 2, "has no certificate; expected PEM"),
        (&["--url", &http, "--ca-file", &ca], 2, "expected https://"),
        (&["--url", &http], 1, "this port takes HTTPS"),
    ] {
        let listed = list(bad);
        let said = String::from_utf8_lossy(&listed.stderr);
        assert_eq!(listed.status.code(), Some(code), "{bad:?}: {said}");
        assert!(said.contains(why), "{bad:?}: {said}");
    }
    run.stop();
    let key = fs::read_to_string(&pair.key).unwrap();
    assert!(!contains(&authority.path("log"), key.lines().nth(1).unwrap()));
}

#[test]
fn a_certificate_that_has_signed_itself_is_taken_from_its_hosts_if_it_is_in_the_file() {
    let (shop, authority) = (Shop::open(), Authority::new());
    let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=itself";
    authority.openssl(&format!("{key} -addext subjectAltName=DNS:localhost -keyout itself.key -out itself.pem"));
    let pair = TlsFiles { cert: authority.path("itself.pem"), key: authority.path("itself.key") };
    let server = serve(&shop, &pair);
    let list = |host: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let url = format!("https://{host}:{}", server.addr().port());
        command.args(["models", "list", "--url", &url, "--ca-file"]).arg(&pair.cert).output().unwrap()
    };
    let listed = list("localhost");
    assert!(listed.status.success(), "{listed:?}");
    let refused = list("127.0.0.1");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the server's certificate is for another host"), "{said}");
    server.drain();
}
