//! The provenance of a champion: when a version was champion, by which moves, and by whose.

use super::history::{CHAMPION, HistoryEntry};
use crate::time::EventTime;

/// A time in which a version was champion by one move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChampionPeriod<'a> {
    pub from: EventTime,
    /// The event time from which another version was champion, or none; `None` if it still is.
    pub until: Option<EventTime>,
    /// The move that made it champion.
    pub by: &'a HistoryEntry,
}

/// Returns the times in which a version was champion, ascending: those at which [`version_at`](super::version_at)
/// returns it. `moves` are all moves of a model, ascending.
pub fn champion_periods(moves: &[HistoryEntry], version: u64) -> Vec<ChampionPeriod<'_>> {
    let is_champion = |entry: &HistoryEntry| entry.made.aliases.get(CHAMPION) == Some(&version);
    let mut by_time: Vec<&HistoryEntry> = moves.iter().collect();
    by_time.sort_by_key(|entry| entry.made.time);
    let mut periods: Vec<ChampionPeriod<'_>> = Vec::new();
    let mut held: Option<&HistoryEntry> = None;
    for moves_at in by_time.chunk_by(|one, other| one.made.time == other.made.time) {
        // The highest number holds.
        held = moves_at.iter().copied().chain(held).max_by_key(|entry| entry.number);
        let Some(holds) = held else { continue };
        let time = moves_at[0].made.time;
        // A move of another alias repeats the champion that a move before it has made.
        let before = moves.iter().rev().skip_while(|entry| entry.number > holds.number);
        let by = before.take_while(|entry| is_champion(entry)).last();
        let open = periods.last_mut().filter(|period| period.until.is_none());
        if open.as_ref().map(|period| period.by.number) == by.map(|by| by.number) {
            continue;
        }
        if let Some(period) = open {
            period.until = Some(time);
        }
        periods.extend(by.map(|by| ChampionPeriod { from: time, until: None, by }));
    }
    periods
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::registry::{AliasMove, version_at};

    proptest! {
        #[test]
        fn oracle_a_version_was_champion_when_the_history_says_so(
            moves in prop::collection::vec((0_i64..12, 1_u64..4, any::<bool>()), 0..14),
        ) {
            let mut aliases = BTreeMap::new();
            let moves: Vec<HistoryEntry> = (1..).zip(moves).map(|(number, (time, version, is_other))| {
                let moved = if is_other { "canary" } else { CHAMPION };
                aliases.insert(moved.to_owned(), version);
                let (reason, by) = (String::new(), "ann".to_owned());
                let (moved, aliases) = (moved.to_owned(), aliases.clone());
                HistoryEntry { number, made: AliasMove { time, wall_time: 0, aliases, moved, reason, by, reverts: None } }
            }).collect();
            for version in 1..4 {
                let periods = champion_periods(&moves, version);
                let in_period = |t: i64| {
                    periods.iter().filter(|period| period.from <= t && period.until.is_none_or(|until| t < until)).count()
                };
                for t in -1..13 {
                    let expected = usize::from(version_at(&moves, CHAMPION, t) == Some(version));
                    prop_assert_eq!(in_period(t), expected, "version {} at {}", version, t);
                }
                for period in &periods {
                    prop_assert_eq!(&period.by.made.moved, CHAMPION);
                    prop_assert_eq!(period.by.made.aliases[CHAMPION], version);
                    // Periods that touch are of two moves, and another version was champion in the history between.
                    let next = periods.iter().find(|other| period.until == Some(other.from));
                    let between = |other: &&HistoryEntry| {
                        next.is_some_and(|next| (period.by.number..next.by.number).contains(&other.number)
                            || (next.by.number..period.by.number).contains(&other.number))
                    };
                    let mut others = moves.iter().filter(between).map(|entry| entry.made.aliases.get(CHAMPION));
                    prop_assert!(next.is_none() || others.any(|champion| champion != Some(&version)));
                }
            }
        }
    }
}
