//! Admission of connections: at most so many in all, and at most so many of one client address.
//!
//! A connection that is not admitted is still answered on, within the reserve of its thread, if it asks for health or
//! metrics. See [`Reserve`](super::connection::Reserve).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The limits of connections, and the open connections of all serving threads.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: usize,
    max_per_address: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of an open connection, which is free again once this is dropped.
#[derive(Debug)]
pub struct Admitted {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

impl ConnectionLimits {
    /// Limits of `max` connections, and `max_per_address` of one client address.
    pub fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(ConnectionLimits { max, max_per_address, open: Mutex::default() })
    }

    /// Admits a connection from an address; `None` if there are too many in all or from there.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let address = client_address(address);
        let mut open = self.open.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.max || of_address >= self.max_per_address {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Admitted { limits: self.clone(), address })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        open.all -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// Returns the address that stands for a client: of IPv6 the network of 64 bits, all of which usually belong to one.
fn client_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limits: &Arc<ConnectionLimits>, address: &str) -> Option<Admitted> {
        limits.admit(address.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let limits = ConnectionLimits::new(5, 3);
        let greedy: Vec<Admitted> = (0..9).filter_map(|_| admit(&limits, "10.0.0.1")).collect();
        assert_eq!(greedy.len(), 3);
        let others = [admit(&limits, "10.0.0.2"), admit(&limits, "10.0.0.3")];
        assert!(others.iter().all(Option::is_some));
        assert!(admit(&limits, "10.0.0.4").is_none(), "there are five in all");
        drop(greedy);
        assert!(admit(&limits, "10.0.0.4").is_some());
        drop(others);
        assert_eq!(limits.open.lock().all, 0);
        assert!(limits.open.lock().by_address.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_an_address_of_ipv4_is_one_however_it_is_written() {
        let limits = ConnectionLimits::new(9, 1);
        let _first = admit(&limits, "2001:db8:1:2::1").unwrap();
        assert!(admit(&limits, "2001:db8:1:2:ffff::9").is_none());
        let _second = admit(&limits, "2001:db8:1:3::1").unwrap();
        let _third = admit(&limits, "10.0.0.1").unwrap();
        assert!(admit(&limits, "::ffff:10.0.0.1").is_none());
    }
}
