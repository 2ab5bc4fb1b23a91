//! The Open Inference Protocol: tensors in JSON and binary, metadata, readiness, statistics and the index.

use serde_json::{Value, json};

use super::{columns, predicted, shop};
use crate::common::shop::{Answer, Client, LARGE, SHOP, Shop};

/// The input tensors of the orders, in JSON.
pub fn inputs() -> Value {
    let columns = columns();
    let tensor =
        |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [3], "data": columns[name] });
    json!([
        tensor("buyer", "BYTES"),
        tensor("country", "BYTES"),
        tensor("amount", "FP64"),
        tensor("items", "INT64"),
        tensor("vip", "BOOL"),
    ])
}

/// A request with binary tensors: its JSON and what follows.
pub fn binary(request: &Value, tensors: &[Vec<u8>]) -> (usize, Vec<u8>) {
    let json = request.to_string().into_bytes();
    let length = json.len();
    (length, [json, tensors.concat()].concat())
}

/// Posts a body that begins with `length` bytes of JSON.
pub fn post_binary(client: &mut Client, path: &str, length: impl ToString, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nInference-Header-Content-Length: {}\r\ncontent-length: {}\r\n\r\n",
        length.to_string(),
        body.len()
    );
    client.send(&[head.as_bytes(), body].concat()).unwrap();
    client.receive().expect("an answer")
}

/// Texts as the bytes of a binary tensor.
pub fn texts(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()).collect()
}

#[test]
fn tensors_in_json_are_predicted_for_as_instances_are() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (model, shape, datatype) in
        [("large", json!([3]), "FP64"), ("counted", json!([3]), "FP64"), ("sorts", json!([3]), "INT64")]
    {
        for version in [None, Some(1)] {
            let path = version.map_or_else(String::new, |version| format!("/versions/{version}"));
            let body = json!({ "id": "a \"1\"", "inputs": inputs() });
            let answer = client.post(&format!("/v2/models/{model}{path}/infer"), body.to_string());
            assert_eq!(answer.status, 200, "{answer:?}");
            let data = predicted(&mut client, model, version);
            let expected = json!({
                "model_name": model, "model_version": version.unwrap_or(2).to_string(), "id": "a \"1\"",
                "parameters": { "watermark": "2024-01-01T11:59:59.000Z" },
                "outputs": [{ "name": "predictions", "datatype": datatype, "shape": shape, "data": data }],
            });
            assert_eq!(answer.json(), expected);
        }
    }
    let answer = client.post("/v2/models/levels/infer", json!({ "inputs": inputs() }).to_string()).json();
    let classes = ["high", "low", "mid"];
    let expected = predicted(&mut client, "levels", None);
    let expected: Vec<&Value> = (0..9).map(|at| &expected[at / 3][classes[at % 3]]).collect();
    assert_eq!(
        answer["outputs"],
        json!([
            { "name": "predictions", "datatype": "FP64", "shape": [3, 3], "data": expected },
            { "name": "classes", "datatype": "BYTES", "shape": [3], "data": classes },
        ])
    );
    // Without an id there is none, and there may be no instances at all.
    let none = json!({ "inputs": [{ "name": "amount", "datatype": "FP64", "shape": [0], "data": [] }] });
    let answer = client.post("/v2/models/large/infer", none.to_string()).json();
    assert!(answer.get("id").is_none() && answer["outputs"][0]["data"] == json!([]), "{answer}");
    server.drain();
}

#[test]
fn a_column_may_be_nested_in_rows_of_one_and_have_any_datatype_that_fits() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let expected = predicted(&mut client, "large", None);
    let mut infer = |inputs: Value| {
        let body = json!({ "parameters": { "content_type": "pd" }, "inputs": inputs, "outputs": [] });
        let answer = client.post("/v2/models/large/infer", body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["outputs"][0]["data"].clone()
    };
    let mut nested = inputs();
    for input in nested.as_array_mut().unwrap() {
        input["shape"] = json!([3, 1]);
        input["parameters"] = json!({ "content_type": "np" });
        input["data"] = input["data"].as_array().unwrap().iter().map(|value| json!([value])).collect();
    }
    assert_eq!(infer(nested), expected);
    let mut other = inputs();
    other[2]["datatype"] = json!("FP32");
    other[3]["datatype"] = json!("UINT8");
    assert_eq!(infer(other.clone()), expected);
    // A frame of pandas has floats where an int is missing somewhere, and a feature may be a column as well.
    other[3]["datatype"] = json!("FP64");
    let feature = json!({ "name": "spend.amount_count_1h", "datatype": "FP64", "shape": [3], "data": [0.0, 0, null] });
    other.as_array_mut().unwrap().push(feature);
    assert_ne!(infer(other), expected);
    server.drain();
}

