//! Where a ZeroMQ socket listens: `tcp://HOST:PORT` or `ipc:///PATH`.

use std::path::PathBuf;

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZmqEndpoint {
    /// `tcp://HOST:PORT`
    Tcp(String, u16),
    /// `ipc://PATH`
    Ipc(PathBuf),
}

impl std::str::FromStr for ZmqEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}': expected tcp://HOST:PORT or ipc:///PATH");
        if let Some(path) = text.strip_prefix("ipc://") {
            let is_absolute = path.starts_with('/') && path.len() > 1;
            return is_absolute
                .then(|| Self::Ipc(path.into()))
                .ok_or_else(wrong);
        }
        let place = text.strip_prefix("tcp://").ok_or_else(wrong)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host == "*" { "0.0.0.0" } else { host };
        match port.parse() {
            Ok(port) if !host.is_empty() => Ok(Self::Tcp(host.to_owned(), port)),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for ZmqEndpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => {
                write!(formatter, "tcp://[{host}]:{port}")
            }
            Self::Tcp(host, port) => write!(formatter, "tcp://{host}:{port}"),
            Self::Ipc(path) => write!(formatter, "ipc://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_zeromq_does() {
        for text in ["tcp://127.0.0.1:5555", "tcp://[::1]:1", "ipc:///tmp/a"] {
            assert_eq!(text.parse::<ZmqEndpoint>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "tcp://",
            "tcp://a",
            "tcp://:1",
            "ipc://",
            "ipc://a",
            "udp://a:1",
        ] {
            assert!(wrong.parse::<ZmqEndpoint>().is_err(), "{wrong}");
        }
    }
}
