//! The dashboard without a browser: its pages, their headers, its forms, and that whatever is shown is escaped.

use std::sync::Arc;

use serde_json::json;
use tidemill::serve::explainer::{ExplainedMoment, FeatureExplainer};
use tidemill::serve::{DashboardConfig, Endpoint, LetterBoard, Role, ShownLetter, start};
use tidemill::value::Scalar;

use crate::common::shop::{Answer, Client, Shop, endpoint};

fn page(client: &mut Client, path: &str) -> String {
    let answer = client.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", text(&answer));
    let text = text(&answer);
    assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"), "{path}: {text}");
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(answer.head.to_lowercase().contains(header), "{path}: {header}: {}", answer.head);
    }
    // Styles and scripts in the page would be blocked by its own policy.
    for forbidden in ["<style", " style=", "javascript:", " onclick", "<script>", "http://", "https://"] {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains(forbidden), "{path}: {forbidden}: {text}");
    }
    text
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

#[test]
fn the_first_page_shows_the_whole_dataflow() {
    let mut shop = Shop::open();
    let letters = Arc::new(LetterBoard::default());
    shop.dashboard =
        DashboardConfig { letters: letters.clone(), graph: Arc::new(|_| "<svg id=\"g\"></svg>".to_owned()) };
    shop.metrics.source_records.with_label_values(&["orders", "0", "read"]).inc_by(1_234_567);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let first = page(&mut client, "/");
    for shown in
        ["Ready", "orders", "1\u{202f}234\u{202f}567", "spend", "place", "large", "<svg id=\"g\">", "None since"]
    {
        assert!(first.contains(shown), "{shown}: {first}");
    }
    letters.add(ShownLetter {
        source: "orders".to_owned(),
        partition: 3,
        offset: 77,
        reason: "malformed".to_owned(),
        detail: "amount: <script>alert(1)</script> is not a float".to_owned(),
    });
    let second = page(&mut client, "/");
    assert!(second.contains("3/77") && second.contains("malformed"), "{second}");
    assert!(second.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{second}");
    for (path, content_type) in [("/dashboard/style.css", "text/css"), ("/dashboard/live.js", "text/javascript")] {
        let answer = client.get(path);
        assert!(answer.status == 200 && answer.head.contains(content_type), "{answer:?}");
    }
    server.drain();
}

#[test]
fn a_group_shows_the_vector_of_an_entity() {
    let shop = Shop::open();
    let hostile = "<b>\"'&";
    shop.upsert(
        "spend",
        &[Scalar::String(hostile.into())],
        vec![Scalar::Null, Scalar::Int(7), Scalar::String(hostile.into())],
    );
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let empty = page(&mut client, "/dashboard/features/spend");
    assert!(empty.contains("name=\"buyer\"") && !empty.contains("amount_mean_1h"), "{empty}");
    let ann = page(&mut client, "/dashboard/features/spend?buyer=ann");
    assert!(ann.contains("amount_mean_1h") && ann.contains("12.5") && ann.contains("value=\"ann\""), "{ann}");
    let two = page(&mut client, "/dashboard/features/place?country=DE&items=2");
    assert!(two.contains("items_sum_1d"), "{two}");
    let escaped = page(&mut client, "/dashboard/features/spend?buyer=%3Cb%3E%22%27%26");
    assert!(escaped.contains("&lt;b&gt;") && !escaped.contains("<b>"), "{escaped}");
    // A form sends spaces as +.
    assert!(page(&mut client, "/dashboard/features/spend?buyer=a%2Fb+c").contains("amount_mean_1h"));
    assert!(page(&mut client, "/dashboard/features/spend?buyer=nobody").contains("There is no vector"));
    assert!(page(&mut client, "/dashboard/features/place?country=DE&items=two").contains("items: expected int, found"));
    let unknown = client.get("/dashboard/features/nothing");
    assert_eq!(unknown.status, 404);
    assert!(text(&unknown).contains("<!DOCTYPE html>") && text(&unknown).contains("nothing"));
    assert_eq!(client.get("/dashboard/features/spend?buyer=%ff").status, 400);
    server.drain();
}

#[test]
fn a_feature_links_to_the_records_that_it_is_of() {
    let mut shop = Shop::open();
    let hostile = "<b>\"'&/";
    shop.upsert("spend", &[Scalar::String(hostile.into())], vec![Scalar::Float(2.5), Scalar::Int(7), Scalar::Null]);
    shop.explainer = Some(FeatureExplainer::new(|request, _| {
        assert_eq!((request.group, request.features.as_slice(), request.most_listed), (0, &[0][..], 200));
        let ExplainedMoment::Served(served) = &request.moment else { panic!("{request:?}") };
        let record = |offset: u64, effective: &str| {
            json!({
                "source": "<orders>", "partition": 3, "offset": offset, "time": "T1", "effective": effective, "value": 2.5,
            })
        };
        let value = json!({
            "group": "spend", "entity": {}, "as_of": "T2", "derived": {},
            "windows": [{
                "of": "amount", "where": "amount < 9", "window": "the last 1h", "not_listed": 1234,
                "features": { "amount_mean_1h": { "value": 2.75, "served": served.features[0], "equal": false } },
                "records": [record(71, "T1"), record(72, "T9")],
            }],
        });
        Ok(serde_json::from_value(value).unwrap())
    }));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let vector = page(&mut client, "/dashboard/features/spend?buyer=%3Cb%3E%22%27%26%2F");
    let links: Vec<&str> = vector.split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let links: Vec<&&str> = links.iter().filter(|link| link.starts_with("/dashboard/explain/")).collect();
    assert_eq!(links.len(), 3, "{vector}");
    let explained = page(&mut client, links[0]);
    for shown in ["2.75", "2.5", "the last 1h", "amount &lt; 9", "&lt;orders&gt;", "1\u{202f}234 older", "late: T9"] {
        assert!(explained.contains(shown), "{shown}: {explained}");
    }
    assert!(explained.contains("<td class=\"bad\">no</td>") && !explained.contains("<b>"), "{explained}");
    assert!(explained.find(">72<") < explained.find(">71<"), "newest first: {explained}");
    // It is not read again and again by the script.
    assert!(!explained.contains("live.js"), "{explained}");
    for (path, status, said) in [
        ("spend/amount_mean_2h?buyer=ann", 404, "did you mean amount_mean_1h?"),
        ("spend/amount_mean_1h?buyer=nobody", 404, "no entity nobody"),
        ("spend/amount_mean_1h?byer=ann", 400, "unknown query parameter"),
        ("place/items_sum_1d?country=DE&items=two", 400, "items: expected int"),
    ] {
        let refused = client.get(&format!("/dashboard/explain/{path}"));
        assert!(refused.status == status && text(&refused).contains(said), "{path}: {refused:?}");
    }
    server.drain();
    // A replica says how.
    let server = Shop::open().serve();
    let mut client = Client::connect(server.addr());
    let ann = page(&mut client, "/dashboard/features/spend?buyer=ann");
    assert!(ann.contains("features explain spend ann --dataflow FILE") && !ann.contains("/dashboard/explain"), "{ann}");
    assert_eq!(client.get("/dashboard/explain/spend/amount_mean_1h?buyer=ann").status, 404);
    server.drain();
}

#[test]
fn a_trial_predicts_as_the_endpoint_does() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let form = page(&mut client, "/dashboard/models/large");
    for field in ["name=\"buyer\"", "name=\"amount\"", "name=\"items\"", "action=\"/dashboard/predict/large\""] {
        assert!(form.contains(field), "{field}: {form}");
    }
    // A form sends all its fields.
    let mut query = String::new();
    for field in form.split("<input name=\"").skip(1) {
        let name = field.split('"').next().unwrap();
        let values = [("buyer", "ann"), ("country", "DE"), ("amount", "20"), ("items", "2")];
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        query += &format!("{name}={value}&");
    }
    let tried = page(&mut client, &format!("/dashboard/predict/large?{query}"));
    let asked = r#"{"instances":[{"buyer":"ann","country":"DE","payload":{"amount":20},"items":2}]}"#;
    let answer = client.post("/predict", asked).json();
    let prediction = answer["predictions"][0].to_string();
    assert!(tried.contains(&format!("<p class=\"big\">{prediction}</p>")), "{prediction}: {tried}");
    assert!(tried.contains("spend.amount_mean_1h") && tried.contains("12.5"), "{tried}");
    assert!(page(&mut client, "/dashboard/predict/large?buyer=ann&amount=much").contains("amount: expected float"));
    // Errors of the instance are shown beside the form.
    assert!(page(&mut client, "/dashboard/predict/large?amount=20").contains("class=\"bad\""));
    assert_eq!(client.get("/dashboard/models/large?metric=luck").status, 400);
    assert_eq!(client.get("/dashboard/models/large?luck=1").status, 400);
    // A form has each of its fields once, and no other.
    for path in ["predict/large?buyer=ann&byer=bob", "features/spend?buyer=ann&id=7", "features/spend?country=DE"] {
        let refused = client.get(&format!("/dashboard/{path}"));
        assert!(refused.status == 400 && text(&refused).contains("unknown query parameter"), "{path}: {refused:?}");
    }
    for path in ["predict/large?amount=1&amount=2", "features/spend?buyer=ann&buyer=bob"] {
        let refused = client.get(&format!("/dashboard/{path}"));
        assert!(refused.status == 400 && text(&refused).contains("is given twice"), "{path}: {refused:?}");
    }
    server.drain();
}

