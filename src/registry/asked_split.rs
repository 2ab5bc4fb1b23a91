//! A split as it is asked for, by request or by command line.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::RegistryError;
use super::split::{ArmTarget, RampStep, ShadowArm, Split, SplitArm, percent};
use crate::time::{format_duration, parse_duration};

/// The most arms and shadows of a split: each is scored on every example.
const MOST_ARMS: usize = 8;

/// The most steps of a ramp.
const MOST_STEPS: usize = 100;

/// The steps of a ramp of which only the length is given, besides the last, which has no end.
const EVEN_STEPS: i64 = 4;

/// The largest weight of an arm: the sum of all is a number then.
const LARGEST_WEIGHT: f64 = 1e9;

/// The longest name of an arm, in bytes.
const LONGEST_NAME: usize = 64;

/// A split that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedSplit {
    /// By arm, its weight beside the others.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    /// By arm or shadow, its target; of one that is not here, its name is the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, String>,
    /// By shadow, the share of the entities that it predicts for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadows: BTreeMap<String, f64>,
    /// The columns of an instance whose values are its entity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entity: Vec<String>,
    /// A duration, over which the shares grow in even steps; or steps, as `5%: 1h, 20%: 6h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<String>,
    /// The most by which an arm may be worse than the champion over a window, with a ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

impl AskedSplit {
    /// Checks the split and returns it.
    ///
    /// # Errors
    /// If it has no arm, a weight or a share that is none, a name twice or a target without an arm, or a ramp that
    /// does not lead to it.
    pub fn split(&self) -> Result<Split, RegistryError> {
        let refused = |detail: String| RegistryError::Split { detail };
        self.check_names().map_err(refused)?;
        let target = |name: &String| self.arms.get(name).unwrap_or(name).parse::<ArmTarget>();
        // The arms.
        if self.weights.is_empty() {
            return Err(refused(
                "weights: expected at least one arm, as {\"champion\": 90, \"challenger\": 10}".into(),
            ));
        }
        let wrong = self.weights.iter().find(|(_, weight)| !(0.0..=LARGEST_WEIGHT).contains(*weight));
        if let Some((name, weight)) = wrong {
            let expected = format!("expected a number that is not negative, at most {LARGEST_WEIGHT}");
            return Err(refused(format!("weights.{name}: {expected}, found {weight}")));
        }
        let total: f64 = self.weights.values().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(refused("weights: expected one above 0".to_owned()));
        }
        let mut arms = Vec::with_capacity(self.weights.len());
        for (name, weight) in &self.weights {
            let target = target(name).map_err(|error| refused(format!("weights.{name}: {error}")))?;
            arms.push(SplitArm { name: name.clone(), target, share: weight / total });
        }
        arms.sort_by_key(|arm| arm.target != ArmTarget::Champion);
        // The shadows.
        let mut shadows = Vec::with_capacity(self.shadows.len());
        for (name, share) in &self.shadows {
            if !(*share > 0.0 && *share <= 1.0) {
                return Err(refused(format!("shadows.{name}: expected a share above 0 and up to 1, found {share}")));
            }
            let target = target(name).map_err(|error| refused(format!("shadows.{name}: {error}")))?;
            shadows.push(ShadowArm { name: name.clone(), target, share: *share });
        }
        let mut split =
            Split { arms, shadows, entity: self.entity.clone(), ramp: Vec::new(), tolerance: self.tolerance };
        if let Some(tolerance) = self.tolerance {
            if self.ramp.is_none() {
                return Err(refused("tolerance: expected a ramp, which alone has one".to_owned()));
            }
            if !(tolerance.is_finite() && tolerance >= 0.0) {
                return Err(refused(format!("tolerance: expected a number of at least 0, found {tolerance}")));
            }
        }
        if let Some(text) = &self.ramp {
            split.ramp = ramp(text, &split).map_err(|error| refused(format!("ramp: {error}")))?;
        }
        Ok(split)
    }

    fn check_names(&self) -> Result<(), String> {
        let names: BTreeSet<&String> = self.weights.keys().chain(self.shadows.keys()).collect();
        if let Some(twice) = self.weights.keys().find(|name| self.shadows.contains_key(*name)) {
            return Err(format!("shadows.{twice}: there is an arm of this name"));
        }
        if names.len() > MOST_ARMS {
            return Err(format!("{} arms and shadows; expected {MOST_ARMS} at most", names.len()));
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.:".contains(letter);
        let is_name = |name: &str| (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain);
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!(
                "`{name}` is not a valid name of an arm; expected 1 to {LONGEST_NAME} letters, digits, `_`, `-`, `.` and `:`"
            ));
        }
        match self.arms.keys().find(|name| !names.contains(name)) {
            Some(name) => Err(format!("arms.{name}: there is neither a weight nor a shadow of this name")),
            None => Ok(()),
        }
    }
}

