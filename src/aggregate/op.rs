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
use crate::time::{format_duration, parse_duration};
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
    /// The op's part of its features' names, before the parameter: `last` of `last_k(5)`, whose part is `last5`.
    pub short: &'static str,
}

impl OpParameter {
    /// The same parameter of an op with this part of its features' names.
    pub const fn shortened(self, short: &'static str) -> OpParameter {
        OpParameter { short, ..self }
    }
}

/// The syntax of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// `0.9`; in names in percent: `90`.
    Share,
    /// `5`
    Count,
    /// `"1h"`; its value is in ms.
    Duration,
}

impl ParameterType {
    /// A value as it is in the name of a feature.
    pub fn example(self) -> &'static str {
        match self {
            ParameterType::Share => "90",
            ParameterType::Count => "5",
            ParameterType::Duration => "1h",
        }
    }

    /// A value in the name of a feature, without dots.
    fn in_a_name(self, value: f64) -> String {
        match self {
            // Rounded to the digits that a share is written with, which the product with 100 may have left.
            ParameterType::Share => {
                format!("{:.12}", value * 100.0).trim_end_matches('0').trim_end_matches('.').replace('.', "_")
            }
            ParameterType::Count => format!("{value}"),
            ParameterType::Duration => format_duration(value as i64),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            ParameterType::Share => "a share",
            ParameterType::Count => "a whole number",
            ParameterType::Duration => "a duration",
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

    /// The value at a position, of a parameter that is a count.
    ///
    /// # Panics
    /// If the kind has fewer parameters.
    pub fn count(&self, position: usize) -> usize {
        self.get(position) as usize
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

/// The reason why a text is not an op.
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

    /// The op of a kind without parameters.
    pub(super) fn without_parameters(kind: &'static AggregateKind) -> Op {
        Op { kind, parameters: OpParameters::default(), text: kind.name.to_owned() }
    }

    /// The op's part of its features' names: its name, or the short form of its parameter with the value, as in `last5`.
    pub fn suffix(&self) -> String {
        match self.kind.parameters.first() {
            None => self.kind.name.to_owned(),
            Some(parameter) => format!("{}{}", parameter.short, parameter.of.in_a_name(self.parameters.get(0))),
        }
    }

    /// The type of its features, given the type of `of`.
    pub fn output(&self, of: Option<Type>) -> FeatureType {
        (self.kind.output)(of, &self.parameters)
    }

    /// The most values of its answer, if that is a list; its first parameter.
    pub fn greatest_length(&self) -> Option<usize> {
        let is_list = matches!(self.output(None), FeatureType::List(_));
        (is_list && !self.kind.parameters.is_empty()).then(|| self.parameters.count(0))
    }

    /// The answer for an entity without records.
    pub fn empty(&self) -> Feature {
        (self.kind.empty)(&self.parameters)
    }
}

impl OpParameter {
    fn read(&self, word: &str) -> Option<f64> {
        let value = match self.of {
            ParameterType::Share => word.parse::<f64>().ok()?,
            ParameterType::Count => f64::from(word.parse::<u32>().ok()?),
            ParameterType::Duration => parse_duration(word.trim_matches(['"', '\'']))? as f64,
        };
        (self.least..=self.greatest).contains(&value).then_some(value)
    }

    /// The values that it takes, in words.
    pub fn expected(&self) -> String {
        let what = self.of.describe();
        match self.of {
            ParameterType::Duration => {
                format!("{what} of at least {}, such as \"1h\"", format_duration(self.least as i64))
            }
            _ if self.greatest.is_finite() => format!("{what} from {} to {}", self.least, self.greatest),
            _ => format!("{what} of at least {}", self.least),
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
    fn a_text_that_is_not_an_op_is_refused_with_the_reason() {
        let wrong = |text| Op::parse(text).unwrap_err();
        assert_eq!(wrong("meen"), OpError::Unknown("meen".to_owned()));
        assert_eq!(wrong("mean()"), OpError::NoParameters("mean".to_owned()));
        assert_eq!(wrong("mean("), OpError::Unclosed("mean(".to_owned()));
        assert_eq!(Op::parse(" last ").unwrap().kind.name, "last");
    }

    #[test]
    fn parameters_are_read_by_their_type_and_within_their_bounds() {
        let parameter = |of, least, greatest| OpParameter { name: "q", summary: "", of, least, greatest, short: "" };
        let share = parameter(ParameterType::Share, 0.0, 1.0);
        assert_eq!((share.read("0.9"), share.read("1.5"), share.read("x")), (Some(0.9), None, None));
        let count = parameter(ParameterType::Count, 1.0, f64::INFINITY);
        assert_eq!((count.read("5"), count.read("0"), count.read("2.5")), (Some(5.0), None, None));
        assert_eq!(count.expected(), "a whole number of at least 1");
        assert_eq!(parameter(ParameterType::Duration, 1.0, 1e15).read("\"1h\""), Some(3_600_000.0));
    }

    #[test]
    fn names_of_features_have_the_parameters_of_their_ops() {
        let suffix = |text| Op::parse(text).unwrap().suffix();
        let written =
            ["mean", "quantile(0.9)", "quantile(0.999)", "quantile(0.5)", "last_k(5)", "ewma('1h')", "ewma(90m)"];
        assert_eq!(written.map(suffix), ["mean", "p90", "p99_9", "p50", "last5", "ewma1h", "ewma90m"]);
    }
}
