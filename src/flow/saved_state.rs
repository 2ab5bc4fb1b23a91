//! The state of a graph in a checkpoint: whether it is all there, and whether it adds up.

use std::collections::BTreeSet;

use super::op::newest_rows;
use super::plan::{LabelPlan, Plan};
use crate::checkpoint::{JOB_EVENTS, SnapshotParts, TOPIC_IDS};
use crate::relation::RelationOp;
use crate::source::{Outcome, Position};

/// The ends of the names of operators that save state only if the run writes offline files.
const OFFLINE: &str = ".offline";

/// Returns the operators whose state every checkpoint of a plan contains.
pub fn operators(plan: &Plan) -> BTreeSet<String> {
    let sources = plan.readers().map(|reader| format!("source.{}", reader.source));
    let tables = plan.tables.iter().flat_map(|table| [format!("table.{}", table.name), newest_rows::operator(table)]);
    let groups = plan.groups.iter().map(|group| format!("features.{}", group.name));
    let learners = plan.models.iter().map(|model| format!("model.{}.learn", model.name));
    let joined = plan.models.iter().filter(|model| matches!(model.label, LabelPlan::Joined { .. }));
    let labels = joined.map(|model| format!("model.{}.label", model.name));
    let relations = plan.spec.relations.iter().filter(|(_, node)| node.relation.saves_state());
    let relations = relations.map(|(_, node)| node.operator.clone());
    sources.chain(tables).chain(relations).chain(groups).chain(learners).chain(labels).collect()
}

/// Returns what is wrong with the parts of a checkpoint of this plan, if anything is: an operator or a worker's part of
/// one is missing, or the ledger does not add up.
pub fn fault(plan: &Plan, parts: &SnapshotParts) -> Option<String> {
    missing(plan, parts).or_else(|| plan.readers().find_map(|reader| wrong_positions(&reader.source, parts)))
}

fn missing(plan: &Plan, parts: &SnapshotParts) -> Option<String> {
    let of_job = [JOB_EVENTS, TOPIC_IDS];
    let files = plan.groups.iter().map(|group| format!("features.{}{OFFLINE}", group.name));
    let files: Vec<String> =
        files.chain(plan.models.iter().map(|model| format!("model.{}{OFFLINE}", model.name))).collect();
    let has_files = files.iter().any(|name| parts.contains_key(name));
    let mut expected = operators(plan);
    expected.insert(JOB_EVENTS.to_owned());
    expected.extend(files.iter().filter(|_| has_files).cloned());
    if let Some(missing) = expected.iter().find(|name| !parts.contains_key(*name)) {
        return Some(format!("the state of {missing} is missing"));
    }
    if let Some(unknown) = parts.keys().find(|name| !expected.contains(*name) && !of_job.contains(&name.as_str())) {
        return Some(format!("it has the state of {unknown}, which the dataflow file does not define"));
    }
    // Every worker saves a part of every operator.
    let mut counts = parts.iter().filter(|(name, _)| !of_job.contains(&name.as_str()));
    let workers = counts.next().map_or(0, |(_, parts)| parts.len());
    let uneven = counts.find(|(_, parts)| parts.len() != workers || workers == 0);
    uneven.map(|(name, parts)| format!("{name} has {} parts, other operators have {workers}", parts.len()))
}

/// Returns why the positions of a source cannot be those of a run.
fn wrong_positions(source: &str, parts: &SnapshotParts) -> Option<String> {
    let mut seen = BTreeSet::new();
    for part in parts.get(&format!("source.{source}")).into_iter().flatten() {
        let positions: Vec<Position> = match postcard::from_bytes(part) {
            Ok(positions) => positions,
            Err(error) => return Some(format!("the positions of {source} cannot be read: {error}")),
        };
        for position in positions {
            if !seen.insert(position.partition) {
                return Some(format!("partition {} of {source} has two positions", position.partition));
            }
            if let Some(fault) = wrong_position(&position) {
                return Some(format!("partition {} of {source}: {fault}", position.partition));
            }
        }
    }
    None
}

fn wrong_position(position: &Position) -> Option<String> {
    let Position { resume, next, newest, newest_effective, counts, .. } = position;
    if resume > next {
        return Some(format!("it resumes from offset {resume}, and {next} was never read"));
    }
    let is_time = |time: i64| time == i64::MIN || time.unsigned_abs() <= 1 << 60;
    if !is_time(*newest) || !is_time(*newest_effective) {
        return Some("its newest time is out of range".to_owned());
    }
    let outcomes = Outcome::ALL.iter().try_fold(0_u64, |sum, outcome| sum.checked_add(counts.of(*outcome)));
    let in_flight = outcomes.and_then(|outcomes| counts.read.checked_sub(outcomes));
    if counts.read > *next || in_flight.is_none_or(|in_flight| in_flight > next - resume) {
        let sum = outcomes.map_or_else(|| "more".to_owned(), |outcomes| outcomes.to_string());
        return Some(format!(
            "its ledger does not add up: {} read, {sum} with an outcome, at most {} in flight",
            counts.read,
            next - resume
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RecordCounts;

    fn position() -> Position {
        let counts = RecordCounts { read: 10, applied: 5, dead_letter: 2, ..RecordCounts::default() };
        Position {
            partition: 0,
            resume: 6,
            place: None,
            read: None,
            next: 12,
            at_end: false,
            newest: 3,
            newest_effective: 4,
            counts,
            overtaken: 0,
        }
    }

    #[test]
    fn a_ledger_that_does_not_add_up_is_reported() {
        assert_eq!(wrong_position(&position()), None);
        let mut more = position();
        more.counts.applied = 9;
        assert!(wrong_position(&more).unwrap().contains("10 read, 11 with an outcome"));
        more.counts.applied = u64::MAX;
        assert!(wrong_position(&more).unwrap().contains("does not add up"));
        let mut fewer = position();
        fewer.counts.applied = 0;
        assert!(wrong_position(&fewer).unwrap().contains("at most 6 in flight"));
        assert!(wrong_position(&Position { resume: 13, ..position() }).unwrap().contains("offset 13"));
        assert!(wrong_position(&Position { newest: i64::MAX, ..position() }).unwrap().contains("out of range"));
    }
}
