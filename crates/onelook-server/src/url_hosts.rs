//! Hosts and networks whose images are fetched although their addresses are not public.

use std::net::IpAddr;
use std::str::FromStr;

use crate::network::Network;

/// A host by name, or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlHost {
    /// The host in a URL, without its port.
    Name(String),
    /// Addresses.
    Network(Network),
}

impl UrlHost {
    /// Whether a URL with this host, which has this address, is among them.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Network(network) => network.contains(address),
        }
    }

    /// Whether it is this very name.
    pub fn names(&self, host: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(host))
    }
}

impl FromStr for UrlHost {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if let Ok(network) = word.parse() {
            return Ok(Self::Network(network));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        match !word.is_empty() && word.chars().all(is_name) {
            true => Ok(Self::Name(word.to_owned())),
            false => Err(format!(
                "'{word}' is neither a host, an address nor a network such as 192.168.1.0/24"
            )),
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
        assert!(!allows("192.168.1.0/24", "x", "192.168.2.1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/x", "a/24", "http://a", "a:80"] {
            assert!(wrong.parse::<UrlHost>().is_err(), "{wrong}");
        }
    }
}
