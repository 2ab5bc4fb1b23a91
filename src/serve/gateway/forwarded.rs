//! Headers of requests and answers that are passed on.

use std::net::IpAddr;

use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, VIA};

/// Headers that are of one connection, and not of a request or an answer (RFC 9110, section 7.6.1).
const OF_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes the headers that are of one connection, and those that `Connection` names.
pub fn remove_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    named.iter().for_each(|name| drop(headers.remove(name)));
    OF_CONNECTION.iter().for_each(|name| drop(headers.remove(*name)));
}

/// Returns the headers with which a request is sent on to a server, whose `Host` is added later: what the client sent, and
/// who it is.
pub fn of_request(sent: &HeaderMap, client: IpAddr, is_encrypted: bool) -> HeaderMap {
    let mut headers = sent.clone();
    remove_of_connection(&mut headers);
    // The body is whole, so its length is known and it is not waited for.
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
    if let Some(host) = headers.remove(HOST) {
        headers.insert(FORWARDED_HOST, host);
    }
    let client = client.to_canonical().to_string();
    let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let chain = before.chain([client.as_str()]).collect::<Vec<_>>().join(", ");
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if is_encrypted { "https" } else { "http" }));
    headers.append(VIA, HeaderValue::from_static("1.1 tidemill"));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn headers_of_the_connection_are_dropped_and_the_client_is_named() {
        let sent = headers(&[
            ("host", "mill.example"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eA=="),
            ("expect", "100-continue"),
            ("content-length", "7"),
            ("authorization", "Bearer t"),
            ("content-type", "application/json"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "gopher"),
        ]);
        let expected = headers(&[
            ("authorization", "Bearer t"),
            ("content-type", "application/json"),
            ("x-forwarded-host", "mill.example"),
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2, 192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 tidemill"),
        ]);
        assert_eq!(of_request(&sent, "::ffff:192.0.2.7".parse().unwrap(), true), expected);
    }
}
