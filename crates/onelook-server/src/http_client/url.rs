//! Parses URLs, and tells public addresses from others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use axum::http::uri::Scheme;

use crate::problem::Problem;

/// Longest URL that is parsed.
const MAX_LENGTH: usize = 2048;

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    encrypted: bool,
}

impl Target {
    /// Parses `http://host[:port]/path`, or the same with `https`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        // The fragment is not part of a request.
        let text = text.trim().split('#').next().unwrap_or_default();
        if text.len() > MAX_LENGTH {
            return Err(malformed("it has more than 2048 characters"));
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| malformed("it is not an http:// or https:// URL"))?;
        let encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(malformed("only http:// and https:// are fetched")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(malformed("it has credentials, which are never sent"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(malformed("it has no host"));
        }
        // To the parser an invalid port is absent, and the default one would be used.
        if uri.host() != Some(authority) && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(malformed("its port is not a number from 1 to 65535"));
        }
        Ok(Self { uri, encrypted })
    }

    /// The target of a redirect: a URL, or a path on the same host.
    pub fn join(&self, location: &str) -> Result<Self, Problem> {
        let location = location.trim();
        let scheme = if self.encrypted { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        if location.starts_with('/') {
            return Self::parse(&format!("{scheme}://{}{location}", self.authority()));
        }
        if location.contains("://") {
            return Self::parse(location);
        }
        let directory = self
            .uri
            .path()
            .rsplit_once('/')
            .map_or("", |(head, _)| head);
        Self::parse(&format!(
            "{scheme}://{}{directory}/{location}",
            self.authority()
        ))
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(host)
    }

    /// The port; by default that of the scheme.
    pub fn port(&self) -> u16 {
        let usual = if self.encrypted { 443 } else { 80 };
        self.uri.port_u16().unwrap_or(usual)
    }

    /// Whether to use TLS.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Host and port as written.
    pub fn authority(&self) -> &str {
        self.uri
            .authority()
            .map_or("", |authority| authority.as_str())
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

fn malformed(reason: &str) -> Problem {
    Problem::bad_request(format!("url: {reason}"))
}

/// Whether an address is public, by the registries of RFC 6890 and its successors.
///
/// Of IPv6, only global unicast (2000::/3) is public, except for its ranges with a special purpose.
/// All forms that embed an IPv4 address are outside of what remains.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !is_special_v4(address),
        IpAddr::V6(address) => {
            within_v6(address, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
                && !SPECIAL_V6
                    .iter()
                    .any(|(prefix, length)| within_v6(address, Ipv6Addr::from(*prefix), *length))
        }
    }
}

const SPECIAL_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared by carriers
    ([127, 0, 0, 0], 8),      // loopback
    ([169, 254, 0, 0], 16),   // link-local, metadata of clouds
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
    ([168, 63, 129, 16], 32), // a cloud's virtual host
];

const SPECIAL_V6: [([u16; 8], u32); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

fn is_special_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    SPECIAL_V4
        .iter()
        .any(|(prefix, length)| (bits ^ u32::from_be_bytes(*prefix)) >> (32 - length) == 0)
}

fn within_v6(address: Ipv6Addr, prefix: Ipv6Addr, length: u32) -> bool {
    (u128::from(address) ^ u128::from(prefix)) >> (128 - length) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inside in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
    }

    #[test]
    fn a_url_is_http_and_has_no_credentials() {
        for wrong in [
            "",
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://a/b",
            "gopher://a",
            "http://",
            "http:///x",
            "http://user:secret@host/",
            "http://@host/",
            "javascript:alert(1)",
            "http://a:0/",
            "http://a:99999/",
            "http://a b/",
            "http://a\u{0}b/",
            "data:image/png;base64,AAAA",
        ] {
            let refused = Target::parse(wrong);
            assert!(refused.is_err(), "{wrong}: {refused:?}");
        }
        assert!(Target::parse(&format!("http://a/{}", "x".repeat(3000))).is_err());
        let target = Target::parse(" https://a.example/b/c.jpg?d=e#f ").unwrap();
        assert_eq!((target.host(), target.port()), ("a.example", 443));
        assert_eq!(target.path(), "/b/c.jpg?d=e");
        assert_eq!(Target::parse("http://[::1]:81").unwrap().host(), "::1");
    }

    #[test]
    fn a_redirect_is_parsed_like_a_url() {
        let target = Target::parse("https://a.example:8443/b/c.jpg").unwrap();
        for (location, expected) in [
            ("/d", "https://a.example:8443/d"),
            ("d.jpg", "https://a.example:8443/b/d.jpg"),
            ("//e.example/d", "https://e.example/d"),
            ("http://e.example/d", "http://e.example/d"),
        ] {
            assert_eq!(target.join(location), Target::parse(expected), "{location}");
        }
        assert!(target.join("file:///etc/passwd").is_err());
        assert!(target.join("http://u:p@e.example/").is_err());
    }
}
