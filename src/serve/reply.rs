//! Answers: bodies and headers.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use super::RequestError;
use super::answered::{Answered, AnsweredExplanation};
use crate::aggregate::Feature;
use crate::model::{InputCell, Predictions, Task};
use crate::time::{EventTime, format_time};
use crate::value::Scalar;

/// The header with the arm of each instance, of answers whose body has no room for it.
const ARMS: HeaderName = HeaderName::from_static("tidemill-arms");

/// The most instances whose arms the header lists.
const MOST_LISTED: usize = 64;

/// An answer with a body of known length.
pub type Reply = Response<Full<Bytes>>;

/// A JSON text with status 200.
pub fn json(body: impl Into<Bytes>) -> Reply {
    with_type(StatusCode::OK, "application/json", body.into())
}

/// A JSON value with a status.
pub fn value(status: StatusCode, value: &serde_json::Value) -> Reply {
    with_type(status, "application/json", value.to_string().into())
}

/// Metrics in the text format of Prometheus.
pub fn exposition(text: Vec<u8>) -> Reply {
    with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into())
}

/// The error shape of tidemill's own routes: `{"error": "text"}`.
pub fn error(error: &RequestError) -> Reply {
    failure(error, &serde_json::json!({ "error": error.to_string() }))
}

/// An error with a body.
pub fn failure(error: &RequestError, body: &serde_json::Value) -> Reply {
    value(error.status(), body)
}

/// Adds the headers that an error asks for to its answer, in whichever shape that is: those that the answer does not have.
pub fn add_error_headers(error: &RequestError, reply: &mut Reply) {
    let headers = reply.headers_mut();
    match error {
        RequestError::Method(methods) => {
            let methods = HeaderValue::from_str(&methods.join(", ")).expect("names of methods are ASCII");
            headers.entry(ALLOW).or_insert(methods);
        }
        RequestError::ContentEncoding(_) => {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip, identity"));
        }
        RequestError::NoToken(_) => {
            headers.entry(WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    let is_away = matches!(error, RequestError::NoServer | RequestError::Store(_));
    if error.status() == StatusCode::TOO_MANY_REQUESTS || is_away {
        headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    if error.ends_connection() {
        end_connection(reply);
    }
}

/// Adds the header with the arms of a split to an answer, if they are few enough.
pub fn with_arms(mut reply: Reply, answered: &Answered) -> Reply {
    let text = answered.arms_text().filter(|_| answered.instances() <= MOST_LISTED);
    if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
        reply.headers_mut().insert(ARMS, value);
    }
    reply
}

/// Makes an answer the last on its connection.
pub fn end_connection<B>(reply: &mut Response<B>) {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Appends a value as JSON: times in RFC 3339, a float that JSON cannot hold as null.
pub fn write_scalar(value: &Scalar, out: &mut Vec<u8>) {
    match value {
        Scalar::Null => out.extend_from_slice(b"null"),
        Scalar::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Scalar::Int(value) => write!(out, "{value}").expect("writing to memory cannot fail"),
        Scalar::Float(value) => write_float(*value, out),
        Scalar::String(value) => write_text(value, out),
        Scalar::Timestamp(time) => write_text(&format_time(*time), out),
    }
}

/// Appends a float in its shortest form, null if it is not finite.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("writing to memory cannot fail");
}

/// Appends a list of predictions.
pub fn write_predictions(answered: &Answered, predictions: &Predictions, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, prediction) in predictions.rows().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_prediction(answered, prediction, out);
    }
    out.push(b']');
}

/// Appends a prediction: a number, an int if it is a cluster, or an object from class to probability if it has classes.
pub fn write_prediction(answered: &Answered, prediction: &[f64], out: &mut Vec<u8>) {
    if answered.task() == Task::Clustering {
        return serde_json::to_writer(out, &(prediction[0] as u64)).expect("writing to memory cannot fail");
    }
    write_outputs(answered.classes(), prediction, out);
}

/// Appends a number, or an object from class to number if there are classes.
fn write_outputs(classes: &[Arc<str>], outputs: &[f64], out: &mut Vec<u8>) {
    if classes.is_empty() {
        return write_float(outputs[0], out);
    }
    out.push(b'{');
    for (at, (class, output)) in classes.iter().zip(outputs).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(class, out);
        out.push(b':');
        write_float(*output, out);
    }
    out.push(b'}');
}

