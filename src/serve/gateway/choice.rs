//! The choice of a server for a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::backend::Backend;

/// The rule by which a server is chosen.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BalancePolicy {
    /// Servers in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests that it has not answered yet; in turn among several.
    LeastBusy,
    /// The same one for the same entity, as long as it is in.
    Hash,
}

/// The servers and whose turn it is.
#[derive(Debug)]
pub struct Balancer {
    pub backends: Vec<Arc<Backend>>,
    policy: BalancePolicy,
    turn: AtomicUsize,
}

impl Balancer {
    pub fn new(backends: Vec<Arc<Backend>>, policy: BalancePolicy) -> Self {
        Balancer { backends, policy, turn: AtomicUsize::new(0) }
    }

    /// Returns whether the choice depends on the hash of a request.
    pub fn needs_hash(&self) -> bool {
        self.policy == BalancePolicy::Hash
    }

    /// Chooses a server other than `except`. If none is in, chooses among all: one may be ready again.
    pub fn choose(&self, hash: u64, except: Option<usize>) -> Option<&Arc<Backend>> {
        let others = || self.backends.iter().filter(|backend| Some(backend.index) != except);
        let is_any_in = others().any(|backend| backend.is_in());
        let candidates = || others().filter(|backend| !is_any_in || backend.is_in());
        let turn = self.turn.fetch_add(1, Relaxed);
        let in_turn = |backend: &Arc<Backend>| backend.index.wrapping_sub(turn) % self.backends.len();
        match self.policy {
            BalancePolicy::RoundRobin => {
                let count = candidates().count();
                candidates().nth(turn % count.max(1))
            }
            BalancePolicy::LeastBusy => candidates().min_by_key(|backend| (backend.in_flight(), in_turn(backend))),
            // Rendezvous hashing: if one is taken out, only its own entities go to others.
            BalancePolicy::Hash => candidates()
                .max_by_key(|backend| XxHash3_64::oneshot_with_seed(hash, backend.url.authority().as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::backend::{BackendUrl, InFlightRequest};
    use super::*;
    use crate::metrics::Metrics;

    fn balancer(policy: BalancePolicy) -> Balancer {
        let metrics = Metrics::new("test");
        let url = |index: usize| BackendUrl::parse(&format!("http://mill-{index}:8080")).unwrap();
        let backends: Vec<_> = (0..3).map(|index| Backend::new(index, url(index), &metrics)).collect();
        backends.iter().for_each(|backend| backend.mark_ready());
        Balancer::new(backends, policy)
    }

    fn chosen(balancer: &Balancer, hash: u64, except: Option<usize>) -> usize {
        balancer.choose(hash, except).unwrap().index
    }

    #[test]
    fn servers_that_are_in_have_their_turns() {
        let balancer = balancer(BalancePolicy::RoundRobin);
        assert_eq!(Vec::from_iter((0..6).map(|_| chosen(&balancer, 0, None))), [0, 1, 2, 0, 1, 2]);
        balancer.backends[1].take_out(&"gone");
        assert!((0..6).all(|_| chosen(&balancer, 0, None) != 1));
        assert!((0..6).all(|_| chosen(&balancer, 0, Some(0)) == 2));
        balancer.backends.iter().for_each(|backend| backend.take_out(&"gone"));
        let tried: Vec<usize> = (0..3).map(|_| chosen(&balancer, 0, None)).collect();
        assert!((0..3).all(|index| tried.contains(&index)), "if none is in, all are tried: {tried:?}");
    }

    #[test]
    fn the_least_busy_server_is_chosen_and_equal_ones_in_turn() {
        let balancer = balancer(BalancePolicy::LeastBusy);
        let mut open: Vec<InFlightRequest> = Vec::new();
        for _ in 0..9 {
            open.push(InFlightRequest::begin(balancer.choose(0, None).unwrap()));
        }
        assert_eq!(Vec::from_iter(balancer.backends.iter().map(|backend| backend.in_flight())), [3, 3, 3]);
        open.clear();
        let _busy = [0, 2].map(|index| InFlightRequest::begin(&balancer.backends[index]));
        assert!((0..5).all(|_| chosen(&balancer, 0, None) == 1));
    }

    #[test]
    fn an_entity_keeps_its_server_while_others_come_and_go() {
        let balancer = balancer(BalancePolicy::Hash);
        let before: Vec<usize> = (0..300).map(|entity| chosen(&balancer, entity, None)).collect();
        assert!((0..3).all(|index| before.iter().filter(|chosen| **chosen == index).count() > 50));
        balancer.backends[2].take_out(&"gone");
        for (entity, before) in (0..).zip(&before) {
            let now = chosen(&balancer, entity, None);
            assert!(if *before == 2 { now != 2 } else { now == *before });
        }
        balancer.backends[2].mark_ready();
        assert_eq!(Vec::from_iter((0..300).map(|entity| chosen(&balancer, entity, None))), before);
    }
}