#[test]
fn binary_tensors_are_read_and_written() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let tensors = [
        texts(&["Ann", "bob", "a/b c"]),
        [20.0f64, 0.5, -3.25].iter().flat_map(|value| value.to_le_bytes()).collect(),
        [2i32, 1, 0].iter().flat_map(|value| value.to_le_bytes()).collect(),
    ];
    let tensor = |name: &str, datatype: &str, at: usize| {
        let size = tensors[at].len();
        json!({ "name": name, "datatype": datatype, "shape": [3, 1], "parameters": { "binary_data_size": size } })
    };
    let columns = columns();
    let json_tensor =
        |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [3], "data": columns[name] });
    // Binary and JSON tensors may be mixed; the binary ones follow in their order.
    let mut request = json!({
        "inputs": [
            tensor("buyer", "BYTES", 0), json_tensor("country", "BYTES"), tensor("amount", "FP64", 1),
            json_tensor("vip", "BOOL"), tensor("items", "INT32", 2),
        ],
    });
    for (model, width) in [("large", 8), ("levels", 24), ("sorts", 8)] {
        request["parameters"] = json!({ "binary_data_output": false });
        let (length, body) = binary(&request, &tensors);
        let path = format!("/v2/models/{model}/infer");
        let plain = post_binary(&mut client, &path, length, &body);
        assert!(plain.status == 200 && plain.head.contains("content-type: application/json"), "{plain:?}");
        let plain = plain.json();
        request["parameters"] = json!({ "binary_data_output": true });
        let (length, body) = binary(&request, &tensors);
        let answer = post_binary(&mut client, &path, length, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: application/octet-stream"), "{answer:?}");
        let length = answer.head.lines().find_map(|line| line.strip_prefix("inference-header-content-length: "));
        let (json, rest) = answer.body.split_at(length.unwrap().parse().unwrap());
        let json: Value = serde_json::from_slice(json).unwrap();
        let size = 3 * width;
        assert_eq!(json["outputs"][0]["parameters"], json!({ "binary_data_size": size }));
        let values: Vec<Value> = rest[..size]
            .chunks(8)
            .map(|bytes| <[u8; 8]>::try_from(bytes).unwrap())
            .map(
                |bytes| {
                    if model == "sorts" { json!(i64::from_le_bytes(bytes)) } else { json!(f64::from_le_bytes(bytes)) }
                },
            )
            .collect();
        assert_eq!(json!(values), plain["outputs"][0]["data"]);
        let expected = if model == "levels" { texts(&["high", "low", "mid"]) } else { Vec::new() };
        assert_eq!(rest[size..], expected);
    }
    // An output says for itself whether it is binary.
    let outputs = json!([{ "name": "classes" }, { "name": "predictions", "parameters": { "binary_data": true } }]);
    let request = json!({ "inputs": inputs(), "outputs": outputs });
    let answer = client.post("/v2/models/levels/infer", request.to_string());
    let start = String::from_utf8_lossy(&answer.body).into_owned();
    let expected = r#""outputs":[{"name":"classes","datatype":"BYTES","shape":[3],"data":["high","low","mid"]},{"name":"predictions","datatype":"FP64","shape":[3,3],"parameters":{"binary_data_size":72}}]}"#;
    assert!(start.contains(expected), "{start}");
    server.drain();
}

#[test]
fn a_null_of_a_data_frame_is_nan() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let infer = |client: &mut Client, value: f64| {
        let inputs = json!([
            { "name": "buyer", "datatype": "BYTES", "shape": [1], "data": ["ann"] },
            { "name": "items", "datatype": "INT64", "shape": [1], "data": [2] },
            { "name": "amount", "datatype": "FP64", "shape": [1], "data": [20.0] },
            { "name": "age", "datatype": "FP64", "shape": [1], "parameters": { "binary_data_size": 8 } },
        ]);
        let (length, body) = binary(&json!({ "inputs": inputs }), &[value.to_le_bytes().to_vec()]);
        post_binary(client, "/v2/models/large/infer", length, &body)
    };
    let order = json!({ "buyer": "ann", "items": 2, "amount": 20.0, "age": null });
    let expected = client.post("/predict", json!({ "instances": [order] }).to_string()).json()["predictions"].clone();
    assert_eq!(infer(&mut client, f64::NAN).json()["outputs"][0]["data"], expected);
    let infinite = infer(&mut client, f64::INFINITY);
    assert_eq!(
        (infinite.status, infinite.error().as_str()),
        (400, "instances[0].age: expected int, found the number inf")
    );
    server.drain();
}

