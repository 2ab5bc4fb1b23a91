//! Splits: which versions of a model answer which entities.
//!
//! Notation: a split has *arms*, each a version that answers a share of the entities, and *shadows*, versions that predict
//! beside the answer and are never answered with. A *target* says which version that is: the champion, the version that an
//! alias points to, one version, or the champion of another model. Shares sum to 1.
//!
//! - **Sticky.** An entity is a hash. Arm i with share w_i draws u_i in (0, 1) from the hash of the entity and its name, and
//!   the least −ln(u_i)/w_i answers (weighted rendezvous hashing: Thaler and Ravishankar 1998; Schindelhauer and Schomaker
//!   2005). The arm i is chosen with probability w_i. If shares change, an entity moves only to an arm whose share has
//!   grown in proportion to that of the arm it leaves: from 10 % to 20 %, one tenth of all entities move.
//! - **Ramps.** With steps, the arms but the champion's get a growing share of the entities, by event time: the first
//!   step's share from the split's time on, each for its duration, then their own. So a time has one answer, in a live run
//!   as in one that reads the same records again.
//! - **Kept** as numbered objects beside the aliases' history, append-only ([`SplitEntry`]); the highest number is current,
//!   and a split holds from its event time on.
//!
//! ```
//! use tidemill::registry::AskedSplit;
//!
//! let asked: AskedSplit = serde_json::from_str(
//!     r#"{"weights": {"champion": 80, "challenger": 20}, "ramp": "5%: 1h, 10%: 2h"}"#,
//! )?;
//! let split = asked.split()?;
//! assert_eq!(split.shares_at(0, 0), [0.95, 0.05]);
//! assert_eq!(split.shares_at(0, 3_600_000), [0.9, 0.1]);
//! assert_eq!(split.shares_at(0, 3 * 3_600_000), [0.8, 0.2]);
//! let arms: Vec<&str> = split.arms.iter().map(|arm| arm.name.as_str()).collect();
//! assert_eq!(arms, ["champion", "challenger"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::manifest::rfc3339;
use crate::time::EventTime;
use crate::value::Key;

/// The alias, and so the arm, of the version that answers requests without a split.
const CHAMPION_ARM: &str = "champion";

/// The beginning of a target that is another model.
const OTHER_MODEL: &str = "model:";

/// The versions that answer for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The champion's first, then by name.
    pub arms: Vec<SplitArm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<ShadowArm>,
    /// The columns of an instance whose values are its entity; empty for the entity of the first feature group that the
    /// model looks up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entity: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ramp: Vec<RampStep>,
    /// The most by which an arm of a ramp may be worse than the champion over a window, in place of the gate's tolerance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// A version that answers a share of the entities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitArm {
    pub name: String,
    pub target: ArmTarget,
    /// The share of the entities, once a ramp is over.
    pub share: f64,
}

/// A version that predicts beside the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowArm {
    pub name: String,
    pub target: ArmTarget,
    /// The share of the entities that it predicts for.
    pub share: f64,
}

/// The version that an arm stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ArmTarget {
    Champion,
    /// The version that an alias points to.
    Alias(String),
    Version(u64),
    /// The champion of another model of the dataflow.
    Model(String),
}

/// A step of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RampStep {
    /// The share of the entities that the arms but the champion's answer, together.
    pub share: f64,
    /// Event ms for which it lasts.
    pub for_ms: i64,
}

/// A change of a model's split, numbered from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitEntry {
    pub number: u64,
    /// Event time from which it holds.
    #[serde(with = "rfc3339")]
    pub time: EventTime,
    /// Wall-clock time at which it was made.
    #[serde(with = "rfc3339")]
    pub wall_time: EventTime,
    /// `None` once it is cleared: the champion answers.
    pub split: Option<Split>,
    /// The number of the split whose ramp went back by itself, if this is how that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<u64>,
    pub reason: String,
    /// The author, or `ramp`.
    pub by: String,
}

