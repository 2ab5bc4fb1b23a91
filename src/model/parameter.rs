//! Parameters of kinds and optimizers: declared once, with default and range.

use super::ModelError;

/// A number that a kind or an optimizer can be given in a dataflow file.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The key in a dataflow file.
    pub name: &'static str,
    pub default: f64,
    pub bounds: Bounds,
    pub summary: &'static str,
}

/// The values that a parameter may have. All are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    Above(f64),
    AtLeast(f64),
    /// A whole number from the first to the second.
    Whole(u32, u32),
}

impl Parameter {
    /// Returns whether `value` is within the bounds.
    pub fn admits(&self, value: f64) -> bool {
        value.is_finite()
            && match self.bounds {
                Bounds::Above(bound) => value > bound,
                Bounds::AtLeast(bound) => value >= bound,
                Bounds::Whole(least, most) => {
                    value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value)
                }
            }
    }

    /// Describes the values that are allowed: `a number above 0`.
    pub fn expected(&self) -> String {
        match self.bounds {
            Bounds::Above(bound) => format!("a number above {bound}"),
            Bounds::AtLeast(bound) => format!("a number of at least {bound}"),
            Bounds::Whole(least, most) => format!("an int from {least} to {most}"),
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
        written: &[(String, f64)],
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
            if !declared[at].admits(*value) {
                let expected = declared[at].expected();
                errors.push(ModelError::OutOfRange { name: name.clone(), found: *value, expected });
            }
            values[at] = *value;
        }
        if errors.is_empty() { Ok(Parameters { declared, values }) } else { Err(errors) }
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
    ];

    #[test]
    fn defaults_fill_what_is_not_written_and_every_mistake_is_reported() {
        let written = |pairs: &[(&str, f64)]| -> Vec<(String, f64)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        let resolved = Parameters::resolve("k", DECLARED, &written(&[("rate", 0.5)])).unwrap();
        assert_eq!((resolved.get("rate"), resolved.get("depth")), (0.5, 3.0));
        let wrong = written(&[("rate", 0.0), ("rate", f64::NAN), ("depth", 2.5), ("depth", 10.0), ("deep", 1.0)]);
        assert_eq!(Parameters::resolve("k", DECLARED, &wrong).unwrap_err().len(), 5);
    }
}