/// Reads the steps of a ramp that leads to a split.
fn ramp(text: &str, split: &Split) -> Result<Vec<RampStep>, String> {
    if split.arms[0].target != ArmTarget::Champion {
        return Err("expected an arm champion, which it goes back to".to_owned());
    }
    let own: f64 = split.arms.iter().filter(|arm| arm.target != ArmTarget::Champion).map(|arm| arm.share).sum();
    if own <= 0.0 {
        return Err("expected an arm other than champion with a weight above 0".to_owned());
    }
    let duration = |text: &str| parse_duration(text).filter(|ms| *ms > 0);
    // A length in all: even steps.
    if let Some(ms) = duration(text.trim()) {
        let step = |at: i64| RampStep { share: own * at as f64 / (EVEN_STEPS + 1) as f64, for_ms: ms / EVEN_STEPS };
        return match ms / EVEN_STEPS {
            0 => Err(format!("{} is too short", format_duration(ms))),
            _ => Ok((1..=EVEN_STEPS).map(step).collect()),
        };
    }
    let mut steps: Vec<RampStep> = Vec::new();
    for part in text.split(',') {
        let expected = || format!("expected a duration as 1h, or steps as 5%: 1h, 20%: 6h; found {text:?}");
        let (share, length) = part.trim().split_once(':').ok_or_else(expected)?;
        let number = share.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let (share, for_ms) = (number.ok_or_else(expected)? / 100.0, duration(length.trim()).ok_or_else(expected)?);
        let before = steps.last().map_or(0.0, |step| step.share);
        if !(share > before && share <= own) {
            let (found, least) = (percent(share), percent(before));
            return Err(format!(
                "{found}: expected more than {least}, and not more than the weights say: {}",
                percent(own)
            ));
        }
        steps.push(RampStep { share, for_ms });
    }
    if steps.len() > MOST_STEPS {
        return Err(format!("{} steps; expected {MOST_STEPS} at most", steps.len()));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Split, String> {
        let asked: AskedSplit = serde_json::from_str(json).unwrap();
        asked.split().map_err(|error| error.to_string())
    }

    #[test]
    fn a_duration_is_a_ramp_of_even_steps() {
        let split = asked(r#"{"weights": {"new": 1, "champion": 1}, "arms": {"new": "7"}, "ramp": "4h"}"#).unwrap();
        assert_eq!(split.arms[1].target, ArmTarget::Version(7));
        let hour = 3_600_000;
        let shares: Vec<f64> = (0..6).map(|step| split.shares_at(0, step * hour)[1]).collect();
        assert_eq!(shares, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5]);
        let all = asked(r#"{"weights": {"champion": 0, "new": 1}, "ramp": "10%: 1h"}"#).unwrap();
        assert_eq!((all.shares_at(0, 0), all.shares_at(0, hour)), (vec![0.9, 0.1], vec![0.0, 1.0]));
    }

    #[test]
    fn a_wrong_split_is_refused_with_its_place() {
        for (json, error) in [
            ("{}", "weights: expected at least one arm"),
            (r#"{"weights": {"champion": -1}}"#, "weights.champion: expected a number"),
            (r#"{"weights": {"champion": 0}}"#, "weights: expected one above 0"),
            (r#"{"weights": {"a b": 1}}"#, "`a b` is not a valid name of an arm"),
            (r#"{"weights": {"a": 1}, "arms": {"a": "b c"}}"#, "weights.a: `b c` is not a target"),
            (r#"{"weights": {"champion": 1}, "shadows": {"champion": 1}}"#, "shadows.champion: there is an arm"),
            (r#"{"weights": {"champion": 1}, "shadows": {"new": 2}}"#, "shadows.new: expected a share"),
            (r#"{"weights": {"champion": 1}, "arms": {"new": "7"}}"#, "arms.new: there is neither"),
            (r#"{"weights": {"new": 1}, "ramp": "1h"}"#, "ramp: expected an arm champion"),
            (r#"{"weights": {"champion": 1}, "ramp": "1h"}"#, "ramp: expected an arm other than champion"),
            (r#"{"weights": {"champion": 1, "new": 1}, "ramp": "soon"}"#, "ramp: expected a duration"),
            (r#"{"weights": {"champion": 1, "new": 1}, "ramp": "60%: 1h"}"#, "ramp: 60 %: expected more than 0 %"),
            (
                r#"{"weights": {"champion": 1, "new": 1}, "ramp": "9%: 1h, 5%: 1h"}"#,
                "ramp: 5 %: expected more than 9 %",
            ),
            (r#"{"weights": {"champion": 1}, "tolerance": 1}"#, "tolerance: expected a ramp"),
            (r#"{"weights": {"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}}"#, "9 arms and shadows"),
        ] {
            let found = asked(json).unwrap_err();
            assert!(found.contains(error), "{json}: {found}");
        }
    }
}