#[test]
fn a_wrong_request_is_refused_with_its_tensor() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |change: &dyn Fn(&mut Value)| {
        let mut request = json!({ "inputs": inputs() });
        change(&mut request);
        let answer = client.post("/v2/models/large/infer", request.to_string());
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error()
    };
    let shape = "inputs[2] (amount): shape [3, 2]; expected [N] or [N, 1], for a tensor is one column";
    assert_eq!(error(&|r| r["inputs"][2]["shape"] = json!([3, 2])), shape);
    assert_eq!(error(&|r| r["inputs"][2]["shape"] = json!([4])), "inputs[2] (amount): it has 4 rows and buyer has 3");
    assert_eq!(
        error(&|r| r["inputs"][0]["data"] = json!(["a"])),
        "inputs[0] (buyer): 1 values; expected 3 by the shape"
    );
    assert_eq!(error(&|r| r["inputs"][0]["data"] = json!("a")), "inputs[0] (buyer): data: expected a list of values");
    let nested = json!([[["a"]], "b", "c"]);
    assert!(
        error(&|r| r["inputs"][0]["data"] = nested.clone()).starts_with("inputs[0] (buyer): data[0]: expected a value")
    );
    let wrong = "inputs[3] (items): data[1]: expected a value of INT64, found \"x\"";
    assert_eq!(error(&|r| r["inputs"][3]["data"][1] = json!("x")), wrong);
    assert_eq!(
        error(&|r| r["inputs"][4]["data"][0] = json!(1)),
        "inputs[4] (vip): data[0]: expected a value of BOOL, found 1"
    );
    assert!(error(&|r| r["inputs"][3]["datatype"] = json!("INT")).starts_with("inputs[3] (items): datatype \"INT\""));
    let base64 = json!({ "content_type": "base64" });
    assert!(
        error(&|r| r["inputs"][0]["parameters"] = base64.clone()).contains("content_type \"base64\"; expected one of")
    );
    assert!(
        error(&|r| r["parameters"] = json!({ "content_type": "np" }))
            .starts_with("parameters.content_type: expected pd")
    );
    assert!(error(&|r| r["parameters"] = json!({ "sequence_id": 3 })).starts_with("unknown field `sequence_id`"));
    assert!(error(&|r| r["inputs"][0]["data"] = Value::Null).starts_with("inputs[0] (buyer): neither data nor"));
    let both = json!({ "binary_data_size": 1 });
    assert!(error(&|r| r["inputs"][0]["parameters"] = both.clone()).starts_with("inputs[0] (buyer): both data and"));
    assert_eq!(error(&|r| r["inputs"] = json!([])), "inputs: expected a tensor for each column");
    assert!(error(&|r| drop(r.as_object_mut().unwrap().remove("inputs"))).starts_with("inputs: missing"));
    assert_eq!(
        error(&|r| r["outputs"] = json!([{ "name": "predict" }])),
        "outputs[0]: unknown output predict; expected predictions"
    );
    let twice = json!([{ "name": "predictions" }, { "name": "predictions" }]);
    assert_eq!(error(&|r| r["outputs"] = twice.clone()), "outputs[1]: predictions is asked for twice");
    let classification = json!([{ "name": "predictions", "parameters": { "classification": 1 } }]);
    assert!(error(&|r| r["outputs"] = classification.clone()).starts_with("unknown field `classification`"));
    // The values of a column are those of an instance, with the same mistakes.
    assert_eq!(
        error(&|r| r["inputs"][0]["name"] = json!("buyr")),
        "instances[0].buyr: unknown field; did you mean buyer?"
    );
    assert_eq!(error(&|r| r["inputs"][0]["data"][2] = Value::Null), "instances[2].buyer: expected string, found null");
    let text = json!({ "name": "items", "datatype": "BYTES", "shape": [3], "data": ["1", "two", "3"] });
    assert_eq!(error(&|r| r["inputs"][3] = text.clone()), "instances[1].items: expected int, found the text \"two\"");
    assert!(error(&|r| r["inputs"][3]["name"] = json!("buyer")).ends_with("buyer: malformed: duplicate field"));
    assert_eq!(error(&|r| drop(r["inputs"].as_array_mut().unwrap().remove(0))), "instances[0].buyer: missing");
    let mut status = |path: &str| client.post(path, json!({ "inputs": inputs() }).to_string()).status;
    assert_eq!(status("/v2/models/larg/infer"), 404);
    assert_eq!(status("/v2/models/large/versions/9/infer"), 404);
    assert_eq!(status("/v2/models/large/versions/x/infer"), 400);
    assert_eq!(status("/v2/models/large"), 405);
    server.drain();
}

