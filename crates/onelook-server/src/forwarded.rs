//! Whose request a proxy passes on.
//!
//! A proxy appends the address that it got a request from to `X-Forwarded-For`. What stands there before
//! was written by that address, so it holds only as far as each address after it is a trusted proxy's.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

use crate::network::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that a request comes from: the connection's own unless that is a trusted proxy's.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    let values = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let addresses = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    for address in addresses {
        if !is_trusted(client) {
            break;
        }
        // Nobody vouches for what stands before a word that is no address.
        let Some(address) = parse(address) else { break };
        client = address;
    }
    client
}

/// An address, with or without a port.
fn parse(word: &[u8]) -> Option<IpAddr> {
    let word = std::str::from_utf8(word).ok()?.trim();
    let bare = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'));
    let address = bare.unwrap_or(word).parse().ok();
    address.or_else(|| Some(word.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client_of(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["127.0.0.1", "10.0.0.0/8"].map(|word| word.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(value));
        }
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_trusted_proxy_says_whose_request_it_passes_on() {
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client_of("::ffff:127.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
        assert_eq!(client_of("127.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client_of("127.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4, 10.0.0.7"]), "1.2.3.4");
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4", "10.0.0.7"]), "1.2.3.4");
        assert_eq!(client_of("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_a_client_writes_itself_counts_for_nothing() {
        assert_eq!(client_of("9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4", "9.9.9.9"]), "9.9.9.9");
        assert_eq!(
            client_of("127.0.0.1", &["1.2.3.4, unknown, 10.0.0.7"]),
            "10.0.0.7"
        );
        assert_eq!(client_of("127.0.0.1", &["1.2.3.4,"]), "127.0.0.1");
    }
}
