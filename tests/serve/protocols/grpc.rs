//! Calls of gRPC, by the public Python clients and byte by byte: limits, tokens, certificates, cancelled and damaged calls.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tidemill::serve::{Endpoint, Role, Server, TlsFiles, start};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::clients::run;
use super::{columns, orders, shop};
use crate::common::certificates::{Authority, replace};
use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::common::shop::{Client, Shop, endpoint};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const METADATA: &str = "/inference.GRPCInferenceService/ServerMetadata";

/// Statuses of gRPC.
const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const NOT_FOUND: u16 = 5;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const UNAUTHENTICATED: u16 = 16;

/// Serves a shop by HTTP and by gRPC.
fn serve(shop: &Shop, endpoint: &Endpoint) -> (Server, SocketAddr) {
    let service = shop.service();
    let mut server = start(endpoint, &service).unwrap();
    let addr = server.open_grpc("127.0.0.1:0", endpoint, &service).unwrap();
    (server, addr)
}

/// A body that is sent piece by piece, until the sender is dropped.
struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// The answer to a call.
#[derive(Debug)]
struct Answered {
    status: u16,
    text: String,
    body: Bytes,
}

/// A connection.
struct Calls {
    runtime: Runtime,
    sender: SendRequest<Pieces>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Calls {
    fn connect(addr: SocketAddr) -> Calls {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Calls { runtime, sender, headers: vec![("content-type", "application/grpc")] }
    }

    /// Begins a call whose body is sent by the returned sender.
    fn begin(
        &mut self,
        path: &str,
    ) -> (mpsc::UnboundedSender<Bytes>, impl Future<Output = hyper::Result<Answered>> + Send + 'static) {
        let (sender, pieces) = mpsc::unbounded_channel();
        let mut request = Request::post(format!("http://localhost{path}"));
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(poll_fn(|cx| self.sender.poll_ready(cx))).unwrap();
        let response = self.sender.send_request(request.body(Pieces(pieces)).unwrap());
        (sender, async { whole(response.await?).await })
    }

    /// Makes a call with a body.
    fn frame(&mut self, path: &str, body: &[u8]) -> Answered {
        let (sender, answer) = self.begin(path);
        sender.send(Bytes::copy_from_slice(body)).unwrap();
        drop(sender);
        self.runtime.block_on(answer).unwrap()
    }

    /// Returns whether the connection has ended, once what came on it is read.
    fn has_ended(&self) -> bool {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        self.sender.is_closed()
    }

    /// Makes a call with a message.
    fn call(&mut self, path: &str, message: &[u8]) -> Answered {
        self.frame(path, &framed(message))
    }
}

async fn whole(response: Response<hyper::body::Incoming>) -> hyper::Result<Answered> {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await?;
    let trailers = body.trailers().cloned().expect("every answer has trailers");
    let text = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let status = text("grpc-status").expect("a status").parse().unwrap();
    Ok(Answered { status, text: text("grpc-message").unwrap_or_default(), body: body.to_bytes() })
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// A field of a message whose value has a length.
fn field(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut length = value.len();
    let mut bytes = vec![tag << 3 | 2];
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    [bytes, value.to_vec()].concat()
}

/// A request for the model of clusters, whose two columns are FP64, with as many rows as there are values.
fn request(values: &[f64]) -> Vec<u8> {
    assert!(values.len() < 128);
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let input = |name: &str| {
        let parts = [field(1, name.as_bytes()), field(2, b"FP64"), field(3, &[values.len() as u8])];
        field(5, &parts.concat())
    };
    [field(1, b"sorts"), input("amount"), input("items"), field(7, &raw), field(7, &raw)].concat()
}

#[test]
fn the_client_of_triton_is_answered_as_over_http() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &Endpoint { max_body_bytes: 1 << 20, ..endpoint() });
    run(
        "clients",
        "grpc_client.py",
        &[server.addr().to_string(), grpc.to_string(), json!({ "orders": orders(), "columns": columns() }).to_string()],
    );
    let metrics = String::from_utf8(shop.metrics.exposition()).unwrap();
    if metrics.contains(&format!("route=\"{INFER}\"")) {
        let counted = |code: u16| metrics.contains(&format!("code=\"{code}\",route=\"{INFER}\""));
        assert!([200, 400, 404, 413].into_iter().all(counted), "{metrics}");
    }
    server.drain();
}

