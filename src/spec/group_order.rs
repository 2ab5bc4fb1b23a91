//! The order in which feature groups answer.
//!
//! A group answers a record when it has all records before it, its own and those of others who ask. So it comes after
//! every group whose answers reach it: in its own records, or in records that look it up. A dataflow in which two groups
//! would each have to come after the other has no such order, although no feature is made from itself.

/// The pairs of groups, by position, of which one must answer before the other.
#[derive(Debug, Default)]
pub struct GroupOrder {
    pairs: Vec<OrderedPair>,
}

/// A group that answers before another, and the part of the file that needs it.
#[derive(Clone, Debug)]
struct OrderedPair {
    before: usize,
    after: usize,
    /// A name, such as `view 'scored'`.
    needed_by: String,
}

impl GroupOrder {
    /// Puts a group before another.
    ///
    /// # Errors
    /// The parts of the file that need the opposite order, in which case nothing changes.
    pub fn put(&mut self, before: usize, after: usize, needed_by: String) -> Result<(), Vec<String>> {
        if let Some(way) = self.way(after, before) {
            return Err(way);
        }
        self.pairs.push(OrderedPair { before, after, needed_by });
        Ok(())
    }

    /// Returns whether a group must answer before another.
    pub fn is_before(&self, one: usize, other: usize) -> bool {
        self.way(one, other).is_some()
    }

    /// Returns `groups` groups in an order in which they can answer: the order of the file but where a pair says
    /// otherwise.
    pub fn sorted(&self, groups: usize) -> Vec<usize> {
        let mut sorted: Vec<usize> = Vec::with_capacity(groups);
        while sorted.len() < groups {
            let is_free = |group: &usize| {
                let waits = |pair: &OrderedPair| pair.after == *group && !sorted.contains(&pair.before);
                !sorted.contains(group) && !self.pairs.iter().any(waits)
            };
            let next = (0..groups).find(is_free).expect("pairs form no circle");
            sorted.push(next);
        }
        sorted
    }

    /// The parts of the file that put a group before another, one after the other; `None` if none do.
    fn way(&self, from: usize, to: usize) -> Option<Vec<String>> {
        let mut seen = vec![from];
        let mut open: Vec<(usize, Vec<String>)> = vec![(from, Vec::new())];
        while let Some((at, way)) = open.pop() {
            for pair in self.pairs.iter().filter(|pair| pair.before == at) {
                let mut way = way.clone();
                if !way.contains(&pair.needed_by) {
                    way.push(pair.needed_by.clone());
                }
                if pair.after == to {
                    return Some(way);
                }
                if !seen.contains(&pair.after) {
                    seen.push(pair.after);
                    open.push((pair.after, way));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_in_the_order_of_the_file_but_where_a_pair_says_otherwise() {
        let mut order = GroupOrder::default();
        assert_eq!(order.sorted(3), [0, 1, 2]);
        order.put(2, 0, "a".to_owned()).unwrap();
        assert_eq!(order.sorted(4), [1, 2, 0, 3]);
        assert!(order.is_before(2, 0) && !order.is_before(0, 2) && !order.is_before(1, 2));
    }

    #[test]
    fn a_pair_against_the_others_is_refused_with_those_that_need_the_opposite() {
        let mut order = GroupOrder::default();
        order.put(0, 1, "view 'v'".to_owned()).unwrap();
        order.put(1, 2, "model 'm'".to_owned()).unwrap();
        assert_eq!(order.put(2, 0, "n".to_owned()), Err(vec!["view 'v'".to_owned(), "model 'm'".to_owned()]));
        assert_eq!(order.sorted(3), [0, 1, 2]);
    }
}
