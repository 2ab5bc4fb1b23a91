//! Routes: which path is whose, and the method that it takes.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::RequestError;

/// Everything that can be asked for. An unknown path is a route too, to be counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Predict,
    Features,
    Models,
    Model,
    Versions,
    Live,
    Ready,
    Metrics,
    Dataflow,
    Unknown,
}

impl Route {
    pub const ALL: [Route; 10] = [
        Route::Predict,
        Route::Features,
        Route::Models,
        Route::Model,
        Route::Versions,
        Route::Live,
        Route::Ready,
        Route::Metrics,
        Route::Dataflow,
        Route::Unknown,
    ];

    /// How metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Route::Predict => "/predict",
            Route::Features => "/features/{group}/{key}",
            Route::Models => "/models",
            Route::Model => "/models/{model}",
            Route::Versions => "/models/{model}/versions",
            Route::Live => "/health/live",
            Route::Ready => "/health/ready",
            Route::Metrics => "/metrics",
            Route::Dataflow => "/dataflow",
            Route::Unknown => "unknown",
        }
    }

    fn method(self) -> (Method, &'static str) {
        match self {
            Route::Predict => (Method::POST, "POST"),
            Route::Features
            | Route::Models
            | Route::Model
            | Route::Versions
            | Route::Live
            | Route::Ready
            | Route::Metrics
            | Route::Dataflow
            | Route::Unknown => (Method::GET, "GET"),
        }
    }

    /// The route of a path, and what of the path names something.
    pub fn of(path: &str) -> (Route, &str) {
        match path {
            "/predict" => (Route::Predict, ""),
            "/models" => (Route::Models, ""),
            "/health/live" => (Route::Live, ""),
            "/health/ready" => (Route::Ready, ""),
            "/metrics" => (Route::Metrics, ""),
            "/dataflow" => (Route::Dataflow, ""),
            _ => Route::of_named(path).unwrap_or((Route::Unknown, path)),
        }
    }

    fn of_named(path: &str) -> Option<(Route, &str)> {
        if let Some(rest) = path.strip_prefix("/features/") {
            return Some((Route::Features, rest)).filter(|(_, rest)| !rest.is_empty());
        }
        let model = path.strip_prefix("/models/")?;
        let (route, model) = match model.strip_suffix("/versions") {
            Some(model) => (Route::Versions, model),
            None => (Route::Model, model),
        };
        Some((route, model)).filter(|(_, model)| !model.is_empty() && !model.contains('/'))
    }

    /// Checks the method.
    ///
    /// # Errors
    /// If the route does not exist or takes another.
    pub fn check(self, method: &Method, path: &str) -> Result<(), RequestError> {
        if self == Route::Unknown {
            return Err(RequestError::UnknownRoute(path.to_owned()));
        }
        let (taken, name) = self.method();
        if *method == taken { Ok(()) } else { Err(RequestError::Method(name)) }
    }
}

/// A segment of a path as text.
///
/// # Errors
/// If it is not UTF-8.
pub fn decode(segment: &str) -> Result<Cow<'_, str>, RequestError> {
    percent_decode_str(segment).decode_utf8().map_err(|_| RequestError::Path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_route() {
        assert_eq!(Route::of("/predict"), (Route::Predict, ""));
        assert_eq!(Route::of("/features/airport/JFK"), (Route::Features, "airport/JFK"));
        assert_eq!(Route::of("/features/desk/"), (Route::Features, "desk/"));
        assert_eq!(Route::of("/models/late"), (Route::Model, "late"));
        assert_eq!(Route::of("/models/late/versions"), (Route::Versions, "late"));
        for path in
            ["/", "", "/predict/", "/features/", "/models/", "/models//versions", "/models/a/b", "/Predict", "*"]
        {
            assert_eq!(Route::of(path), (Route::Unknown, path));
        }
    }
}
