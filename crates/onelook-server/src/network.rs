//! A network of addresses, written as 192.168.1.0/24; an address alone is a network of one.

use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that agree in the first bits. IPv4 within IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_length: u32,
}

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other) = (bits(self.address), bits(address.to_canonical()));
        let shift = own.1 - self.prefix_length;
        own.1 == other.1 && own.0.checked_shr(shift) == other.0.checked_shr(shift)
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("'{word}' is neither an address nor a network such as 10.0.0.0/8");
        let (address, length) = match word.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (word, None),
        };
        let written = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let address = written.to_canonical();
        let all = bits(address).1;
        // Of IPv4 written as IPv6 the first 96 bits say just that.
        let mapped = bits(written).1 - all;
        let prefix_length = match length {
            Some(length) => {
                let length = length.parse::<u32>().ok();
                let length = length.and_then(|length| length.checked_sub(mapped));
                length.filter(|length| *length <= all)
            }
            None => Some(all),
        };
        Ok(Self {
            address,
            prefix_length: prefix_length.ok_or_else(wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_start_like_it() {
        let contains = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(contains("192.168.1.0/24", "192.168.1.77"));
        assert!(contains("192.168.1.0/24", "::ffff:192.168.1.77"));
        assert!(!contains("192.168.1.0/24", "192.168.2.1"));
        assert!(contains("10.0.0.1", "10.0.0.1") && !contains("10.0.0.1", "10.0.0.2"));
        assert!(contains("fd00::/8", "fd12::1") && !contains("fd00::/8", "fe80::1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::ffff:0:0/96", "1.2.3.4"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.1.2.3"));
        for wrong in [
            "::ffff:10.0.0.0/24",
            "",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "a/24",
            "cam1.lan",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
