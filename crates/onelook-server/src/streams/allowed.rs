//! Which addresses may be read that come by a request: cameras at hosts that the operator has named.
//!
//! ffmpeg resolves names and follows redirects by itself, so nothing that it is told by another host can be
//! checked here: only hosts that are trusted by name, or by an address that stands in the URL itself, are
//! read. Files and cameras of this computer are only for the operator's own list.

use std::net::IpAddr;

use crate::url_hosts::UrlHost;

const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// Whether a stream of this address may be added by a request.
///
/// # Errors
/// Why not, without the address.
pub fn check(url: &str, allowed: &[UrlHost]) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
    {
        return Err(
            "url: only rtsp://, rtsps://, http:// and https:// can be added by a request; files \
             and cameras of the server are for its --streams file"
                .to_owned(),
        );
    }
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if url.chars().any(is_odd) {
        return Err("url: it has a space, a backslash or a control character".to_owned());
    }
    let host = host(rest).ok_or("url: it has no host, or its port is not one from 1 to 65535")?;
    let is_allowed = match host.parse::<IpAddr>() {
        Ok(address) => allowed.iter().any(|rule| rule.allows(host, address)),
        Err(_) => allowed.iter().any(|rule| rule.names(host)),
    };
    match is_allowed {
        true => Ok(()),
        false => Err(
            "url: its host is not among those of --allow-stream-host; a network there allows \
             addresses that are written as numbers, a name is allowed by itself"
                .to_owned(),
        ),
    }
}

/// The host in what follows `://`, read as ffmpeg reads it.
fn host(rest: &str) -> Option<&str> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let place = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    let (host, port) = match place.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_ok = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (is_ok && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_hosts_are_read() {
        let rules: Vec<UrlHost> = ["cam.lan", "192.168.1.0/24", "fd00::/8"]
            .map(|rule| rule.parse().unwrap())
            .into();
        let allowed = |url: &str| check(url, &rules).is_ok();
        for url in [
            "rtsp://cam.lan/1",
            "RTSP://u:p@CAM.lan:554/1",
            "rtsp://u:p@ss@192.168.1.7/x?y#z",
            "https://[fd00::1]:8443/a.m3u8",
            "http://192.168.1.7",
        ] {
            assert!(allowed(url), "{url}");
        }
        for url in [
            "rtsp://other.lan/1",
            "rtsp://192.168.2.7/1",
            "rtsp://cam.lan@127.0.0.1/",
            "rtsp://127.0.0.1/@cam.lan",
            "rtsp://127.0.0.1?@cam.lan/",
            "rtsp://127.0.0.1#@cam.lan/",
            "rtsp://127.0.0.1\\@cam.lan/",
            "rtsp://cam.lan:99999/",
            "rtsp://cam.lan:x/",
            "rtsp://cam.lan /",
            "rtsp:///cam.lan",
            "rtsp://",
            "rtsp://2130706433/",
            "file:///etc/passwd",
            "/etc/passwd",
            "0",
            "concat:a|b",
            "udp://cam.lan:1",
            "rtsp://cam.lan/\nfile x",
            "",
        ] {
            assert!(!allowed(url), "{url}");
        }
        assert!(check("rtsp://cam.lan/1", &[]).is_err());
    }
}
