//! Keeps pages of other sites from using the server by way of a user's browser.
//!
//! A request that may change something must not come from a page of another origin (cross-site request
//! forgery), and a server on loopback answers to loopback names only: a foreign name that resolves to it
//! would make any page one of its own (DNS rebinding). Programs send none of these headers, or true ones.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};

use crate::config::Config;
use crate::problem::{Problem, ProblemKind, shown};

use super::grpc_request::is_grpc;

/// Refuses a request that a page of another site has sent, or that names another host.
pub fn check(config: &Config, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let authority = authority(request);
    if checks_hosts(config)
        && let Some(authority) = &authority
        && !is_own_host(config, authority.host())
    {
        let name = shown(authority.host());
        return Err(Problem::new(
            ProblemKind::Forbidden,
            format!(
                "this server is not known as {name}: use its own address, or start it with --allow-host NAME"
            ),
        ));
    }
    let is_read = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    // gRPC's routes do not look at the method; what a WebSocket sends is readable to any page that opens it.
    let is_safe = is_read
        && !is_grpc(request)
        && !headers.contains_key(header::UPGRADE)
        && !request.uri().path().starts_with("/v1/streams");
    if is_safe || is_of_own_page(config, headers, authority.as_ref()) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Forbidden,
        "a page of another site has sent this request: allow its origin with --cors ORIGIN",
    ))
}

/// Host and port that the client names, in HTTP/2 with the path.
fn authority(request: &Request) -> Option<Authority> {
    let host = request.headers().get(header::HOST);
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    named.or_else(|| request.uri().authority().cloned())
}

fn checks_hosts(config: &Config) -> bool {
    !config.allow_hosts.is_empty() || is_loopback(&config.host)
}

/// Whether the server is known by this name. Elsewhere than on loopback any address is its own: probes use
/// those, and rebinding needs a name.
fn is_own_host(config: &Config, name: &str) -> bool {
    let name = bare(name);
    let is_named = |known: &String| bare(known).eq_ignore_ascii_case(name) || known == "*";
    is_loopback(name)
        || bare(&config.host) == name
        || (!is_loopback(&config.host) && name.parse::<IpAddr>().is_ok())
        || config.allow_hosts.iter().any(is_named)
}

/// A name without the brackets of an IPv6 address and without the dot of a root.
fn bare(name: &str) -> &str {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.strip_suffix('.').unwrap_or(name)
}

fn is_loopback(name: &str) -> bool {
    let name = bare(name);
    let address = name.parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical().is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Whether no page, or one of this server or of an allowed origin, has sent the request.
fn is_of_own_page(config: &Config, headers: &HeaderMap, own: Option<&Authority>) -> bool {
    let origin = headers.get(header::ORIGIN);
    if origin.is_some_and(|origin| config.allows_origin(origin.as_bytes())) {
        return true;
    }
    // Browsers set this themselves, also behind a proxy that changes the host. Absent in old ones, and
    // over plain HTTP.
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = origin else {
        return true;
    };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    origin.is_some_and(|(_, host)| own.is_some_and(|own| own.as_str().eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn allowed(config: &Config, method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/v1/detect");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        check(config, &request).is_ok()
    }

    #[test]
    fn a_page_of_another_site_may_read_nothing_into_effect() {
        let config = Config {
            cors: vec!["https://friend.example".to_owned()],
            ..Config::default()
        };
        let host = ("host", "127.0.0.1:8000");
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[], true),
            (&[("origin", "http://127.0.0.1:8000")], true),
            (&[("origin", "http://127.0.0.1:9000")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://friend.example")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "https://proxy.example"),
                ],
                true,
            ),
        ];
        for (headers, expected) in cases {
            let with_host: Vec<_> = [host].iter().chain(headers).copied().collect();
            assert_eq!(
                allowed(&config, "POST", &with_host),
                expected,
                "{headers:?}"
            );
            assert!(allowed(&config, "GET", &with_host), "{headers:?}");
        }
    }

    #[test]
    fn no_method_makes_a_call_of_grpc_safe() {
        let grpc = ("content-type", "application/grpc");
        for method in ["GET", "OPTIONS", "POST"] {
            let foreign = [grpc, ("origin", "https://evil.example")];
            assert!(!allowed(&Config::default(), method, &foreign), "{method}");
            assert!(allowed(&Config::default(), method, &[grpc]), "{method}");
        }
    }

    #[test]
    fn on_loopback_only_loopback_names_are_answered() {
        let loopback = Config::default();
        for name in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:1",
            "[::1]:8000",
            "a.localhost",
        ] {
            assert!(allowed(&loopback, "GET", &[("host", name)]), "{name}");
        }
        for name in ["evil.example", "127.0.0.1.evil.example:8000", "10.0.0.1"] {
            assert!(!allowed(&loopback, "GET", &[("host", name)]), "{name}");
        }
        let named = Config {
            allow_hosts: vec!["cam.lan".to_owned()],
            host: "0.0.0.0".to_owned(),
            ..Config::default()
        };
        assert!(allowed(&named, "GET", &[("host", "CAM.lan:8000")]));
        assert!(allowed(&named, "GET", &[("host", "cam.lan.:8000")]));
        assert!(allowed(&named, "GET", &[("host", "10.1.2.3:8000")]));
        assert!(allowed(&named, "GET", &[("host", "[fd00::5]")]));
        assert!(!allowed(&named, "GET", &[("host", "evil.example")]));
        let open = Config {
            host: "0.0.0.0".to_owned(),
            ..Config::default()
        };
        assert!(allowed(&open, "GET", &[("host", "anything.example")]));
    }
}
