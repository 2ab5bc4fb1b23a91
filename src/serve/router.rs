//! Finding the route of a request, and its counters.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::query::FormValue;
use super::reply::{self, Reply};
use super::{HttpRoute, RequestError, RouteFamily, query};
use crate::metrics::{Metrics, Traffic};

/// The label of requests whose path no route has.
const UNKNOWN: &str = "unknown";

/// The most captures of a pattern.
const MOST_CAPTURES: usize = 4;

/// The segments of a path that stand for the captures of a pattern, in order, and the query behind the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'a> {
    segments: [&'a str; MOST_CAPTURES],
    query: &'a str,
}

impl<'a> Captures<'a> {
    /// Matches a path with the pattern of a route; `None` if it does not match.
    fn of(route: &HttpRoute, path: &'a str) -> Option<Self> {
        let mut captures = Captures::default();
        let Some((literal, _)) = route.pattern.split_once('{') else {
            return (route.pattern == path).then_some(captures);
        };
        let rest = path.strip_prefix(literal)?;
        if route.is_prefix {
            captures.segments[0] = rest;
            let least = route.pattern.matches('{').count();
            return (rest.splitn(least, '/').count() == least).then_some(captures);
        }
        let (mut segments, mut next) = (rest.split('/'), 0);
        for expected in route.pattern[literal.len()..].split('/') {
            let segment = segments.next()?;
            match expected.strip_prefix('{').and_then(|capture| capture.split_once('}')) {
                Some((_, suffix)) => {
                    // A colon begins the action of a path, as in `late:predict`.
                    let is_whole = |captured: &&str| !captured.is_empty() && !captured.contains(':');
                    captures.segments[next] = segment.strip_suffix(suffix).filter(is_whole)?;
                    next += 1;
                }
                None if segment != expected => return None,
                None => {}
            }
        }
        segments.next().is_none().then_some(captures)
    }

    /// A capture as it stands in the path; empty if the pattern has fewer.
    pub fn raw(&self, index: usize) -> &'a str {
        self.segments[index]
    }

    /// The same captures before a query.
    pub fn with_query(self, query: Option<&'a str>) -> Self {
        Captures { query: query.unwrap_or_default(), ..self }
    }

    /// The value of a parameter of the query; `None` if it is not there.
    ///
    /// # Errors
    /// If it is not UTF-8 once percent-decoded.
    pub fn parameter(&self, name: &str) -> Result<Option<Cow<'a, str>>, RequestError> {
        query::parameter(self.query, name)
    }

    /// The query as the values of a form.
    ///
    /// # Errors
    /// If one is not UTF-8 once decoded.
    pub fn form(&self) -> Result<Vec<FormValue>, RequestError> {
        query::form(self.query)
    }

    /// A capture as text.
    ///
    /// # Errors
    /// If it is not UTF-8 once percent-decoded.
    pub fn text(&self, index: usize) -> Result<Cow<'a, str>, RequestError> {
        decode(self.raw(index))
    }

    /// A capture as the number of a version; `None` if the pattern has fewer captures.
    ///
    /// # Errors
    /// If it is no number.
    pub fn version(&self, index: usize) -> Result<Option<u64>, RequestError> {
        version_of(&self.text(index)?)
    }
}

/// The number of a version in a text; `None` if it is empty.
///
/// # Errors
/// If it is no number.
pub fn version_of(text: &str) -> Result<Option<u64>, RequestError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| RequestError::Key { column: "version".to_owned(), found: text.to_owned(), expected: "int" };
    text.parse().map(Some).map_err(wrong)
}

/// A segment of a path as text.
///
/// # Errors
/// If its percent-encoding is broken, or it is not UTF-8 once decoded.
pub fn decode(segment: &str) -> Result<Cow<'_, str>, RequestError> {
    let is_digit = |digit: Option<&u8>| digit.is_some_and(u8::is_ascii_hexdigit);
    let escapes =
        segment.bytes().enumerate().filter(|(_, byte)| *byte == b'%').map(|(at, _)| &segment.as_bytes()[at..]);
    if let Some(broken) = escapes.into_iter().find(|rest| !(is_digit(rest.get(1)) && is_digit(rest.get(2)))) {
        let shown = String::from_utf8_lossy(&broken[..broken.len().min(3)]).into_owned();
        return Err(RequestError::PercentEncoding(shown));
    }
    percent_decode_str(segment).decode_utf8().map_err(|_| RequestError::Path)
}

/// Every route of every family with its counters.
#[derive(Debug)]
pub struct Router {
    /// Errors about paths that no route has are written in the shape of this family.
    first: &'static RouteFamily,
    routes: Vec<CountedRoute>,
    /// Counts requests whose path no route has, and rejected connections.
    pub unknown: Traffic,
}

#[derive(Debug)]
struct CountedRoute {
    family: &'static RouteFamily,
    route: &'static HttpRoute,
    traffic: Traffic,
}

