//! Hosts and networks whose images are fetched although their addresses are not public.

use std::net::IpAddr;
use std::str::FromStr;

/// A host by name, or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlHost {
    /// The host in a URL, without its port.
    Name(String),
    /// Addresses that agree in the first bits.
    Network(IpAddr, u32),
}

impl UrlHost {
    /// Whether a URL with this host, which has this address, is among them.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Network(network, length) => {
                let (own, other) = (bits(*network), bits(address.to_canonical()));
                let shift = own.1 - length;
                own.1 == other.1 && own.0.checked_shr(shift) == other.0.checked_shr(shift)
            }
        }
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl FromStr for UrlHost {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{word}' is neither a host, an address nor a network such as 192.168.1.0/24")
        };
        let (address, length) = word.split_once('/').unwrap_or((word, ""));
        if let Ok(address) = address.parse::<IpAddr>() {
            let address = address.to_canonical();
            let all = bits(address).1;
            let length = match word.contains('/') {
                true => length.parse().ok().filter(|length| *length <= all),
                false => Some(all),
            };
            return Ok(Self::Network(address, length.ok_or_else(wrong)?));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        match !word.is_empty() && word.chars().all(is_name) {
            true => Ok(Self::Name(word.to_owned())),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_networks_are_told_apart() {
        let allows = |rule: &str, host: &str, address: &str| {
            let rule: UrlHost = rule.parse().unwrap();
            rule.allows(host, address.parse().unwrap())
        };
        assert!(allows("cam1.lan", "CAM1.lan", "10.0.0.1"));
        assert!(!allows("cam1.lan", "cam2.lan", "10.0.0.1"));
        assert!(allows("192.168.1.0/24", "x", "192.168.1.77"));
        assert!(allows("192.168.1.0/24", "x", "::ffff:192.168.1.77"));
        assert!(!allows("192.168.1.0/24", "x", "192.168.2.1"));
        assert!(allows("10.0.0.1", "x", "10.0.0.1") && !allows("10.0.0.1", "x", "10.0.0.2"));
        assert!(allows("fd00::/8", "x", "fd12::1") && !allows("fd00::/8", "x", "fe80::1"));
        assert!(allows("0.0.0.0/0", "x", "1.2.3.4") && !allows("0.0.0.0/0", "x", "::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/x", "a/24", "http://a", "a:80"] {
            assert!(wrong.parse::<UrlHost>().is_err(), "{wrong}");
        }
    }
}