#[test]
fn lengths_of_binary_tensors_must_fit() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |datatype: &str, shape: u64, size: usize, bytes: &[u8], length: Option<&str>| {
        let tensor = json!({
            "name": "buyer", "datatype": datatype, "shape": [shape], "parameters": { "binary_data_size": size }
        });
        let (json, body) = binary(&json!({ "inputs": [tensor] }), &[bytes.to_vec()]);
        let length = length.map_or_else(|| json.to_string(), str::to_owned);
        let answer = post_binary(&mut client, "/v2/models/large/infer", length, &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error().replace("inputs[0] (buyer): ", "")
    };
    assert_eq!(error("INT64", 1, 7, &[0; 7], None), "7 bytes; expected 1 values of 8 bytes by the shape");
    let far = format!("8 bytes; expected {} values of 8 bytes by the shape", u64::MAX);
    assert_eq!(error("INT64", u64::MAX, 8, &[0; 8], None), far);
    assert_eq!(error("INT64", 1, 8, &[0; 7], None), "binary_data_size 8, of which 7 bytes came");
    assert_eq!(error("INT64", 1, 8, &[0; 9], None), "1 bytes after the last binary tensor");
    assert_eq!(error("BYTES", 1, 3, &[0; 3], None), "the length of the last text is cut off");
    assert_eq!(error("BYTES", 1, 5, &[2, 0, 0, 0, 65], None), "text 0 has 2 bytes, of which 1 are there");
    assert_eq!(error("BYTES", 1, 5, &[1, 0, 0, 0, 0xff], None), "text 0 is not UTF-8");
    assert_eq!(error("BYTES", 2, 5, &[1, 0, 0, 0, 65], None), "1 texts; expected 2 by the shape");
    assert_eq!(
        error("BYTES", 1, 4, &u32::MAX.to_le_bytes(), None),
        "text 0 has 4294967295 bytes, of which 0 are there"
    );
    for length in ["100000", "-1", "many", "18446744073709551616"] {
        assert!(error("BYTES", 1, 0, &[], Some(length)).starts_with("Inference-Header-Content-Length: expected"));
    }
    for length in ["0", "20"] {
        assert!(error("BYTES", 1, 0, &[], Some(length)).contains("EOF while parsing"));
    }
    server.drain();
}

