//! Errors of reading JSON in the terms of a request: of the types of JSON, not of those that a body is read into.

use serde::Deserialize;

use super::RequestError;

/// Reads a body.
///
/// # Errors
/// If it is empty, no JSON, or not what is `expected`.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a str, expected: &str) -> Result<T, RequestError> {
    check_not_empty(body, expected)?;
    serde_json::from_str(body).map_err(|error| malformed(&error))
}

/// Checks that there is a body.
///
/// # Errors
/// If it is empty.
pub fn check_not_empty(body: &str, expected: &str) -> Result<(), RequestError> {
    match body.trim_ascii() {
        "" => Err(RequestError::Malformed(format!("the body is empty; expected {expected}"))),
        _ => Ok(()),
    }
}

/// The error of a body that cannot be read.
pub fn malformed(error: &serde_json::Error) -> RequestError {
    RequestError::Malformed(reworded(&error.to_string()))
}

/// The text of an error as `expected …, found …`, with what stands before it and its position.
pub fn reworded(text: &str) -> String {
    let mismatch = text.split_once("invalid type: ").or_else(|| text.split_once("invalid value: "));
    // A value that was found may have the words of an error itself.
    let before = mismatch.map_or(text, |(place, _)| place);
    if let Some(at) = before.find("missing field `") {
        let (place, rest) = (&text[..at], &text[at + "missing field `".len()..]);
        if let Some((name, position)) = rest.split_once('`') {
            return format!("{place}{name}: missing{position}");
        }
    }
    let Some((place, (found, rest))) =
        mismatch.and_then(|(place, rest)| Some((place, rest.rsplit_once(", expected ")?)))
    else {
        return text.to_owned();
    };
    let (expected, position) = rest.rfind(" at line ").map_or((rest, ""), |at| rest.split_at(at));
    format!("{place}expected {}, found {}{position}", expected_words(expected), found_words(found))
}

/// The words for a type that a value is read into.
fn expected_words(ty: &str) -> &str {
    match ty {
        "u64" | "u32" | "usize" => "a whole number of at least 0",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "text",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if ty.starts_with("struct ") => "an object",
        _ => ty,
    }
}

/// The words for a value that was found.
fn found_words(found: &str) -> String {
    let quoted = |name: &str| found.strip_prefix(name).map(|value| value.trim_matches('`'));
    if let Some(number) = quoted("integer ").or_else(|| quoted("floating point ")) {
        return format!("the number {number}");
    }
    if let Some(text) = found.strip_prefix("string ") {
        return format!("the text {text}");
    }
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        _ => quoted("boolean ").unwrap_or(found).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(rename = "version")]
        _version: u64,
        #[serde(rename = "share")]
        _share: Option<f64>,
        #[serde(rename = "names")]
        _names: Option<Vec<String>>,
        #[serde(rename = "explain")]
        _explain: Option<bool>,
    }

    #[test]
    fn errors_are_in_the_terms_of_json() {
        let error = |body: &str| parse::<Body>(body, "an object").unwrap_err().to_string();
        for (body, expected) in [
            (" ", "the body is empty; expected an object"),
            ("3", "expected an object, found the number 3 at line 1 column 1"),
            ("{}", "version: missing at line 1 column 2"),
            (
                r#"{"version":"a, expected u64"}"#,
                r#"expected a whole number of at least 0, found the text "a, expected u64" at line 1 column 28"#,
            ),
            (
                r#"{"version":"missing field `x`"}"#,
                "expected a whole number of at least 0, found the text \"missing field `x`\" at line 1 column 30",
            ),
            (r#"{"version":-1}"#, "expected a whole number of at least 0, found the number -1 at line 1 column 13"),
            (r#"{"version":1,"share":[]}"#, "expected a number, found a list at line 1 column 21"),
            (r#"{"version":1,"names":true}"#, "expected a list, found true at line 1 column 25"),
            (r#"{"version":1,"names":[null]}"#, "expected text, found null at line 1 column 26"),
            (r#"{"version":1,"explain":1.5}"#, "expected true or false, found the number 1.5 at line 1 column 26"),
        ] {
            assert_eq!(error(body), expected, "{body}");
        }
    }
}