#[test]
fn a_call_is_answered_as_a_request_over_http() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &endpoint());
    let mut calls = Calls::connect(grpc);
    let answer = calls.call(INFER, &request(&[2.0, 1.0, 0.0]));
    assert_eq!((answer.status, answer.text.as_str()), (OK, ""), "{answer:?}");
    let mut client = Client::connect(server.addr());
    let instances = [2.0, 1.0, 0.0].map(|value| json!({ "amount": value, "items": value as i64 }));
    let body = json!({ "model": "sorts", "instances": instances }).to_string();
    let expected = client.post("/predict", body).json()["predictions"].clone();
    let found = answer.body[answer.body.len() - 24..].chunks(8);
    let found: Vec<i64> = found.map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(json!(found), expected);
    let metrics = String::from_utf8(shop.metrics.exposition()).unwrap();
    assert!(metrics.contains(&format!("code=\"200\",route=\"{INFER}\"")), "{metrics}");
    server.drain();
}

#[test]
fn a_request_that_is_not_a_call_is_refused() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &endpoint());
    let mut calls = Calls::connect(grpc);
    let sound = request(&[1.0]);
    for (path, body, status, words) in [
        ("/inference.GRPCInferenceService/ModelStreamInfer", framed(&sound), UNIMPLEMENTED, "unknown route /inf"),
        ("/predict", framed(b""), UNIMPLEMENTED, "unknown route /predict"),
        (INFER, Vec::new(), INVALID_ARGUMENT, "the body has 0 bytes"),
        (INFER, [framed(&sound), framed(&sound)].concat(), INVALID_ARGUMENT, "expected one message"),
        (INFER, [&[1][..], &framed(&sound)[1..]].concat(), UNIMPLEMENTED, "content encoding \"identity\""),
        (INFER, framed(&[0xff; 20]), INVALID_ARGUMENT, ""),
        (INFER, framed(&field(1, b"large\nx")), NOT_FOUND, "unknown model large%0Ax; did you mean large?"),
        (INFER, framed(&vec![0; 65 << 10]), RESOURCE_EXHAUSTED, "the body is larger than 65536 bytes"),
    ] {
        let answer = calls.frame(path, &body);
        assert!(answer.status == status && answer.text.contains(words), "{path}: {answer:?}");
    }
    calls.headers = vec![("content-type", "application/grpc+json")];
    let answer = calls.call(INFER, b"{}");
    assert!(answer.status == UNIMPLEMENTED && answer.text.contains("takes application/grpc only"), "{answer:?}");
    calls.headers = vec![("content-type", "application/grpc+proto"), ("grpc-encoding", "gzip")];
    assert_eq!(calls.call(INFER, &sound).status, OK, "a message need not be compressed");
    let answer = calls.frame(INFER, &[&[1][..], &framed(&sound)[1..]].concat());
    assert!(answer.status == INVALID_ARGUMENT && answer.text.contains("not valid gzip"), "{answer:?}");
    server.drain();
}

#[test]
fn a_token_is_of_the_role_of_the_method() {
    let (shop, folder) = (shop(), tempfile::tempdir().unwrap());
    let file = |role: Role, token: &str| {
        let path = folder.path().join(token);
        std::fs::write(&path, token).unwrap();
        (role, path)
    };
    let tokens = vec![file(Role::Read, "reader"), file(Role::Predict, "asker")];
    let (server, grpc) = serve(&shop, &Endpoint { tokens, ..endpoint() });
    let mut calls = Calls::connect(grpc);
    let sound = request(&[1.0]);
    for (token, infer, metadata) in [
        (None, UNAUTHENTICATED, UNAUTHENTICATED),
        (Some("Bearer nobody"), UNAUTHENTICATED, UNAUTHENTICATED),
        (Some("Bearer reader"), PERMISSION_DENIED, OK),
        (Some("Bearer asker"), OK, PERMISSION_DENIED),
    ] {
        calls.headers.truncate(1);
        calls.headers.extend(token.map(|token| ("authorization", token)));
        assert_eq!(calls.call(INFER, &sound).status, infer, "{token:?}");
        assert_eq!(calls.call(METADATA, b"").status, metadata, "{token:?}");
        assert_eq!(calls.call(CHECK, b"").status, OK, "{token:?}");
    }
    server.drain();
}