/// Appends `"explanations"`, a list of the explanations of predictions for so many instances: objects of the base and the
/// contributions by part, each of which is a number, or an object from class to number if predictions have classes.
///
/// # Panics
/// If the predictions are not explained.
pub fn write_explanations(answered: &Answered, instances: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"explanations\":[");
    for row in 0..instances {
        let AnsweredExplanation { classes, explanations, row: at } =
            answered.explanation(row).expect("predictions that are to be explained are, or their request is refused");
        out.extend_from_slice(if row == 0 { b"{\"base\":" } else { b",{\"base\":" });
        write_outputs(classes, explanations.base(at), out);
        out.extend_from_slice(b",\"contributions\":{");
        for (part, (name, contribution)) in explanations.parts().iter().zip(explanations.contributions(at)).enumerate()
        {
            if part > 0 {
                out.push(b',');
            }
            write_text(name, out);
            out.push(b':');
            write_outputs(classes, contribution, out);
        }
        out.extend_from_slice(b"}}");
    }
    out.push(b']');
}

/// Appends a list of values.
pub fn write_list<'a>(values: impl Iterator<Item = &'a Scalar>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_scalar(value, out);
    }
    out.push(b']');
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

/// Appends an object. The names are JSON strings already.
pub fn write_object<'a>(entries: impl Iterator<Item = (&'a str, &'a Scalar)>, out: &mut Vec<u8>) {
    write_entries(entries, out, write_scalar);
}

/// Appends an object of these names, which are JSON strings already, and inputs.
pub fn write_inputs<'a>(entries: impl Iterator<Item = (&'a str, InputCell<'a>)>, out: &mut Vec<u8>) {
    write_entries(entries, out, |value, out| match value {
        InputCell::Value(value) => write_scalar(value, out),
        InputCell::List(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { b'[' } else { b',' });
                write_scalar(item, out);
            }
            out.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
        InputCell::Map(entries) => {
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                write_text(key, out);
                out.push(b':');
                write_scalar(value, out);
            }
            out.extend_from_slice(if entries.is_empty() { b"{}" } else { b"}" });
        }
    });
}

/// Appends an object of these names, which are JSON strings already, and features as of an asking time.
pub fn write_features<'a>(entries: impl Iterator<Item = (&'a str, &'a Feature)>, asking: EventTime, out: &mut Vec<u8>) {
    write_entries(entries, out, |feature, out| write_feature(feature, asking, out));
}

/// Appends a feature as of an asking time: a list as a list, a map as an object.
pub fn write_feature(feature: &Feature, asking: EventTime, out: &mut Vec<u8>) {
    match feature {
        Feature::Value(value) => write_scalar(value, out),
        Feature::AsOf(deferred) => write_scalar(&deferred.at(asking), out),
        Feature::Open(open) => write_feature(&open.without(), asking, out),
        Feature::Panes(_) => write_scalar(&Scalar::Null, out),
        Feature::List(_) | Feature::Map(_) | Feature::MapAsOf(_) => {
            serde_json::to_writer(out, &feature.to_json(asking)).expect("memory takes all that is written");
        }
    }
}

fn write_entries<'a, T>(
    entries: impl Iterator<Item = (&'a str, T)>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'{');
    for (at, (name, value)) in entries.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Deferred;

    #[test]
    fn features_are_written_as_what_they_are_as_of_the_asking_time() {
        let features = [
            Feature::Value(Scalar::Timestamp(0)),
            Feature::List([Scalar::Int(2), Scalar::Null].into()),
            Feature::Map([("a\"".into(), Scalar::Float(0.5))].into()),
            Feature::AsOf(Deferred::SecondsSince(500)),
            Feature::NULL,
        ];
        let mut out = Vec::new();
        let names = [r#""a""#, r#""b""#, r#""c""#, r#""d""#, r#""e""#];
        write_features(names.into_iter().zip(&features), 2_000, &mut out);
        let expected = r#"{"a":"1970-01-01T00:00:00.000Z","b":[2,null],"c":{"a\"":0.5},"d":1.5,"e":null}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
