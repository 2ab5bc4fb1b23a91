//! Parameters of kinds and optimizers: declared once, with default and range.
//!
//! A parameter is a number, or one of a few words. The value of a word is its position among them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ModelError;

/// A number or a word that a kind or an optimizer can be given in a dataflow file.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The key in a dataflow file.
    pub name: &'static str,
    /// The default; if the parameter is a word, its position among the words.
    pub default: f64,
    pub bounds: Bounds,
    pub summary: &'static str,
}

/// The values that a parameter may have. All numbers are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    Above(f64),
    AtLeast(f64),
    /// A number between the two.
    Between(f64, f64),
    /// A number above the first, and at most the second.
    UpTo(f64, f64),
    /// A number from the first to the second.
    Within(f64, f64),
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// One of these words.
    Words(&'static [&'static str]),
    /// The values of the last, to be written only where the parameter of the first name has the word of the second.
    If(&'static str, &'static str, &'static Bounds),
}

/// The value of a parameter, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParameterValue {
    Number(f64),
    Word(String),
}

impl From<f64> for ParameterValue {
    fn from(number: f64) -> Self {
        ParameterValue::Number(number)
    }
}

impl From<&str> for ParameterValue {
    fn from(word: &str) -> Self {
        ParameterValue::Word(word.to_owned())
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParameterValue::Number(number) => write!(f, "{number}"),
            ParameterValue::Word(word) => f.write_str(word),
        }
    }
}

impl Parameter {
    /// Returns the number that stands for a value. None if the value is not within the bounds.
    pub fn resolve(&self, value: &ParameterValue) -> Option<f64> {
        self.bounds.resolve(value)
    }

    /// Describes the values that are allowed: `a number above 0`.
    pub fn expected(&self) -> String {
        self.bounds.expected()
    }

    /// Describes the default: a number, or a word.
    pub fn describe_default(&self) -> String {
        match self.bounds.words() {
            [] => self.default.to_string(),
            words => words[self.default as usize].to_owned(),
        }
    }
}

impl Bounds {
    fn resolve(&self, value: &ParameterValue) -> Option<f64> {
        let number = match (self, value) {
            (Bounds::If(_, _, bounds), value) => return bounds.resolve(value),
            (Bounds::Words(words), ParameterValue::Word(word)) => {
                return words.iter().position(|known| known == word).map(|at| at as f64);
            }
            (Bounds::Words(_), ParameterValue::Number(_)) | (_, ParameterValue::Word(_)) => return None,
            (_, ParameterValue::Number(number)) => *number,
        };
        let within = match *self {
            Bounds::Above(bound) => number > bound,
            Bounds::AtLeast(bound) => number >= bound,
            Bounds::Between(low, high) => low < number && number < high,
            Bounds::UpTo(low, most) => low < number && number <= most,
            Bounds::Within(least, most) => (least..=most).contains(&number),
            Bounds::Whole(least, most) => {
                number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number)
            }
            Bounds::Words(_) | Bounds::If(..) => unreachable!("these were resolved above"),
        };
        (within && number.is_finite()).then_some(number)
    }

    /// Describes the values that are allowed: `a number above 0`.
    pub fn expected(&self) -> String {
        match self {
            Bounds::Above(bound) => format!("a number above {bound}"),
            Bounds::AtLeast(bound) => format!("a number of at least {bound}"),
            Bounds::Between(low, high) => format!("a number between {low} and {high}"),
            Bounds::UpTo(low, most) => format!("a number above {low} and at most {most}"),
            Bounds::Within(least, most) => format!("a number from {least} to {most}"),
            Bounds::Whole(least, most) => format!("an int from {least} to {most}"),
            Bounds::Words(words) => format!("one of {}", words.join(", ")),
            Bounds::If(_, _, bounds) => bounds.expected(),
        }
    }

    /// Returns the words that are allowed; none of numbers.
    pub fn words(&self) -> &'static [&'static str] {
        match self {
            Bounds::Words(words) => words,
            Bounds::If(_, _, bounds) => bounds.words(),
            _ => &[],
        }
    }
}

/// The values of all parameters that a kind or an optimizer declares.
#[derive(Clone, Debug)]
pub struct Parameters {
    declared: &'static [Parameter],
    values: Vec<f64>,
}