impl Split {
    /// Returns the share of each arm at event time `t`; `since` is the split's own time.
    pub fn shares_at(&self, since: EventTime, t: EventTime) -> Vec<f64> {
        let own: Vec<f64> = self.arms.iter().map(|arm| arm.share).collect();
        let Some(step) = self.step_at(since, t).map(|at| self.ramp[at]) else { return own };
        let is_champion = |arm: &SplitArm| arm.target == ArmTarget::Champion;
        let total = |champion: bool| -> f64 {
            let arms = self.arms.iter().filter(|arm| is_champion(arm) == champion);
            arms.map(|arm| arm.share).sum()
        };
        let (champions, others) = (total(true), total(false));
        let share = |arm: &SplitArm| match is_champion(arm) {
            // Where the champion ends with nothing, its first arm has all that is left until then.
            true if champions == 0.0 => (1.0 - step.share) * f64::from(u8::from(self.arms[0].name == arm.name)),
            true => (1.0 - step.share) * (arm.share / champions),
            false => step.share * (arm.share / others),
        };
        self.arms.iter().map(share).collect()
    }

    /// Returns the position of the ramp's step at event time `t`; `None` without a ramp or after it.
    pub fn step_at(&self, since: EventTime, t: EventTime) -> Option<usize> {
        let mut end = since;
        self.ramp.iter().position(|step| {
            end = end.saturating_add(step.for_ms);
            t < end
        })
    }

    /// Returns all targets, of arms and of shadows, with their names.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &ArmTarget)> {
        let arms = self.arms.iter().map(|arm| (arm.name.as_str(), &arm.target));
        arms.chain(self.shadows.iter().map(|shadow| (shadow.name.as_str(), &shadow.target)))
    }

    /// Returns the other models that it names.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.targets().filter_map(|(_, target)| match target {
            ArmTarget::Model(model) => Some(model.as_str()),
            _ => None,
        })
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, target: &ArmTarget| match target.to_string() {
            same if same == name => same,
            target => format!("{name} ({target})"),
        };
        let arms = self.arms.iter().map(|arm| format!("{} {}", shown(&arm.name, &arm.target), percent(arm.share)));
        f.write_str(&arms.collect::<Vec<_>>().join(", "))?;
        for shadow in &self.shadows {
            write!(f, "; shadow {} of {}", shown(&shadow.name, &shadow.target), percent(shadow.share))?;
        }
        Ok(())
    }
}

/// Returns a share as text: `12.5 %`.
pub fn percent(share: f64) -> String {
    let rounded = (share * 1e4).round() / 1e2;
    format!("{rounded} %")
}

impl SplitEntry {
    /// Returns the share of each arm at event time `t`, with its name; none once it is cleared.
    pub fn shares_at(&self, t: EventTime) -> Vec<(&str, f64)> {
        let Some(split) = &self.split else { return Vec::new() };
        split.arms.iter().map(|arm| arm.name.as_str()).zip(split.shares_at(self.time, t)).collect()
    }
}

/// Returns the entry that holds at event time `t`: the highest-numbered whose time is not after it. `entries` are ascending.
pub fn split_at(entries: &[SplitEntry], t: EventTime) -> Option<&SplitEntry> {
    entries.iter().rev().find(|entry| entry.time <= t)
}

impl fmt::Display for ArmTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArmTarget::Champion => f.write_str(CHAMPION_ARM),
            ArmTarget::Alias(alias) => f.write_str(alias),
            ArmTarget::Version(version) => write!(f, "{version}"),
            ArmTarget::Model(model) => write!(f, "{OTHER_MODEL}{model}"),
        }
    }
}

impl FromStr for ArmTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == CHAMPION_ARM {
            return Ok(ArmTarget::Champion);
        }
        if let Some(model) = text.strip_prefix(OTHER_MODEL).filter(|model| !model.is_empty()) {
            return Ok(ArmTarget::Model(model.to_owned()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let version = text.parse().map_err(|_| format!("`{text}` is not a version number"))?;
            return Ok(ArmTarget::Version(version));
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
            return Err(format!("`{text}` is not a target; expected an alias, the number of a version, or model:NAME"));
        }
        Ok(ArmTarget::Alias(text.to_owned()))
    }
}