#[test]
fn the_script_is_loaded_where_something_is_kept_fresh() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (path, is_live) in [
        ("/", true),
        ("/dashboard/models/large", true),
        ("/dashboard/features/spend", false),
        ("/dashboard/features/spend?buyer=ann", true),
        ("/dashboard/predict/large", false),
    ] {
        let page = page(&mut client, path);
        assert_eq!((page.contains("live.js"), page.contains("id=\"live\"")), (is_live, is_live), "{path}");
        assert_eq!(page.contains(" data-live"), is_live, "{path}");
    }
    let missing = client.get("/dashboard/features/data-live");
    assert!(missing.status == 404 && !text(&missing).contains("live.js"), "{missing:?}");
    server.drain();
}

#[test]
fn a_group_with_a_bound_shows_what_it_has_dropped() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    assert!(!page(&mut client, "/").contains("dropped"));
    shop.metrics.dropped_so_far("spend", 1234);
    let first = page(&mut client, "/");
    assert!(first.contains("dropped") && first.contains("1\u{202f}234"), "{first}");
    assert_eq!(client.get("/dataflow").json()["entities_dropped"]["spend"], 1234);
    server.drain();
}

#[test]
fn errors_have_the_same_headers_in_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "t1\n").unwrap();
    let shop = Shop::open();
    let endpoint =
        Endpoint { tokens: [Role::Read, Role::Predict].map(|role| (role, path.clone())).into(), ..endpoint() };
    let server = start(&endpoint, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    let header = |answer: &Answer, name: &str| {
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} once: {}", answer.head);
        value
    };
    for (path, scheme) in [("/", "basic"), ("/models", "bearer"), ("/v2/models", "bearer"), ("/v1/models", "bearer")] {
        let refused = client.get(path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(header(&refused, "www-authenticate").unwrap().starts_with(scheme), "{path}: {}", refused.head);
    }
    for path in
        ["/predict", "/invocations", "/get-online-features", "/v2/models/large/infer", "/v1/models/large:predict"]
    {
        let refused = client.post(path, "{}");
        assert_eq!((refused.status, header(&refused, "www-authenticate").as_deref()), (401, Some("bearer")), "{path}");
        // A name of a model may have a colon, so that GET of the last one is another route.
        if path.contains(':') {
            continue;
        }
        let wrong = client.get(path);
        assert_eq!((wrong.status, header(&wrong, "allow").as_deref()), (405, Some("post")), "{path}");
    }
    for path in ["/", "/metrics", "/ping", "/v2", "/v1/models", "/dashboard/models/large"] {
        let wrong = client.post(path, "{}");
        assert_eq!((wrong.status, header(&wrong, "allow").as_deref()), (405, Some("get, head")), "{path}");
    }
    server.drain();
}

#[test]
fn with_tokens_a_browser_is_asked_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read");
    std::fs::write(&path, "r1\n").unwrap();
    let shop = Shop::open();
    let endpoint = Endpoint { tokens: vec![(Role::Read, path)], ..endpoint() };
    let server = start(&endpoint, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    let refused = client.get("/");
    assert_eq!(refused.status, 401);
    assert!(refused.head.to_lowercase().contains("www-authenticate: basic realm="), "{}", refused.head);
    // Of any:r1.
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW55OnIx\r\n\r\n").unwrap();
    let answer = client.receive().unwrap();
    assert!(answer.status == 200 && text(&answer).contains("Ready"), "{answer:?}");
    server.drain();
}
