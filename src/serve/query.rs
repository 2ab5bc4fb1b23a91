//! The query of a request: the parameters behind its path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::RequestError;

/// The parameters that a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// Any, which it ignores: probes and scrapers add parameters of their own.
    Any,
    /// The fields of a form, which depend on what the path names: the handler checks them, by [`check_fields`].
    Form,
    /// Parameters of these names, each once at most.
    Named(&'static [&'static str]),
}

impl QueryRule {
    /// Checks the query of a request.
    ///
    /// # Errors
    /// If it has a parameter that the route does not take, or one twice.
    pub fn check(self, query: Option<&str>) -> Result<(), RequestError> {
        let QueryRule::Named(names) = self else { return Ok(()) };
        let mut found: Vec<Cow<'_, str>> = Vec::new();
        for (name, _) in parameters(query.unwrap_or_default()) {
            let name = percent_decode_str(name).decode_utf8_lossy();
            if !names.contains(&name.as_ref()) {
                return Err(RequestError::Query { found: name.into_owned(), expected: names.join(", ") });
            }
            if found.contains(&name) {
                return Err(RequestError::QueryTwice(name.into_owned()));
            }
            found.push(name);
        }
        Ok(())
    }
}

/// The value of a parameter of a query that was checked; `None` if it is not there.
///
/// # Errors
/// If it is not UTF-8 once percent-decoded.
pub fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, RequestError> {
    let found = parameters(query).find(|(known, _)| percent_decode_str(known).decode_utf8_lossy() == name);
    found.map(|(_, value)| percent_decode_str(value).decode_utf8().map_err(|_| RequestError::Path)).transpose()
}

/// The names and values of a form, as browsers send it: percent-encoded, with `+` for a space.
///
/// # Errors
/// If one is not UTF-8 once decoded.
pub fn form(query: &str) -> Result<Vec<FormValue>, RequestError> {
    let text = |encoded: &str| {
        let spaced = encoded.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).map_err(|_| RequestError::Path)
    };
    parameters(query).map(|(name, value)| Ok(FormValue { name: text(name)?, value: text(value)? })).collect()
}

/// Checks the values of a form that has fields of these names.
///
/// # Errors
/// If there is a value for no field, or there are two for one.
pub fn check_fields(given: &[FormValue], names: &[&str]) -> Result<(), RequestError> {
    for (at, FormValue { name, .. }) in given.iter().enumerate() {
        if !names.contains(&name.as_str()) {
            return Err(RequestError::Query { found: name.clone(), expected: names.join(", ") });
        }
        if given[..at].iter().any(|before| before.name == *name) {
            return Err(RequestError::QueryTwice(name.clone()));
        }
    }
    Ok(())
}

/// A value of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormValue {
    pub name: String,
    pub value: String,
}

/// The names and values of the parameters, percent-encoded.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_the_parameters_that_its_route_takes_once() {
        let check = |rule: QueryRule, query| rule.check(Some(query)).map_err(|error| error.to_string());
        let named = QueryRule::Named(&["window"]);
        assert!(["", "&", "window=2h", "%77indow=2h&"].iter().all(|query| check(named, query).is_ok()));
        let unknown = "unknown query parameter \"wndow\"; this route takes window".to_owned();
        assert_eq!(check(named, "window=2h&wndow=3h"), Err(unknown));
        assert_eq!(check(named, "window=2h&window"), Err("query parameter window is given twice".to_owned()));
        assert_eq!(
            check(QueryRule::Named(&[]), "a=1"),
            Err("unknown query parameter \"a\"; this route takes none".to_owned())
        );
        assert_eq!(check(QueryRule::Any, "a=1&a=1"), Ok(()));
    }

    #[test]
    fn the_value_of_a_parameter_is_decoded() {
        assert_eq!(parameter("a=1&window=%32h", "window").unwrap().as_deref(), Some("2h"));
        assert_eq!(parameter("window", "window").unwrap().as_deref(), Some(""));
        assert_eq!(parameter("a=1", "window").unwrap(), None);
        assert!(parameter("window=%ff", "window").is_err());
    }
}