impl TryFrom<String> for ArmTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ArmTarget> for String {
    fn from(target: ArmTarget) -> String {
        target.to_string()
    }
}

/// Returns the seed with which an arm of a name draws.
pub fn arm_seed(name: &str) -> u64 {
    Key::hash_of(name.as_bytes())
}

/// Returns the number in (0, 1) that an arm draws for an entity.
pub fn draw(entity: u64, seed: u64) -> f64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&entity.to_le_bytes());
    bytes[8..].copy_from_slice(&seed.to_le_bytes());
    ((Key::hash_of(&bytes) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Returns the position of the arm that answers an entity, from the seed and the share of each; `None` if no share is
/// above 0.
pub fn choose(arms: impl IntoIterator<Item = (u64, f64)>, entity: u64) -> Option<usize> {
    let costs = arms.into_iter().enumerate().filter(|(_, (_, share))| *share > 0.0);
    let costs = costs.map(|(at, (seed, share))| (at, -libm::log(draw(entity, seed)) / share));
    costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(shares: &[(&str, f64)], entity: u64) -> usize {
        let arms = shares.iter().map(|(name, share)| (arm_seed(name), *share));
        choose(arms, Key::hash_of(&entity.to_le_bytes())).unwrap()
    }

    #[test]
    fn an_arm_answers_its_share_and_only_the_needed_entities_move() {
        let (before, after) = ([("a", 0.6), ("b", 0.3), ("c", 0.1)], [("a", 0.5), ("b", 0.3), ("c", 0.2)]);
        const ENTITIES: u64 = 50_000;
        let (mut counts, mut moves) = ([0_u64; 3], 0);
        for entity in 0..ENTITIES {
            let (old, new) = (chosen(&before, entity), chosen(&after, entity));
            assert_eq!(old, chosen(&before, entity), "the same entity has the same arm");
            counts[old] += 1;
            if old != new {
                // `c` has grown beside both, `b` beside `a`: no entity moves another way.
                assert!(new == 2 || (old, new) == (0, 1), "{old} to {new}");
                moves += 1;
            }
        }
        for (count, (name, share)) in counts.iter().zip(before) {
            let found = *count as f64 / ENTITIES as f64;
            assert!((found - share).abs() < 0.01, "{name}: {found}");
        }
        assert!((5_000..8_000).contains(&moves), "{moves}");
    }

    #[test]
    fn from_ten_to_twenty_percent_one_tenth_moves_and_all_to_the_canary() {
        let (before, after) = ([("champion", 0.9), ("canary", 0.1)], [("champion", 0.8), ("canary", 0.2)]);
        let moves = (0..50_000).filter(|entity| {
            let (old, new) = (chosen(&before, *entity), chosen(&after, *entity));
            assert!(old == new || new == 1, "no entity leaves the canary");
            old != new
        });
        let share = moves.count() as f64 / 50_000.0;
        assert!((share - 0.1).abs() < 0.01, "{share}");
    }

    #[test]
    fn shares_of_all_scales_choose_alike_and_none_chooses_nothing() {
        for entity in 0..1_000 {
            assert_eq!(chosen(&[("a", 0.9), ("b", 0.1)], entity), chosen(&[("a", 90.0), ("b", 10.0)], entity));
        }
        assert_eq!(choose([(1, 0.0), (2, 0.0)], 7), None);
        assert_eq!(choose([(1, 0.0), (2, 1e-9)], 7), Some(1));
    }

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for text in ["champion", "canary-2", "7", "model:gbdt"] {
            assert_eq!(text.parse::<ArmTarget>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "99999999999999999999", "model:"] {
            assert!(text.parse::<ArmTarget>().is_err(), "{text}");
        }
    }
}
