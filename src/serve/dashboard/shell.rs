//! The frame around the sections of all pages, and headers that let them load nothing from elsewhere.

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY};
use hyper::header::{WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use maud::{DOCTYPE, Markup, html};

use crate::serve::RequestError;
use crate::serve::reply::Reply;

/// A page loads its style sheet and its script from this endpoint and nothing else, and is in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The style sheet.
pub const STYLE: &str = include_str!("style.css");

/// The script that keeps a page fresh.
pub const SCRIPT: &str = include_str!("live.js");

/// The picture of a mill's wheel on water.
pub const ICON: &str = include_str!("icon.svg");

/// Returns a page of a dataflow. The script is loaded if a section is to be kept fresh.
pub fn page(dataflow: &str, title: &str, sections: &Markup) -> Reply {
    // A text cannot have it: its quotes and brackets are escaped, so it ends no tag.
    let is_live = sections.0.split('<').any(|tag| tag.split('>').next().is_some_and(|tag| tag.contains(" data-live")));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · tidemill" }
                link rel="stylesheet" href="/dashboard/style.css";
                link rel="icon" type="image/svg+xml" href="/dashboard/icon.svg";
                @if is_live { script src="/dashboard/live.js" defer {} }
            }
            body {
                a.skip href="#main" { "Skip to the contents" }
                header {
                    h1 { a href="/" { (dataflow) } }
                    p { (title) }
                    @if is_live { p #live role="status" aria-live="polite" {} }
                }
                main #main { (sections) }
                footer {
                    "Times are UTC. The same for programs: "
                    a href="/metrics" { "/metrics" } ", " a href="/dataflow" { "/dataflow" } ", " a href="/models" { "/models" }
                    "."
                }
            }
        }
    };
    respond(StatusCode::OK, "text/html; charset=utf-8", page.into_string())
}

/// Returns an error as a page.
pub fn error(error: &RequestError) -> Reply {
    let title = error.status().canonical_reason().unwrap_or("Error");
    let sections = html! {
        section {
            h2 { (title) }
            p { (error) }
            p { a href="/" { "Back to the dataflow" } }
        }
    };
    let mut reply = page("tidemill", title, &sections);
    *reply.status_mut() = error.status();
    if reply.status() == StatusCode::UNAUTHORIZED {
        // The browser asks for a user, who does not matter, and a password, which is a token.
        let asks = HeaderValue::from_static("Basic realm=\"tidemill: any user, a token as password\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, asks);
    }
    reply
}

/// Returns a text of a type, with the headers of a page.
pub fn respond(status: StatusCode, content_type: &'static str, text: impl Into<String>) -> Reply {
    let mut reply = Response::new(bytes::Bytes::from(text.into()).into());
    *reply.status_mut() = status;
    let headers: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}
