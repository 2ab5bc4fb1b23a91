//! Secrets: kept out of everything that the program prints.
//!
//! Errors do not contain the values of keys that may hold a secret. As they may quote the errors of libraries and of
//! other systems, which do not know what is secret, whatever is printed goes through [`masked`] too: it hides the
//! passwords of URLs, and every value that has been made known by [`keep`].
//!
//! ```
//! use tidemill::secret;
//!
//! assert_eq!(secret::masked("redis://:pass/word@cache:6379 is away"), "redis://…@cache:6379 is away");
//! secret::keep("open sesame");
//! assert_eq!(secret::masked("the password open sesame is wrong"), "the password … is wrong");
//! ```

use std::borrow::Cow;
use std::sync::RwLock;

/// Values that are shorter are not hidden: they are also parts of ordinary words.
const SHORTEST: usize = 4;

static KEPT: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Parts of the names of settings whose values may be secret.
const SECRET_NAMES: [&str; 11] = [
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "jaas",
    ".pem",
    "ssl.key",
    "api.key",
    "oauthbearer.config",
    "private",
];

/// Hides a value in everything that is printed from now on.
pub fn keep(value: &str) {
    let mut kept = KEPT.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Logs have it with escapes, and drivers decode those of a URL.
    let escaped = format!("{value:?}");
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
    for value in [value, escaped.trim_matches('"'), &decoded] {
        if value.len() >= SHORTEST && !kept.iter().any(|known| known == value) {
            kept.push(value.to_owned());
        }
    }
    // A value that contains another one is hidden as a whole.
    kept.sort_by_key(|known| std::cmp::Reverse(known.len()));
}

/// Returns whether a setting of this name may have a secret value. The location of a secret is none.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.ends_with(".location") && SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Hides the password and the query of a URL that is printed as a part of other texts, from now on.
pub fn keep_url(url: &str) {
    let Some((_, rest)) = url.split_once("://") else { return };
    if let Some((user, _)) = rest.rsplit_once('@') {
        keep(user);
        keep(user.split_once(':').map_or(user, |(_, password)| password));
    }
    let (_, query) = rest.split_once('?').unwrap_or_default();
    query.split('&').filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| keep(value));
}

/// Returns a text without secrets, each replaced by `…`.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut text = without_url_passwords(text);
    let kept = KEPT.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    for secret in kept.iter() {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), "…").into();
        }
    }
    text
}

/// Hides what stands before the last `@` of each URL of a text.
fn without_url_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains("://") || !text.contains('@') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, url) = rest.split_at(scheme + "://".len());
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '`')).unwrap_or(url.len());
        out += before;
        match url[..end].rfind('@').filter(|_| !before.ends_with("file://")) {
            Some(at) => {
                out.push('…');
                rest = &url[at..];
            }
            None => rest = url,
        }
    }
    (out + rest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_is_hidden_wherever_it_stands() {
        for (text, shown) in [
            ("redis://user:pw@host/0", "redis://…@host/0"),
            ("x `rediss://:p@ss:w/rd?@host` y a@b", "x `rediss://…@host` y a@b"),
            ("two http://a:b@c, s3://k:s@bucket/x", "two http://…@c, s3://…@bucket/x"),
            ("http://127.0.0.1:8080/a@b is fine", "http://…@b is fine"),
            ("no url, a@b", "no url, a@b"),
            ("file:///tmp/a@b", "file:///tmp/a@b"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn a_value_is_hidden_with_those_inside_it() {
        keep("blue-heron");
        keep("blue-heron-nest");
        keep("ab");
        assert_eq!(masked("is blue-heron-nest or blue-heron; ab"), "is … or …; ab");
        keep_url("s3://key-of-bucket:swordfish@models?token=mellon-friend");
        assert_eq!(masked("swordfish, mellon-friend"), "…, …");
    }

    #[test]
    fn names_of_settings_tell_which_are_secret() {
        for name in
            ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "sasl.jaas.config"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["bootstrap.servers", "ssl.key.location", "fetch.wait.max.ms", "sasl.mechanism"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
