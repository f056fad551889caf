//! Which connections are open, from where, and which of them is closed for a new one.
//!
//! Bounded in all and per address. When it gets tight the connection that has been idle for longest goes,
//! first of the address that has most; one with a request in progress never does.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

use crate::config::MaxConnections;
use crate::connection_watch::ConnectionWatch;
use crate::locks::lock;
use crate::network::Network;

/// Which bound leaves no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The one of all addresses together.
    All,
    /// The one of this address.
    Address,
}

/// The open connections.
pub struct OpenConnections {
    max: MaxConnections,
    /// Networks whose addresses have no bound of their own.
    trusted_proxies: Vec<Network>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    count: usize,
    by_address: HashMap<IpAddr, Vec<Entry>>,
}

struct Entry {
    number: u64,
    watch: Arc<ConnectionWatch>,
    close: CancellationToken,
}

/// An open connection's place. Dropping it makes the place free.
pub struct ConnectionPlace {
    open: Arc<OpenConnections>,
    address: IpAddr,
    number: u64,
    /// Cancelled when the connection must make way for another.
    pub close: CancellationToken,
}

impl OpenConnections {
    /// None is open yet.
    pub fn new(max: MaxConnections, trusted_proxies: &[Network]) -> Arc<Self> {
        Arc::new(Self {
            max,
            trusted_proxies: trusted_proxies.to_vec(),
            state: Mutex::default(),
        })
    }

    /// A place for a connection of this address, if need be that of an idle one.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        watch: &Arc<ConnectionWatch>,
    ) -> Result<ConnectionPlace, Full> {
        let proxies = &self.trusted_proxies;
        let is_proxy = proxies.iter().any(|network| network.contains(address));
        let address = client_address(address);
        let mut state = self.lock();
        let own = state.by_address.get(&address).map_or(0, Vec::len);
        if !is_proxy && own >= self.max.per_address.max(1) && !state.close_idle(address) {
            return Err(Full::Address);
        }
        if state.count >= self.max.all.max(1) && !state.close_any_idle() {
            return Err(Full::All);
        }
        state.last += 1;
        state.count += 1;
        let (number, close) = (state.last, CancellationToken::new());
        let entry = Entry {
            number,
            watch: Arc::clone(watch),
            close: close.clone(),
        };
        state.by_address.entry(address).or_default().push(entry);
        Ok(ConnectionPlace {
            open: Arc::clone(self),
            address,
            number,
            close,
        })
    }

    /// Only a list is kept under the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Closes the longest idle connection of an address, if it has one.
    fn close_idle(&mut self, address: IpAddr) -> bool {
        let entries = self.by_address.get(&address).into_iter().flatten();
        let idle = entries.filter_map(|entry| Some((entry.watch.idle_since()?, entry.number)));
        let Some((_, number)) = idle.min() else {
            return false;
        };
        if let Some(entry) = self.remove(address, number) {
            entry.close.cancel();
        }
        true
    }

    fn close_any_idle(&mut self) -> bool {
        let sizes = self.by_address.iter();
        let mut sizes: Vec<_> = sizes
            .map(|(address, entries)| (entries.len(), *address))
            .collect();
        sizes.sort_unstable();
        let mut largest_first = sizes.into_iter().rev();
        largest_first.any(|(_, address)| self.close_idle(address))
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Entry> {
        let entries = self.by_address.get_mut(&address)?;
        let index = entries.iter().position(|entry| entry.number == number)?;
        let entry = entries.swap_remove(index);
        if entries.is_empty() {
            self.by_address.remove(&address);
        }
        self.count -= 1;
        Some(entry)
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.open.lock().remove(self.address, self.number);
    }
}

/// The address by which a client is told from others: of IPv6 the network, of which one machine has all
/// addresses.
pub fn client_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::progress::MinProgress;

    fn watch() -> Arc<ConnectionWatch> {
        ConnectionWatch::new(MinProgress {
            stall: Duration::from_secs(1),
            bytes_per_second: 1,
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// 10.0.0.99 is a trusted proxy.
    fn open(all: usize, per_address: usize) -> Arc<OpenConnections> {
        let max = MaxConnections { all, per_address };
        OpenConnections::new(max, &["10.0.0.99".parse().unwrap()])
    }

    #[test]
    fn the_longest_idle_connection_of_the_address_that_has_most_makes_way() {
        let open = open(4, 3);
        let admit = |last| {
            let watch = watch();
            open.admit(address(last), &watch)
                .map(|place| (place, watch))
        };
        let busy = admit(1).unwrap_or_else(|_| panic!("free"));
        let _request = busy.1.request();
        let [second, third] = [1, 1].map(|last| admit(last).unwrap_or_else(|_| panic!("free")));
        let other = admit(2).unwrap_or_else(|_| panic!("free"));
        // Of the same address: its own oldest idle one goes.
        let fourth = admit(1).unwrap_or_else(|_| panic!("an idle one goes"));
        assert!(second.0.close.is_cancelled() && !third.0.close.is_cancelled());
        // Of another address: one of the address that has most goes.
        let fifth = admit(3).unwrap_or_else(|_| panic!("an idle one goes"));
        assert!(third.0.close.is_cancelled() && !other.0.close.is_cancelled());
        let _requests = [&other, &fourth, &fifth].map(|(_, watch)| watch.request());
        assert_eq!(admit(4).err(), Some(Full::All));
        drop(other);
        assert!(admit(4).is_ok());
    }

    #[test]
    fn an_address_has_a_bound_of_its_own() {
        let open = open(9, 1);
        let watch = watch();
        let _request = watch.request();
        let _place = open
            .admit(address(1), &watch)
            .unwrap_or_else(|_| panic!("free"));
        assert_eq!(open.admit(address(1), &watch).err(), Some(Full::Address));
        assert!(open.admit(address(2), &watch).is_ok());
        let proxied = [99, 99].map(|last| open.admit(address(last), &watch));
        assert!(proxied.iter().all(Result::is_ok));
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let parse = |text: &str| client_address(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:0:0:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), address(1));
        assert_eq!(parse("10.0.0.1"), address(1));
    }
}
