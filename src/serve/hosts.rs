//! The names under which the endpoint may be requested on a loopback address.
//!
//! A web page may make the browser resolve its own name to 127.0.0.1 and then read whatever answers there as if it were
//! part of the page (DNS rebinding). The browser sends the page's name as the `Host`, so a request on a loopback address
//! is answered only under names that no page can have. `0.0.0.0` is one: it is an address, and the system connects it to
//! a loopback address.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{HOST, HeaderMap};

use super::RequestError;

/// The name that allows every name.
const ANY: &str = "*";

/// Names beside `localhost` and addresses of this machine, in lower case.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Allows these names as well, with any port; `*` allows all.
    pub fn new(names: &[String]) -> Self {
        AllowedHosts(names.iter().map(|name| host_of(name).unwrap_or_default()).collect())
    }

    /// Checks the host of a request. One without a host, as of HTTP/1.0, is not a browser's.
    ///
    /// # Errors
    /// If it is not allowed.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), RequestError> {
        let named = headers.get_all(HOST).iter().map(|value| value.to_str().unwrap_or_default());
        for host in uri.authority().map(|authority| authority.as_str()).into_iter().chain(named) {
            if !self.allows(host) {
                return Err(RequestError::Host(host.to_owned()));
            }
        }
        Ok(())
    }

    fn allows(&self, host: &str) -> bool {
        let Some(name) = host_of(host) else { return self.0.iter().any(|allowed| allowed == ANY) };
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let address = inner.unwrap_or(&name).parse::<IpAddr>();
        name == "localhost"
            || address.map(|address| address.to_canonical()).is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
            || self.0.iter().any(|allowed| allowed == ANY || *allowed == name)
    }
}

/// Returns the name in a `Host`, in lower case, without its port and the dot of a complete name; `None` if there is none.
fn host_of(host: &str) -> Option<String> {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn allows(allowed: &[&str], host: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        AllowedHosts::new(&allowed).allows(host)
    }

    #[test]
    fn localhost_and_loopback_addresses_are_allowed_with_any_port() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.8.7:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0:8080",
            "[::]:8080",
        ] {
            assert!(allows(&[], host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.com",
            "evil.com:8080",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.localhost",
            "10.0.0.1",
            "[::2]",
            "localhost@evil.com",
            "evil.com@localhost",
            "localhost:x",
            "localhost,evil.com",
            "127.1",
            "[evil.com]",
        ] {
            assert!(!allows(&[], host), "{host}");
        }
    }

    #[test]
    fn configured_names_are_allowed_as_well() {
        for host in ["predict.internal", "Predict.Internal.:9000", "localhost"] {
            assert!(allows(&["other", "predict.INTERNAL"], host), "{host}");
        }
        assert!(allows(&["predict.internal:80"], "predict.internal:9000"), "ports do not matter");
        assert!(!allows(&["predict.internal"], "x.predict.internal"));
        assert!(!allows(&["predict.internal", ""], ""));
        assert!(allows(&["*"], "evil.com") && allows(&["*"], ""));
    }

    #[test]
    fn every_host_of_a_request_is_checked_that_of_its_target_too() {
        let check = |target: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
            }
            AllowedHosts::default().check(&target.parse().unwrap(), &headers).map_err(|error| error.to_string())
        };
        assert_eq!(check("/metrics", &[]), Ok(()));
        assert_eq!(check("/metrics", &["localhost"]), Ok(()));
        assert_eq!(check("http://localhost:80/metrics", &["127.0.0.1"]), Ok(()));
        for (target, hosts) in [
            ("/metrics", &["evil.com"][..]),
            ("/metrics", &["localhost", "evil.com"]),
            ("http://evil.com/metrics", &["localhost"]),
            ("http://evil.com/metrics", &[]),
            ("/metrics", &["é"]),
            ("/metrics", &[""]),
        ] {
            let error = check(target, hosts).unwrap_err();
            assert!(error.contains("http.allowed_hosts"), "{target} {hosts:?}: {error}");
        }
    }
}
