//! Cuts of numbers into bins.

/// Returns cuts between parts of a sorted sample with about as many numbers each, at most `parts` of them.
pub(super) fn cuts_of_parts(sorted: &[f64], parts: usize) -> Vec<f64> {
    let mut cuts: Vec<f64> = Vec::new();
    for part in 1..parts {
        let Some(below) = (sorted.len() * part / parts).checked_sub(1).map(|at| sorted[at]) else { continue };
        let next = sorted.get(sorted.partition_point(|x| *x <= below));
        let cut = next.map(|above| between(below, *above));
        cuts.extend(cut.filter(|cut| cuts.last().is_none_or(|last| last < cut)));
    }
    cuts
}

/// Returns a number from `below` on and less than `above`, in the middle if there is one.
pub(super) fn between(below: f64, above: f64) -> f64 {
    let middle = below + (above - below) / 2.0;
    if middle < above { middle } else { below }
}
