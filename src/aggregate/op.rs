//! Ops: a kind of aggregate with its parameters, as a dataflow file writes it.
//!
//! ```
//! use tidemill::aggregate::Op;
//!
//! assert_eq!(Op::parse("mean").unwrap().to_string(), "mean");
//! assert_eq!(Op::parse("mean(2)").unwrap_err().to_string(), "op 'mean' has no parameters");
//! ```

use std::fmt;

use super::{AggregateKind, Feature, FeatureType, kind};
use crate::time::parse_duration;
use crate::value::Type;

/// One parameter of a kind of aggregate.
#[derive(Clone, Copy, Debug)]
pub struct OpParameter {
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    pub of: ParameterType,
    /// The least and the greatest value, both allowed.
    pub least: f64,
    pub greatest: f64,
}

/// The syntax of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// `0.9`
    Number,
    /// `5`
    Count,
    /// `"1h"`; its value is in ms.
    Duration,
}

impl ParameterType {
    fn describe(self) -> &'static str {
        match self {
            ParameterType::Number => "a number",
            ParameterType::Count => "a whole number",
            ParameterType::Duration => "a duration, such as \"1h\"",
        }
    }
}

/// The values of an op's parameters, in the order of its kind's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpParameters(Vec<f64>);

impl OpParameters {
    /// The value at a position.
    ///
    /// # Panics
    /// If the kind has fewer parameters.
    pub fn get(&self, position: usize) -> f64 {
        self.0[position]
    }
}

/// A kind of aggregate with its parameters.
#[derive(Clone, Debug)]
pub struct Op {
    pub kind: &'static AggregateKind,
    pub parameters: OpParameters,
    /// The op as it was written, without spaces.
    text: String,
}

/// Why a text is no op.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpError {
    #[error("unknown op '{0}'")]
    Unknown(String),
    #[error("op '{0}' has no parameters")]
    NoParameters(String),
    #[error("op '{op}' has {found} parameters")]
    Count { op: String, found: usize, expected: String },
    #[error("'{found}' is not {name} of op '{op}'")]
    Parameter { op: String, name: &'static str, found: String, expected: String },
    #[error("'{0}' has no closing ')'")]
    Unclosed(String),
}

impl OpError {
    /// The expected input; `None` where a list of all ops is shown instead.
    pub fn expected(&self) -> Option<String> {
        match self {
            OpError::Unknown(_) => None,
            OpError::NoParameters(op) => Some(format!("\"{op}\"")),
            OpError::Count { expected, .. } | OpError::Parameter { expected, .. } => Some(expected.clone()),
            OpError::Unclosed(_) => Some("\"op\" or \"op(parameter, …)\"".to_owned()),
        }
    }
}

impl Op {
    /// Reads `name` or `name(parameter, …)`.
    ///
    /// # Errors
    /// If there is no such kind, or it does not take these parameters.
    pub fn parse(text: &str) -> Result<Op, OpError> {
        let (name, list) = match text.split_once('(') {
            None => (text.trim(), None),
            Some((name, rest)) => {
                let list = rest.trim_end().strip_suffix(')').ok_or_else(|| OpError::Unclosed(text.to_owned()))?;
                (name.trim(), Some(list))
            }
        };
        let kind = kind(name).ok_or_else(|| OpError::Unknown(name.to_owned()))?;
        let words: Vec<&str> = list.map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default();
        if kind.parameters.is_empty() && list.is_some() {
            return Err(OpError::NoParameters(name.to_owned()));
        }
        if words.len() != kind.parameters.len() {
            let names: Vec<&str> = kind.parameters.iter().map(|parameter| parameter.name).collect();
            let expected = format!("{name}({})", names.join(", "));
            return Err(OpError::Count { op: name.to_owned(), found: words.len(), expected });
        }
        let values = kind.parameters.iter().zip(&words).map(|(parameter, word)| {
            parameter.read(word).ok_or_else(|| OpError::Parameter {
                op: name.to_owned(),
                name: parameter.name,
                found: (*word).to_owned(),
                expected: parameter.expected(),
            })
        });
        let parameters = OpParameters(values.collect::<Result<_, _>>()?);
        let text = if words.is_empty() { name.to_owned() } else { format!("{name}({})", words.join(",")) };
        Ok(Op { kind, parameters, text })
    }

    /// The op's part of its features' names: the op as it was written, each run of other characters as one `_`.
    pub fn suffix(&self) -> String {
        let words = self.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
    }

    /// The type of its features, given the type of `of`.
    pub fn output(&self, of: Option<Type>) -> FeatureType {
        (self.kind.output)(of, &self.parameters)
    }

    /// The answer for an entity without records.
    pub fn empty(&self) -> Feature {
        (self.kind.empty)(&self.parameters)
    }
}

impl OpParameter {
    fn read(&self, word: &str) -> Option<f64> {
        let value = match self.of {
            ParameterType::Number => word.parse::<f64>().ok()?,
            ParameterType::Count => f64::from(word.parse::<u32>().ok()?),
            ParameterType::Duration => parse_duration(word.trim_matches(['"', '\'']))? as f64,
        };
        (self.least..=self.greatest).contains(&value).then_some(value)
    }

    fn expected(&self) -> String {
        let (what, least, greatest) = (self.of.describe(), self.least, self.greatest);
        match greatest.is_finite() {
            true => format!("{what} from {least} to {greatest}"),
            false => format!("{what} of at least {least}"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_that_is_not_one_is_told_what_was_expected() {
        let wrong = |text| Op::parse(text).unwrap_err();
        assert_eq!(wrong("meen"), OpError::Unknown("meen".to_owned()));
        assert_eq!(wrong("mean()"), OpError::NoParameters("mean".to_owned()));
        assert_eq!(wrong("mean("), OpError::Unclosed("mean(".to_owned()));
        assert_eq!(Op::parse(" last ").unwrap().kind.name, "last");
    }

    #[test]
    fn parameters_are_read_by_their_type_and_within_their_bounds() {
        let parameter = |of, least, greatest| OpParameter { name: "q", summary: "", of, least, greatest };
        let share = parameter(ParameterType::Number, 0.0, 1.0);
        assert_eq!((share.read("0.9"), share.read("1.5"), share.read("x")), (Some(0.9), None, None));
        let count = parameter(ParameterType::Count, 1.0, f64::INFINITY);
        assert_eq!((count.read("5"), count.read("0"), count.read("2.5")), (Some(5.0), None, None));
        assert_eq!(count.expected(), "a whole number of at least 1");
        assert_eq!(parameter(ParameterType::Duration, 1.0, 1e15).read("\"1h\""), Some(3_600_000.0));
    }
}