impl Parameters {
    /// Fills in the defaults of what was not written. `owner` is the name of the kind or optimizer, for errors.
    ///
    /// # Errors
    /// One for each name that is not declared and each value that is out of range.
    pub fn resolve(
        owner: &str,
        declared: &'static [Parameter],
        written: &[(String, ParameterValue)],
    ) -> Result<Self, Vec<ModelError>> {
        let mut values: Vec<f64> = declared.iter().map(|parameter| parameter.default).collect();
        let mut errors = Vec::new();
        for (name, value) in written {
            let Some(at) = declared.iter().position(|parameter| parameter.name == name) else {
                let expected = declared.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
                let (owner, found) = (owner.to_owned(), name.clone());
                errors.push(ModelError::UnknownParameter { owner, found, expected });
                continue;
            };
            match declared[at].resolve(value) {
                Some(value) => values[at] = value,
                None => {
                    let (name, found, expected) = (name.clone(), value.to_string(), declared[at].expected());
                    errors.push(ModelError::WrongParameter { name, found, expected });
                }
            }
        }
        let resolved = Parameters { declared, values };
        for (name, _) in written {
            match declared.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.bounds) {
                Some(Bounds::If(other, word, _)) if !resolved.is_used(name) => {
                    let (name, when) = (name.clone(), format!("{other} = \"{word}\""));
                    errors.push(ModelError::UnusedParameter { name, when });
                }
                _ => {}
            }
        }
        if errors.is_empty() { Ok(resolved) } else { Err(errors) }
    }

    /// Returns whether a parameter is declared and has a use beside the others.
    pub fn is_used(&self, name: &str) -> bool {
        let declared = self.declared.iter().find(|parameter| parameter.name == name);
        declared.is_some_and(|parameter| match parameter.bounds {
            Bounds::If(other, word, _) => self.word(other) == word,
            _ => true,
        })
    }

    /// Returns the word that a parameter has.
    ///
    /// # Panics
    /// If no parameter of that name is declared, or its values are numbers.
    pub fn word(&self, name: &str) -> &'static str {
        let declared = self.declared.iter().find(|parameter| parameter.name == name);
        let words = declared.unwrap_or_else(|| panic!("parameter {name} is not declared")).bounds.words();
        words[self.get(name) as usize]
    }

    /// Returns the value of a parameter.
    ///
    /// # Panics
    /// If no parameter of that name is declared.
    pub fn get(&self, name: &str) -> f64 {
        let at = self.declared.iter().position(|parameter| parameter.name == name);
        self.values[at.unwrap_or_else(|| panic!("parameter {name} is not declared"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static DECLARED: &[Parameter] = &[
        Parameter { name: "rate", default: 0.1, bounds: Bounds::Above(0.0), summary: "" },
        Parameter { name: "depth", default: 3.0, bounds: Bounds::Whole(1, 9), summary: "" },
        Parameter { name: "loss", default: 0.0, bounds: Bounds::Words(&["mild", "sharp"]), summary: "" },
        Parameter {
            name: "edge",
            default: 0.5,
            bounds: Bounds::If("loss", "sharp", &Bounds::Between(0.0, 1.0)),
            summary: "",
        },
    ];

    #[test]
    fn defaults_fill_what_is_not_written_and_every_mistake_is_reported() {
        let written = |pairs: &[(&str, f64)]| -> Vec<(String, ParameterValue)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), ParameterValue::Number(*value))).collect()
        };
        let resolved = Parameters::resolve("k", DECLARED, &written(&[("rate", 0.5)])).unwrap();
        assert_eq!((resolved.get("rate"), resolved.get("depth")), (0.5, 3.0));
        let wrong = written(&[("rate", 0.0), ("rate", f64::NAN), ("depth", 2.5), ("depth", 10.0), ("deep", 1.0)]);
        assert_eq!(Parameters::resolve("k", DECLARED, &wrong).unwrap_err().len(), 5);
    }

    #[test]
    fn ranges_have_the_ends_that_their_descriptions_name() {
        let within = |bounds: Bounds, number: f64| bounds.resolve(&number.into()).is_some();
        assert_eq!([0.0, 0.5, 1.0, 1.5].map(|x| within(Bounds::Between(0.0, 1.0), x)), [false, true, false, false]);
        assert_eq!([0.0, 0.5, 1.0, 1.5].map(|x| within(Bounds::UpTo(0.0, 1.0), x)), [false, true, true, false]);
        assert_eq!([0.0, 0.5, 1.0, 1.5].map(|x| within(Bounds::Within(0.0, 1.0), x)), [true, true, true, false]);
        assert_eq!(Bounds::UpTo(0.0, 1.0).expected(), "a number above 0 and at most 1");
    }

    #[test]
    fn a_word_is_one_of_those_declared_and_admits_the_parameters_that_go_with_it() {
        let resolve = |pairs: &[(&str, ParameterValue)]| {
            let written: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            Parameters::resolve("k", DECLARED, &written)
        };
        let mild = resolve(&[]).unwrap();
        assert_eq!((mild.word("loss"), mild.is_used("edge"), mild.is_used("nothing")), ("mild", false, false));
        let sharp = resolve(&[("edge", 0.25.into()), ("loss", "sharp".into())]).unwrap();
        assert_eq!((sharp.word("loss"), sharp.is_used("edge"), sharp.get("edge")), ("sharp", true, 0.25));
        let errors = |pairs: &[(&str, ParameterValue)]| -> Vec<String> {
            resolve(pairs).unwrap_err().iter().map(ModelError::to_string).collect()
        };
        assert_eq!(errors(&[("loss", "blunt".into())]), ["`loss` is blunt; expected one of mild, sharp"]);
        assert_eq!(errors(&[("loss", 1.0.into())]), ["`loss` is 1; expected one of mild, sharp"]);
        assert_eq!(errors(&[("edge", 0.25.into())]), ["`edge` has a meaning only with `loss = \"sharp\"`"]);
        let edge = ["`edge` is 1; expected a number between 0 and 1"];
        assert_eq!(errors(&[("edge", 1.0.into()), ("loss", "sharp".into())]), edge);
        assert_eq!(errors(&[("rate", "fast".into())]), ["`rate` is fast; expected a number above 0"]);
    }
}