/// The route of a request, or the reason why it has none.
#[derive(Debug)]
pub struct RouteMatch<'s, 'p> {
    /// Errors are written in the shape of this family.
    pub family: &'static RouteFamily,
    /// The counters of the path, whatever the method.
    pub traffic: &'s Traffic,
    /// The route with its captures, or the reason why there is none.
    pub route: Result<(&'static HttpRoute, Captures<'p>), RequestError>,
}

impl Router {
    /// The routes of families.
    pub fn new(families: &[&'static RouteFamily], metrics: &Metrics) -> Self {
        let routes = families.iter().flat_map(|family| family.routes.iter().map(move |route| (*family, route)));
        let count = |(family, route): (&'static RouteFamily, &'static HttpRoute)| {
            let traffic = Traffic::new(metrics, route.pattern);
            CountedRoute { family, route, traffic }
        };
        Router { first: families[0], routes: routes.map(count).collect(), unknown: Traffic::new(metrics, UNKNOWN) }
    }

    /// Finds the route for a method and a path. A path with routes for other methods only is an error that names these.
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> RouteMatch<'_, 'p> {
        let mut others: Vec<&CountedRoute> = Vec::new();
        for counted in &self.routes {
            let CountedRoute { family, route, traffic } = counted;
            if let Some(captures) = Captures::of(route, path) {
                if route.takes(method) {
                    return RouteMatch { family, traffic, route: Ok((route, captures)) };
                }
                others.push(counted);
            }
        }
        match others.first() {
            Some(CountedRoute { family, traffic, .. }) => {
                let methods = others.iter().flat_map(|other| other.route.methods()).collect();
                RouteMatch { family, traffic, route: Err(RequestError::Method(methods)) }
            }
            None => {
                let error = RequestError::UnknownRoute(path.to_owned());
                RouteMatch { family: self.first, traffic: &self.unknown, route: Err(error) }
            }
        }
    }
}

impl RouteFamily {
    /// Returns an error in the family's shape, with the headers that it asks for.
    pub(super) fn refusal(&self, error: &RequestError) -> Reply {
        let mut reply = (self.error)(error);
        reply::add_error_headers(error, &mut reply);
        reply
    }
}

impl HttpRoute {
    /// The same route with one capture, of all that follows the text before the first brace.
    pub(super) const fn prefix(mut self) -> HttpRoute {
        self.is_prefix = true;
        self
    }

    /// The names of the methods taken.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.method.as_str()).chain((self.method == Method::GET).then_some("HEAD"))
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        self.method == *method || self.method == Method::GET && *method == Method::HEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::FAMILIES;

    fn find(method: &Method, path: &str) -> Result<(&'static str, Captures<'static>), String> {
        let router = Router::new(FAMILIES, &Metrics::new("test"));
        let path: &'static str = path.to_owned().leak();
        router.find(method, path).route.map(|(route, captures)| (route.pattern, captures)).map_err(|e| e.to_string())
    }

    fn captures(text: &'static str) -> Captures<'static> {
        Captures { segments: [text, "", "", ""], query: "" }
    }

    #[test]
    fn a_path_has_one_route() {
        let get = |path| find(&Method::GET, path);
        assert_eq!(find(&Method::POST, "/predict"), Ok(("/predict", captures(""))));
        assert_eq!(get("/features/airport/JFK"), Ok(("/features/{group}/{key}", captures("airport/JFK"))));
        assert_eq!(get("/features/desk/"), Ok(("/features/{group}/{key}", captures("desk/"))));
        assert_eq!(get("/"), Ok(("/", captures(""))));
        assert_eq!(get("/models/late"), Ok(("/models/{model}", captures("late"))));
        assert_eq!(get("/models/late/versions"), Ok(("/models/{model}/versions", captures("late"))));
        for path in [
            "",
            "/predict/",
            "/features/",
            "/models/late:predict",
            "/v1/models/late:nope",
            "/models/",
            "/models//versions",
            "/models/a/b",
            "/Predict",
            "*",
        ] {
            assert_eq!(get(path), Err(format!("unknown route {path}")));
        }
    }

    #[test]
    fn a_path_takes_its_methods_and_head_where_it_takes_get() {
        assert_eq!(find(&Method::HEAD, "/models"), Ok(("/models", Captures::default())));
        assert_eq!(find(&Method::HEAD, "/predict"), Err("this route takes POST only".to_owned()));
        for (method, path) in [(&Method::GET, "/v1/models/late:predict"), (&Method::HEAD, "/features/airport")] {
            assert_eq!(find(method, path), Err("this route takes POST only".to_owned()), "{path}");
        }
        assert_eq!(find(&Method::DELETE, "/models"), Err("this route takes GET and HEAD only".to_owned()));
    }

    #[test]
    fn no_two_routes_match_one_request_and_captures_fit() {
        let router = Router::new(FAMILIES, &Metrics::new("test"));
        for counted in &router.routes {
            let pattern = counted.route.pattern;
            assert!(pattern.matches('{').count() <= MOST_CAPTURES, "{pattern}");
            let found = router.find(&counted.route.method, pattern).route.expect("a pattern is a path of its route").0;
            assert_eq!((found.pattern, &found.method), (pattern, &counted.route.method));
        }
    }
}