#[test]
fn metadata_list_the_columns_that_inputs_are_made_from() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let extensions = ["binary_tensor_data", "model_configuration", "statistics"];
    let about = json!({ "name": "tidemill", "version": env!("CARGO_PKG_VERSION"), "extensions": extensions });
    assert_eq!(client.get("/v2").json(), about);
    assert_eq!(client.get("/v2/models").json(), json!({ "models": ["large", "counted", "levels", "sorts"] }));
    let tensor = |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [-1] });
    let large = json!({
        "name": "large", "versions": ["1", "2"], "platform": "tidemill_safetensors",
        "inputs": [
            tensor("buyer", "BYTES"), tensor("country", "BYTES"), tensor("amount", "FP64"), tensor("items", "INT64"),
            tensor("vip", "BOOL"),
        ],
        "outputs": [tensor("predictions", "FP64")],
    });
    assert_eq!(client.get("/v2/models/large").json(), large);
    assert_eq!(client.get("/v2/models/large/versions/1").json(), large);
    let levels = client.get("/v2/models/levels").json();
    let outputs = json!([
        { "name": "predictions", "datatype": "FP64", "shape": [-1, 3] },
        { "name": "classes", "datatype": "BYTES", "shape": [3] },
    ]);
    assert_eq!(levels["outputs"], outputs);
    assert_eq!(client.get("/v2/models/sorts").json()["outputs"], json!([tensor("predictions", "INT64")]));
    let config = json!({
        "name": "sorts", "platform": "tidemill_safetensors", "backend": "tidemill", "max_batch_size": 0,
        "input": [
            { "name": "amount", "data_type": "TYPE_FP64", "dims": [-1], "optional": false },
            { "name": "items", "data_type": "TYPE_INT64", "dims": [-1], "optional": false },
        ],
        "output": [{ "name": "predictions", "data_type": "TYPE_INT64", "dims": [-1] }],
    });
    assert_eq!(client.get("/v2/models/sorts/config").json(), config);
    assert_eq!(client.get("/v2/models/sorts/versions/2/config").json(), config);
    for path in ["/ready", "/config", "/stats", ""] {
        assert_eq!(client.get(&format!("/v2/models/larg{path}")).error(), "unknown model larg; did you mean large?");
        let unknown = client.get(&format!("/v2/models/large/versions/7{path}"));
        assert_eq!((unknown.status, unknown.error().as_str()), (404, "model large has no version 7"));
    }
    server.drain();
}

#[test]
fn readiness_is_in_the_status_and_the_body() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut status = |path: &str, field: &str| {
        let answer = client.get(path);
        (answer.status, answer.json()[field].clone())
    };
    assert_eq!(status("/v2/health/live?probe=1", "live"), (200, json!(true)));
    assert_eq!(status("/v2/health/ready", "ready"), (503, json!(false)));
    assert_eq!(status("/v2/models/large/ready", "ready"), (503, json!(false)));
    assert_eq!(status("/v2/models/large", "versions"), (200, json!([])));
    shop.readiness.started();
    shop.publish(0, 1);
    assert_eq!(status("/v2/health/ready", "ready"), (200, json!(true)));
    assert_eq!(status("/v2/models/large/ready", "ready"), (200, json!(true)));
    assert_eq!(status("/v2/models/large/versions/1/ready", "ready"), (200, json!(true)));
    assert_eq!(status("/v2/models/large/versions/2/ready", "error").0, 404);
    server.drain();
}

#[test]
fn the_index_lists_versions_and_statistics_count_what_each_answered() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let waiting = json!([{ "name": "large", "state": "UNAVAILABLE", "reason": "no version yet" }]);
    assert_eq!(client.post("/v2/repository/index", "").json(), waiting);
    assert_eq!(client.post("/v2/repository/index", r#"{"ready": true}"#).json(), json!([]));
    assert_eq!(client.post("/v2/repository/index", "[").status, 400);
    assert_eq!(client.post("/v2/models/large/infer", json!({ "inputs": inputs() }).to_string()).status, 503);
    shop.fill();
    shop.publish(0, 2);
    let version = |version: &str| json!({ "name": "large", "version": version, "state": "READY" });
    assert_eq!(client.post("/v2/repository/index", "{}").json(), json!([version("1"), version("2")]));
    let body = json!({ "inputs": inputs() }).to_string();
    for _ in 0..2 {
        assert_eq!(client.post("/v2/models/large/versions/1/infer", &body).status, 200);
    }
    assert_eq!(client.post("/v2/models/large/infer", body.replace("buyer", "buyr")).status, 400);
    // Requests of every family count.
    predicted(&mut client, "large", Some(1));
    let mut stats = |path: &str| {
        let stats = client.get(path).json()["model_stats"].clone();
        let of = |stats: &Value| {
            let inference = &stats["inference_stats"];
            let counts = [&stats["inference_count"], &stats["execution_count"], &inference["fail"]["count"]];
            let spent = inference["success"]["ns"].as_u64().unwrap() > 0;
            assert_eq!((spent, stats["last_inference"].as_u64().unwrap() > 0), (*counts[1] != json!(0), spent));
            (stats["version"].clone(), counts.map(Value::clone).to_vec())
        };
        stats.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let first = (json!("1"), vec![json!(9), json!(3), json!(0)]);
    let second = (json!("2"), vec![json!(0), json!(0), json!(1)]);
    assert_eq!(stats("/v2/models/large/stats"), [first.clone(), second]);
    assert_eq!(stats("/v2/models/large/versions/1/stats"), [first]);
    server.drain();
}
