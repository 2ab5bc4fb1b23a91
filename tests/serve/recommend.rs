//! `POST /recommend`: items ranked by the predictions that `/predict` gives, without what was seen; popularity for the new.

use serde_json::{Value, json};
use tidemill::aggregate::Feature;
use tidemill::registry::Registry;
use tidemill::store::Upsert;
use tidemill::value::Scalar;

use crate::common::shop::{Client, LARGE, NOON, SHOP, Shop};

const FILMS: &str = r#"
name = "films"

[source.ratings]
topic = "ratings"
format = "json"
key = ["user"]
time = "at"
columns = { user = "string", film = "string", device = "string?", genre = "string?", stars = "float", at = "timestamp" }

[table.films]
topic = "films"
format = "json"
time = "at"
key = ["film"]
columns = { film = "string", genre = "string?", year = "int", at = "timestamp" }

[view.rated]
sql = "SELECT r.*, f.year FROM ratings r LEFT JOIN films f ON f.film = r.film"

[features.film]
from = "ratings"
entity = "film"
aggregate = [{ op = "count", windows = ["7d"] }, { of = "stars", op = "mean", windows = ["7d"] }]

[features.history]
from = "ratings"
entity = "user"
aggregate = [{ of = "film", op = "distinct_values(50)", windows = ["lifetime"] }]

[model.stars]
kind = "matrix_factorization"
examples = "rated"
features = ["user", "film", "device", "genre", "year", "film.*"]
label = { value = "stars > 3" }
window = "1d"
RECOMMEND
"#;

const RECOMMEND: &str =
    r#"recommend = { items = "films", seen = "history.film_values50_lifetime", popularity = "film.count_7d" }"#;

/// 600 films, of which ann has seen f001 and f002, and f005 and f003 are the most popular.
fn films() -> Shop {
    let spec = FILMS.replace("RECOMMEND", RECOMMEND).replace("matrix_factorization\"", "logistic\"");
    let shop = Shop::bare(&spec);
    let text = |text: &str| Scalar::String(text.into());
    let films = shop.online.table("films").unwrap();
    for film in 0..600 {
        let name = format!("f{film:03}");
        let genre = if film % 3 == 0 { Scalar::Null } else { text(["a", "B", "é"][film % 3]) };
        let row = [text(&name), genre, Scalar::Int(film as i64 % 5), Scalar::Timestamp(NOON)];
        let key = films.codec().encode_one(&row[..1]);
        films.apply(Upsert { key, vector: Some(row.into_iter().map(Feature::Value).collect()) });
    }
    for (film, count) in [("f003", 4), ("f005", 9), ("f004", 4)] {
        shop.upsert("film", &[text(film)], vec![Scalar::Int(count), Scalar::Float(3.5)]);
    }
    let seen = Feature::List([text("f001"), text("f002")].into());
    shop.upsert_features("history", &[text("ann")], vec![seen]);
    shop.online.note(NOON);
    shop.online.advance(NOON - 1000);
    shop.readiness.started();
    shop
}