#[test]
fn calls_beyond_the_limits_are_refused_and_cancelled_ones_give_back_what_they_hold() {
    let shop = shop();
    let limits = Endpoint { threads: 1, max_total_body_bytes: 128 << 10, ..endpoint() };
    let (server, grpc) = serve(&shop, &limits);
    let mut calls = Calls::connect(grpc);
    let half = Bytes::from(vec![0; 60 << 10]);
    let mut held = Vec::new();
    for _ in 0..3 {
        let (sender, answer) = calls.begin(INFER);
        sender.send(half.clone()).unwrap();
        held.push((sender, calls.runtime.spawn(answer)));
    }
    // Each holds 44 KiB that are counted, and a further one would make more than there may be.
    let whole = |calls: &mut Calls| calls.frame(INFER, &half);
    let full = |answer: Answered| answer.status == RESOURCE_EXHAUSTED && answer.text.contains("all requests together");
    eventually("there is no room left", || full(whole(&mut calls)));
    // Dropped with their bodies unfinished, the streams are reset.
    held.iter().for_each(|(_, answer)| answer.abort());
    eventually("there is room again", || whole(&mut calls).status == INVALID_ARGUMENT);
    assert_eq!(calls.call(INFER, &request(&[1.0])).status, OK);
    drop(held);
    server.drain();
}

#[test]
fn a_message_that_does_not_come_in_time_is_not_waited_for() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &Endpoint { request_timeout: Duration::from_millis(700), ..endpoint() });
    let mut calls = Calls::connect(grpc);
    let (sender, answer) = calls.begin(INFER);
    sender.send(Bytes::from_static(&[0, 0])).unwrap();
    let answer = calls.runtime.block_on(answer).unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (DEADLINE_EXCEEDED, "the request took too long to arrive"));
    // A connection without calls is told to end, and ended.
    let mut idle = Calls::connect(grpc);
    assert_eq!(idle.call(CHECK, b"").status, OK);
    eventually("an idle connection ends", || idle.has_ended());
    server.drain();
}

#[test]
fn health_tells_that_the_process_is_stopping_and_calls_that_have_come_are_answered() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &endpoint());
    let mut calls = Calls::connect(grpc);
    let serving = |calls: &mut Calls| {
        let answer = calls.call(CHECK, b"");
        (answer.status, answer.body.last().copied())
    };
    assert_eq!(serving(&mut calls), (OK, Some(1)));
    shop.readiness.block("shutdown", "the run is stopping");
    assert_eq!(serving(&mut calls), (OK, Some(2)));
    assert_eq!(calls.call(CHECK, &field(1, b"large")).body.last(), Some(&2));
    let body = framed(&request(&[1.0]));
    let (sender, answer) = calls.begin(INFER);
    sender.send(Bytes::copy_from_slice(&body[..20])).unwrap();
    // It has come once another call after it on the connection is answered.
    assert_eq!(serving(&mut calls).0, OK);
    let draining = std::thread::spawn(move || server.drain_within(Duration::from_secs(60)));
    eventually("nothing new is accepted", || TcpStream::connect(grpc).is_err());
    sender.send(Bytes::copy_from_slice(&body[20..])).unwrap();
    drop(sender);
    assert_eq!(calls.runtime.block_on(answer).unwrap().status, OK);
    eventually("the connection ends", || calls.has_ended());
    draining.join().unwrap();
}

