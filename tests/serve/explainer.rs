//! Explanations of features on request: what is asked of the explainer, its places, its limits, clients that leave.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidemill::serve::explainer::{
    ExplainedMoment, ExplanationFailure, ExplanationRequest, FeatureExplainer, FeatureExplanation,
};
use tidemill::serve::{Endpoint, start};
use tidemill::value::Scalar;

use crate::common::servers::eventually;
use crate::common::shop::{Client, NOON, Shop, endpoint};

fn explanation(group: usize) -> FeatureExplanation {
    let value = json!({ "group": group.to_string(), "entity": {}, "as_of": "", "windows": [], "derived": {} });
    serde_json::from_value(value).unwrap()
}

/// A shop that notes what it is asked to explain.
fn noting() -> (Shop, Arc<Mutex<Vec<ExplanationRequest>>>) {
    let mut shop = Shop::open();
    let noted: Arc<Mutex<Vec<ExplanationRequest>>> = Arc::default();
    let notes = noted.clone();
    shop.explainer = Some(FeatureExplainer::new(move |request, _| {
        notes.lock().unwrap().push(request.clone());
        Ok(explanation(request.group))
    }));
    (shop, noted)
}

#[test]
fn what_is_asked_reaches_the_explainer() {
    let (shop, noted) = noting();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut asked = |path: &str| {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        (answer.json(), noted.lock().unwrap().pop().unwrap())
    };
    let (answer, request) = asked("/explain/spend/ann");
    assert_eq!(answer, serde_json::to_value(explanation(0)).unwrap());
    assert_eq!((request.group, request.features, request.most_listed), (0, vec![0, 1, 2], 1000));
    let ExplainedMoment::Served(served) = request.moment else { panic!("{:?}", request.moment) };
    assert_eq!((served.features, served.time), (vec![json!(12.5), json!(3), json!("DE")], NOON - 1000));
    let (_, request) =
        asked("/explain/place/DE/2?feature=items_max_1d,items_sum_1d&as_of=2024-01-01T00:00:00%2B01:00&most=7");
    assert_eq!(request.key, [Scalar::String("DE".into()), Scalar::Int(2)]);
    assert_eq!((request.group, request.features, request.most_listed), (1, vec![0, 1], 7));
    assert!(matches!(request.moment, ExplainedMoment::AsOf(1_704_063_600_000)), "{:?}", request.moment);
    // As of a time, an entity need not be served now.
    assert_eq!(asked("/explain/spend/a%2Fnobody?as_of=latest").1.key, [Scalar::String("a/nobody".into())]);
    server.drain();
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_was_expected() {
    let (shop, noted) = noting();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (path, status, text) in [
        ("spent/ann", 404, "unknown feature group spent; did you mean spend?"),
        ("spend/nobody", 404, "group spend has no entity nobody"),
        ("spend/ann/2", 400, "group spend has the entity buyer, so it takes 1 in the path; found 2"),
        ("place/DE/two", 400, "items: expected int, found \"two\""),
        ("spend/ann?feature=amount_maen_1h", 404, "group spend has no feature amount_maen_1h; did you mean"),
        ("spend/ann?feature=amount_mean_1h,", 404, "group spend has no feature ;"),
        ("spend/ann?as_of=noon", 400, "as_of: expected RFC 3339, a date, epoch ms, earliest or latest, found \"noon\""),
        ("spend/ann?most=-1", 400, "most: expected a number up to 10000, found \"-1\""),
        ("spend/ann?most=10001", 400, "most: expected a number up to 10000, found \"10001\""),
        ("spend/ann?at=1", 400, "unknown query parameter \"at\"; this route takes feature, as_of, most"),
    ] {
        let answer = client.get(&format!("/explain/{path}"));
        assert!(answer.status == status && answer.error().starts_with(text), "{path}: {answer:?}");
    }
    assert!(noted.lock().unwrap().is_empty());
    server.drain();
    // Without sources.
    let server = Shop::open().serve();
    let answer = Client::connect(server.addr()).get("/explain/spend/ann");
    assert!(answer.status == 404 && answer.error().contains("a replica reads no sources"), "{answer:?}");
    server.drain();
}

/// A shop whose explanations take until they are told to end, and say how they ended.
struct Slow {
    shop: Shop,
    /// Ends one explanation.
    end: Sender<()>,
    ended: Receiver<Result<(), ExplanationFailure>>,
    begun: Receiver<()>,
}

fn slow(time: Duration) -> Slow {
    let ((end, told), (ends, ended), (begins, begun)) = (channel(), channel(), channel());
    let (told, ends, begins) = (Mutex::new(told), Mutex::new(ends), Mutex::new(begins));
    let mut shop = Shop::open();
    let explain = move |request: &ExplanationRequest, limits: &tidemill::serve::explainer::ExplanationLimits| {
        // A test that does not ask has dropped its end.
        let _ = begins.lock().unwrap().send(());
        let found = loop {
            if told.lock().unwrap().try_recv().is_ok() {
                break Ok(());
            }
            if let Err(failure) = limits.check(0) {
                break Err(failure);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let outcome = found.as_ref().map(|()| explanation(request.group)).map_err(|_| ExplanationFailure::Cancelled);
        let _ = ends.lock().unwrap().send(found);
        outcome
    };
    shop.explainer = Some(FeatureExplainer::new(explain).within(time));
    Slow { shop, end, ended, begun }
}

const HOUR: Duration = Duration::from_secs(3600);

/// The request for an explanation.
const ASK: &[u8] = b"GET /explain/spend/ann HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn few_explanations_run_at_once_and_others_are_told_to_come_again() {
    let Slow { shop, end, begun, .. } = slow(HOUR);
    let server = shop.serve();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(server.addr())).collect();
    for client in &mut clients {
        client.send(ASK).unwrap();
        begun.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let mut third = Client::connect(server.addr());
    let refused = third.get("/explain/spend/ann");
    assert_eq!((refused.status, refused.head.contains("\r\nretry-after: 1\r\n")), (429, true), "{refused:?}");
    assert_eq!(refused.error(), "features are being explained for 2 other requests; try again later");
    // Everything else is answered meanwhile.
    assert_eq!(third.get("/features/spend/ann").status, 200);
    (0..2).for_each(|_| end.send(()).unwrap());
    for client in &mut clients {
        assert_eq!(client.receive().expect("an answer").status, 200);
    }
    end.send(()).unwrap();
    assert_eq!(third.get("/explain/spend/ann").status, 200);
    server.drain();
}

#[test]
fn an_explanation_ends_when_its_client_goes() {
    let Slow { shop, begun, ended, .. } = slow(HOUR);
    let server = shop.serve();
    let leaves: [fn(Client); 2] = [drop, |mut client| {
        client.finish();
        assert!(client.receive().is_none_or(|answer| answer.status == 408));
    }];
    for leave in leaves {
        let mut client = Client::connect(server.addr());
        client.send(ASK).unwrap();
        begun.recv_timeout(Duration::from_secs(60)).unwrap();
        leave(client);
        let end = ended.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(matches!(end, Err(ExplanationFailure::Cancelled)), "{end:?}");
    }
    server.drain();
}

#[test]
fn a_client_that_waits_may_be_silent_for_longer_than_a_request_may_take() {
    let Slow { shop, end, begun, ended } = slow(HOUR);
    let timeout = Duration::from_millis(500);
    let server = start(&Endpoint { request_timeout: timeout, ..endpoint() }, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    client.send(ASK).unwrap();
    begun.recv_timeout(Duration::from_secs(60)).unwrap();
    // The connection would have been closed, and the explanation cancelled.
    assert!(ended.recv_timeout(4 * timeout).is_err());
    end.send(()).unwrap();
    assert_eq!(client.receive().expect("an answer").status, 200);
    server.drain();
}

#[test]
fn an_explanation_that_fails_says_why_and_gives_its_place_back() {
    let Slow { shop, ended, .. } = slow(Duration::from_millis(50));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    client.get("/explain/spend/ann");
    let end = ended.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(end, Err(ExplanationFailure::TooLate(_))));
    server.drain();

    let mut shop = Shop::open();
    let calls = Mutex::new(0);
    shop.explainer = Some(FeatureExplainer::new(move |_, limits| {
        let mut call = calls.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *call += 1;
        match *call {
            1 => Err(ExplanationFailure::TooLate(Duration::from_secs(60))),
            2 => Err(limits.check(2_000_000).unwrap_err()),
            3 => Err(ExplanationFailure::Refused("no such group".to_owned())),
            4 => Err(ExplanationFailure::UnknownEntity("no such entity".to_owned())),
            5 => Err(ExplanationFailure::Source("the broker is away".to_owned())),
            6 => panic!("an explanation that panics"),
            _ => Ok(explanation(0)),
        }
    }));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (status, text) in [
        (503, "the sources could not be read within 60 s"),
        (413, "more than 1000000 records would have to be kept"),
        (400, "no such group"),
        (404, "no such entity"),
        (503, "the sources cannot be read: the broker is away"),
        (500, "internal error"),
    ] {
        let answer = client.get("/explain/spend/ann");
        assert!(answer.status == status && answer.error().starts_with(text), "{text}: {answer:?}");
    }
    eventually("places are free", || client.get("/explain/spend/ann").status == 200);
    assert_eq!(client.get("/explain/spend/ann").json()["windows"], Value::Array(Vec::new()));
    server.drain();
}