/// The predictions of `/predict` for films and a user on a device, best first; equal ones by film.
fn ranked(client: &mut Client, user: &str, films: &[String], genre: impl Fn(usize) -> Value) -> Vec<(String, f64)> {
    let instances: Vec<Value> = films
        .iter()
        .map(|film| json!({ "user": user, "device": "tv", "film": film, "genre": genre(film[1..].parse().unwrap()) }))
        .collect();
    let answer = client.post("/predict", json!({ "instances": instances }).to_string()).json();
    let predictions = answer["predictions"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let mut ranked: Vec<(String, f64)> =
        films.iter().cloned().zip(predictions.iter().map(|p| p.as_f64().unwrap())).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked
}

fn items(answer: &Value) -> Vec<(String, f64)> {
    let item = |item: &Value| (item["item"]["film"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap());
    answer["items"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(item).collect()
}

fn genre(film: usize) -> Value {
    if film.is_multiple_of(3) { Value::Null } else { json!(["a", "B", "é"][film % 3]) }
}

#[test]
fn the_best_of_all_items_are_those_that_predict_ranks_first_without_what_was_seen() {
    let shop = films();
    shop.publish(0, 2);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let unseen: Vec<String> =
        (0..600).filter(|film| ![1, 2].contains(film)).map(|film| format!("f{film:03}")).collect();
    let expected = ranked(&mut client, "ann", &unseen, genre);
    let user = json!({ "user": "ann", "device": "tv" });
    let answer = client.post("/recommend", json!({ "user": user }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!((&answer["model"], &answer["version"], &answer["by"]), (&json!("stars"), &json!(2), &json!("model")));
    assert_eq!(items(&answer), expected[..10]);
    let more = client.post("/recommend", json!({ "model": "stars", "user": user, "n": 1000 }).to_string()).json();
    assert_eq!(items(&more), expected, "every item but the two that were seen");
    // Seen items are ranked among the others on request.
    let all: Vec<String> = (0..600).map(|film| format!("f{film:03}")).collect();
    let expected = ranked(&mut client, "ann", &all, genre);
    let body = json!({ "user": user, "n": 1000, "exclude_seen": false });
    assert_eq!(items(&client.post("/recommend", body.to_string()).json()), expected);
    server.drain();
}

#[test]
fn candidates_of_a_request_have_columns_of_their_own() {
    let shop = films();
    shop.publish(0, 1);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let films: Vec<String> = ["f009", "f007", "f008"].map(str::to_owned).into();
    let expected = ranked(&mut client, "ann", &films, |_| json!("gold"));
    let candidates: Vec<Value> = films.iter().map(|film| json!({ "film": film, "genre": "gold" })).collect();
    let with_seen = [candidates.clone(), vec![json!({ "film": "f001" })]].concat();
    let body = json!({ "user": { "user": "ann", "device": "tv" }, "candidates": with_seen, "n": 5 });
    assert_eq!(items(&client.post("/recommend", body.to_string()).json()), expected);
    let none = json!({ "user": { "user": "ann", "device": "tv" }, "candidates": [] });
    assert_eq!(items(&client.post("/recommend", none.to_string()).json()), []);
    server.drain();
}

#[test]
fn a_model_that_ranks_has_metrics_of_lists() {
    let ranking = format!("{RECOMMEND}\nranking = {{ by = [\"user\"], relevant = 1 }}");
    let mut shop = Shop::bare(&FILMS.replace("RECOMMEND", &ranking).replace("matrix_factorization\"", "logistic\""));
    let folder = tempfile::tempdir().unwrap();
    shop.registry = Some(Registry::scratch(&folder.path().display().to_string()).unwrap());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for metric in ["ndcg@10", "recall@10", "logloss"] {
        let answer = client.get(&format!("/models/stars/scores?metric={metric}"));
        assert_eq!((answer.status, &answer.json()["metric"]), (200, &json!(metric)), "{answer:?}");
    }
    server.drain();
    let shop = films();
    let server = shop.serve();
    let answer = Client::connect(server.addr()).get("/models/stars/scores?metric=ndcg@10");
    assert_eq!(answer.status, 400, "its lists are not scored: {answer:?}");
    server.drain();
}

#[test]
fn items_are_ranked_by_popularity_for_a_user_who_is_new() {
    let shop = films();
    shop.publish(0, 1);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let predicted = |client: &mut Client| client.get("/v2/models/stars/stats").json().to_string();
    let before = predicted(&mut client);
    let answer = client.post("/recommend", r#"{"user":{"user":"bob"},"n":4}"#).json();
    assert_eq!(answer["by"], "popularity");
    let expected = [("f005", 9.0), ("f003", 4.0), ("f004", 4.0), ("f000", 0.0)];
    assert_eq!(items(&answer), expected.map(|(film, count)| (film.to_owned(), count)));
    assert_eq!(predicted(&mut client), before, "nothing is scored");
    server.drain();
}

#[test]
fn the_mistakes_of_a_request_are_named() {
    let shop = films();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |body: &str| {
        let answer = client.post("/recommend", body);
        (answer.status, answer.error())
    };
    assert_eq!(error(r#"{"user":{"user":"ann"}}"#), (503, "no version of model stars yet".to_owned()));
    assert_eq!(error(r#"{"user":{"user":"bob"}}"#), (503, "no version of model stars yet".to_owned()));
    shop.publish(0, 1);
    for (body, expected) in [
        ("[]", "expected an object with a user"),
        ("{}", "user: missing"),
        (r#"{"user":"ann"}"#, "user: expected an object of columns"),
        (r#"{"user":{}}"#, "user.user: missing"),
        (r#"{"user":{"user":7}}"#, "user.user: expected string, found 7"),
        (r#"{"user":{"user":"ann","film":"f001"}}"#, "user.film: a column of the items"),
        (r#"{"user":{"user":"ann","divice":"tv"}}"#, "user.divice: unknown field; did you mean device?"),
        (r#"{"user":{"user":"ann","device":3}}"#, "user.device: expected string, found the number 3"),
        (r#"{"usr":{}}"#, "unknown field usr; did you mean user?"),
        (r#"{"user":{"user":"ann"},"candidates":7}"#, "candidates: expected a list of objects"),
        (r#"{"user":{"user":"ann"},"candidates":[{}]}"#, "candidates[0].film: missing"),
        (r#"{"user":{"user":"ann"},"candidates":[{"film":null}]}"#, "candidates[0].film: expected string, found null"),
        (
            r#"{"user":{"user":"ann"},"candidates":[{"film":"f"},{"film":"g","gender":"a"}]}"#,
            "candidates[1].gender: unknown field; did you mean genre?",
        ),
        (
            r#"{"user":{"user":"ann"},"candidates":[{"film":"f001"},{"film":"f002"},{"film":"g","genre":1}]}"#,
            "candidates[2].genre: expected string, found the number 1",
        ),
        // A user who is new is not scored, and has no other mistakes for that.
        (r#"{"user":{"user":"bob","divice":"tv"}}"#, "user.divice: unknown field; did you mean device?"),
        (
            r#"{"user":{"user":"bob"},"candidates":[{"film":"f"},{"film":"g","gender":"a"}]}"#,
            "candidates[1].gender: unknown field; did you mean genre?",
        ),
        (r#"{"user":{"user":"ann"},"n":0}"#, "n: expected 1 to 1000, found 0"),
        (r#"{"user":{"user":"ann"},"exclude_seen":1}"#, "exclude_seen: expected true or false, found 1"),
    ] {
        assert_eq!(error(body), (400, expected.to_owned()), "{body}");
    }
    assert_eq!(error(r#"{"model":"star","user":{}}"#).0, 404);
    // More items than one request may rank.
    let films = shop.online.table("films").unwrap();
    for film in 600..10_001 {
        let key = Scalar::String(format!("f{film}").into());
        let row = [key.clone(), Scalar::Null, Scalar::Int(0), Scalar::Timestamp(NOON)].map(Feature::Value);
        films.apply(Upsert { key: films.codec().encode_one(&[key]), vector: Some(row.into()) });
    }
    let expected = "candidates: missing, and there are 10001 items; expected 10000 at most";
    assert_eq!(error(r#"{"user":{"user":"ann"}}"#), (400, expected.to_owned()));
    server.drain();
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |body: &str| client.post("/recommend", body).error();
    assert_eq!(error(r#"{"user":{}}"#), "no model has a 'recommend' in the dataflow file");
    assert_eq!(error(r#"{"model":"large","user":{}}"#), "model large has no 'recommend' in its dataflow file");
    server.drain();
}