/// A connection over TLS; its client takes these protocols.
fn tls(
    authority: &Authority,
    addr: SocketAddr,
    alpn: &[&str],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

#[test]
fn calls_are_encrypted_with_a_certificate_that_is_replaced_without_a_restart() {
    let (shop, authority) = (shop(), Authority::new());
    let [first, second, live] = ["first", "second", "live"].map(|name| authority.pair(name));
    replace(&first, &live);
    let (server, grpc) = serve(&shop, &Endpoint { tls: Some(live.clone()), ..endpoint() });
    let served = || {
        let stream = tls(&authority, grpc, &["http/1.1", "h2"]).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let of = |files: &TlsFiles| CertificateDer::from_pem_file(&files.cert).unwrap().to_vec();
    assert_eq!(served(), of(&first));
    assert!(tls(&authority, grpc, &["http/1.1"]).is_err(), "there is no HTTP/1.1 here");
    run("clients", "grpc_tls.py", &[grpc.port().to_string(), authority.certificate().display().to_string()]);
    replace(&second, &live);
    eventually("the new certificate is served", || served() == of(&second));
    server.drain();
}

#[test]
fn the_program_answers_on_the_port_of_its_config() {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let var = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "dataflows/flights.toml", "--set", "http.listen=127.0.0.1:0", "--set", "play.speed=50000"]);
    command.args(["--set", &format!("data_dir={}", var.path().display()), "--set", &format!("grpc.listen={listen}")]);
    let run = Run::start(&mut command);
    eventually("it says so", || run.says(&format!("listening for gRPC on {listen}")));
    let mut calls = Calls::connect(listen);
    eventually("it is ready", || calls.call(CHECK, b"").body.last() == Some(&1));
    assert_eq!(calls.call(METADATA, b"").status, OK);
    run.stop();
    assert!(TcpStream::connect(listen).is_err());
}

#[test]
fn an_address_that_cannot_be_listened_on_is_refused_with_its_key() {
    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = said(&["check", "dataflows/flights.toml", "--set", "grpc.listen=nowhere"]);
    assert!(wrong.contains("grpc.listen is \"nowhere\"; expected ADDRESS:PORT"), "{wrong}");
    let servers = "gateway.servers=[\"http://127.0.0.1:1\"]";
    let wrong = said(&["gateway", "--set", servers, "--set", "grpc.listen=127.0.0.1:0"]);
    assert!(wrong.contains("grpc.listen is given; a gateway passes on HTTP only"), "{wrong}");
}

#[test]
fn any_bytes_at_the_port_end_their_connection_alone() {
    let shop = shop();
    let (server, grpc) = serve(&shop, &endpoint());
    let mut calls = Calls::connect(grpc);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let noise: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 100],
        preface[..10].to_vec(),
        [&preface[..], &[0xff; 40]].concat(),
        [&preface[..], &settings, &[0, 0, 4, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]].concat(),
        [&preface[..], &settings, &[0, 0, 1, 0, 0, 0, 0, 0, 7, 1]].concat(),
        [&preface[..], &settings, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
    ];
    for bytes in noise {
        let mut stream = TcpStream::connect(grpc).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&bytes).unwrap();
        // A server that has ended the connection already, or resets it, has done what is asked.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{bytes:?}");
        assert_eq!(calls.call(CHECK, b"").status, OK, "{bytes:?}");
    }
    server.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_that_is_damaged_anywhere_is_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 1..5),
        is_framed in any::<bool>(),
    ) {
        static SERVED: OnceLock<(Shop, Server, SocketAddr)> = OnceLock::new();
        let (_, _, grpc) = SERVED.get_or_init(|| {
            let shop = shop();
            let (server, grpc) = serve(&shop, &endpoint());
            (shop, server, grpc)
        });
        thread_local! { static CALLS: std::cell::RefCell<Option<Calls>> = const { std::cell::RefCell::new(None) }; }
        let sound = [request(&[1.0, 2.0]), field(4, &[field(1, b"content_type"), field(2, &field(3, b"pd"))].concat())].concat();
        let mut message = if is_framed { sound.clone() } else { framed(&sound) };
        for (at, kind, byte) in changes {
            let at = at.index(message.len().max(1));
            match kind {
                _ if message.is_empty() => message.push(byte),
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => drop(message.remove(at)),
            }
        }
        let body = if is_framed { framed(&message) } else { message };
        CALLS.with_borrow_mut(|calls| {
            let calls = calls.get_or_insert_with(|| Calls::connect(*grpc));
            let answer = calls.frame(INFER, &body);
            let expected = [OK, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED];
            prop_assert!(expected.contains(&answer.status), "{:?}", answer);
            prop_assert_eq!(calls.call(INFER, &sound).status, OK, "the connection goes on");
            Ok(())
        })?;
    }
}
