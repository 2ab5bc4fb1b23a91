//! MLflow and SageMaker: data frames in JSON and CSV.

use serde_json::{Value, json};

use super::{columns, orders, predicted, shop};
use crate::common::shop::{Answer, Client, LARGE, SHOP, Shop};

/// Posts an invocation under headers, each ended by a line break.
fn invoke(client: &mut Client, headers: &str, body: &str) -> Answer {
    let head = format!(
        "POST /invocations HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head.as_bytes()).unwrap();
    client.receive().expect("an answer")
}

/// The orders as a frame by rows without names.
pub fn split() -> Value {
    let columns = columns();
    let names: Vec<&String> = columns.as_object().unwrap().keys().collect();
    let data: Vec<Value> = (0..3).map(|row| names.iter().map(|name| columns[*name][row].clone()).collect()).collect();
    json!({ "columns": names, "index": [0, 1, 2], "data": data })
}

const ORDERS: &str = "buyer,country,amount,items,vip\r\nAnn,DE,20.0,2,True\nbob,,0.5,1,\n\"a/b c\",é,-3.25,0,false\n";

#[test]
fn every_form_of_a_data_frame_is_predicted_for_as_instances_are() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for model in ["large", "counted", "levels", "sorts"] {
        for version in [None, Some(1)] {
            let expected = json!({ "predictions": predicted(&mut client, model, version) });
            for (form, frame) in [
                ("dataframe_split", split()),
                ("dataframe_records", orders()),
                ("instances", orders()),
                ("inputs", orders()),
                ("inputs", columns()),
            ] {
                let body = json!({ form: frame, "params": { "model": model, "version": version } });
                let answer = invoke(&mut client, "content-type: application/json\r\n", &body.to_string());
                assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{model} {form}");
            }
        }
        let expected = json!({ "predictions": predicted(&mut client, model, None) });
        let target = format!("content-type: text/csv; charset=utf-8\r\nX-Amzn-SageMaker-Target-Model: {model}\r\n");
        let answer = invoke(&mut client, &target, ORDERS);
        assert_eq!((answer.status, answer.json()), (200, expected), "{model}");
    }
    server.drain();
}

#[test]
fn a_missing_number_of_a_frame_is_null() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let body =
        r#"{"dataframe_split": {"columns": ["buyer", "items", "amount", "age"], "data": [["NaN", 2, 1.5, NaN]]}}"#;
    let order = json!({ "buyer": "NaN", "items": 2, "amount": 1.5, "age": null });
    let expected = client.post("/predict", json!({ "instances": [order] }).to_string()).json()["predictions"].clone();
    assert_eq!(invoke(&mut client, "", body).json(), json!({ "predictions": expected }));
    let csv = "buyer,items,amount,age\nNaN,2,1.5,\n";
    for csv in [csv, csv.trim_end(), &csv.replace('\n', "\r\n")] {
        assert_eq!(invoke(&mut client, "content-type: text/CSV\r\n", csv).json(), json!({ "predictions": expected }));
    }
    assert_eq!(invoke(&mut client, "", &body.replace(", NaN]", ", NaNaN]")).status, 400);
    server.drain();
}

#[test]
fn errors_are_in_the_form_of_mlflow() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |headers: &str, body: &str| {
        let answer = invoke(&mut client, headers, body);
        let json = answer.json();
        assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
        (answer.status, json["error_code"].as_str().unwrap().to_owned(), json["message"].as_str().unwrap().to_owned())
    };
    let bad = |text: &str| (400, "BAD_REQUEST".to_owned(), text.to_owned());
    let one = "expected exactly one of dataframe_split, dataframe_records, instances, inputs";
    assert_eq!(error("", "{}"), bad(one));
    assert_eq!(error("", r#"{"instances": [], "inputs": []}"#), bad(one));
    assert!(error("", r#"{"dataframe": []}"#).2.starts_with("unknown field `dataframe`"));
    assert!(
        error("", r#"{"instances": [], "params": {"temperature": 1}}"#).2.starts_with("unknown field `temperature`")
    );
    let which = "model: missing; expected one of large, counted, levels, sorts";
    assert_eq!(error("", r#"{"instances": []}"#), bad(which));
    let unknown = error("", r#"{"instances": [], "params": {"model": "larg"}}"#);
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "RESOURCE_DOES_NOT_EXIST"));
    let large = |frame: &str| format!(r#"{{{frame}, "params": {{"model": "large"}}}}"#);
    let short = large(r#""dataframe_split": {"columns": ["buyer", "items"], "data": [["a", 1], ["b"]]}"#);
    let expected = "dataframe_split.data[1]: 1 values; expected 2, one for each column";
    assert_eq!(error("", &short), bad(expected));
    let missing = large(r#""dataframe_split": {"columns": ["buyer"], "data": [["a"]]}"#);
    assert_eq!(error("", &missing), bad("instances[0].amount: missing"));
    assert!(error("", &large(r#""inputs": 3"#)).2.starts_with("inputs: expected an object"));
    let infinite = large(r#""instances": [{"amount": Infinity}]"#);
    assert_eq!(error("", &infinite).0, 400);
    let csv = "content-type: text/csv\r\nx-amzn-sagemaker-target-model: large\r\n";
    assert_eq!(error(csv, ""), bad("expected CSV with a header line that names the columns"));
    assert_eq!(error(csv, "buyer,items\na\n"), bad("row 0: 1 fields; expected 2, as in the header"));
    let wrong = ORDERS.replace(",0,", ",x,");
    assert_eq!(error(csv, &wrong), bad("instances[2].items: expected int, found the text \"x\""));
    for content_type in
        ["application/vnd.apache.parquet", "application/x-parquet", "text/csv; header=1; charset=\"UTF-16\""]
    {
        let expected = format!("content type {content_type:?}; this route takes JSON and CSV in UTF-8 only");
        let headers = format!("content-type: {content_type}\r\n");
        assert_eq!(error(&headers, ORDERS), (415, "BAD_REQUEST".to_owned(), expected));
    }
    let other = client.get("/invocations");
    assert_eq!((other.status, &other.json()["message"]), (405, &json!("this route takes POST only")));
    assert!(other.head.contains("allow: post"));
    server.drain();
}

#[test]
fn ping_tells_readiness_by_its_status() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    assert_eq!(client.get("/ping?probe=1").status, 503);
    let body = json!({ "instances": orders() }).to_string();
    let waiting = invoke(&mut client, "", &body);
    assert_eq!((waiting.status, &waiting.json()["error_code"]), (503, &json!("TEMPORARILY_UNAVAILABLE")));
    shop.readiness.started();
    shop.publish(0, 1);
    let ready = client.get("/ping");
    assert_eq!((ready.status, ready.body.as_slice()), (200, &b"\n"[..]));
    server.drain();
}
