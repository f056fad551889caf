//! Where a message broker is and who connects to it: addresses such as `mqtt://user@host:1883/prefix`.
//! Passwords come from elsewhere and are never shown.

use std::path::{Path, PathBuf};

use crate::secret_file;

/// Where messages go when the address names no prefix.
const PREFIX: &str = "onelook";

/// A broker and the credentials for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerOptions {
    /// `SCHEME://[USER@]HOST[:PORT][/PREFIX]`.
    pub address: String,
    /// The password of the address's user; for NATS without a user a token.
    pub password: Option<Password>,
    /// PEM file of the certificates that are trusted besides the public ones, for encrypted connections.
    pub ca: Option<PathBuf>,
}

/// A password that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The first line of a file. Says so in the log if every user of the machine can read it.
    ///
    /// # Errors
    /// It cannot be read, every user of the machine can write it, or it is empty; all with its name.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |reason: &str| format!("'{}': {reason}", path.display());
        secret_file::check(path)?;
        let text = std::fs::read_to_string(path).map_err(|error| named(&error.to_string()))?;
        if let Some(warning) = secret_file::warning(path) {
            tracing::warn!("{warning}");
        }
        Self::parse(&text).ok_or_else(|| named("expected a password in the first line"))
    }

    /// The first line of a text; nothing if it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next().filter(|line| !line.is_empty());
        line.map(|line| Self(line.to_owned()))
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password")
    }
}

/// The kind of a broker: the schemes of its addresses, and its ports.
pub struct BrokerKind {
    /// Scheme and port of plain connections.
    pub plain: (&'static str, u16),
    /// Scheme and port of encrypted connections.
    pub encrypted: (&'static str, u16),
    /// Between the levels of a topic.
    pub separator: char,
}

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Who connects.
    pub user: Option<String>,
    /// Where all topics begin.
    pub prefix: String,
    /// What follows a question mark.
    pub query: Option<String>,
}

impl BrokerAddress {
    /// Parses an address of this kind.
    ///
    /// # Errors
    /// It is none, or has a password in it.
    pub fn parse(text: &str, kind: &BrokerKind) -> Result<Self, String> {
        let (plain, encrypted) = (kind.plain, kind.encrypted);
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (is_encrypted, default_port) = match scheme {
            scheme if scheme == plain.0 => (false, plain.1),
            scheme if scheme == encrypted.0 => (true, encrypted.1),
            _ => {
                return Err(format!(
                    "expected {}://HOST/PREFIX, or {}://HOST/PREFIX for encrypted connections",
                    plain.0, encrypted.0
                ));
            }
        };
        if is_encrypted && !cfg!(feature = "tls") {
            let reason = "this build has no TLS: only plain connections can be used";
            return Err(reason.to_owned());
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(
                "a password in the address can be seen by others: put it into a file or a variable"
                    .to_owned(),
            );
        }
        let bracketed = place
            .strip_prefix('[')
            .and_then(|place| place.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match place.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err("it has no host".to_owned());
        }
        let port = match port {
            None => default_port,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err("its port is not a number from 1 to 65535".to_owned()),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            is_encrypted,
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            prefix: prefix(path, kind.separator)?,
            query,
        })
    }

    /// `PREFIX/STREAM/WHAT` with the broker's separator.
    pub fn topic(&self, stream: &str, what: &str, kind: &BrokerKind) -> String {
        let separator = kind.separator;
        format!("{}{separator}{stream}{separator}{what}", self.prefix)
    }
}

/// The levels of a path, joined as the broker does.
fn prefix(path: &str, separator: char) -> Result<String, String> {
    let levels: Vec<&str> = path.split('/').filter(|level| !level.is_empty()).collect();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if path.len() > 128 || !levels.iter().all(|level| level.chars().all(is_plain)) {
        return Err(
            "its prefix must consist of letters, digits, - and _, in levels between /".to_owned(),
        );
    }
    match levels.is_empty() {
        true => Ok(PREFIX.to_owned()),
        false => Ok(levels.join(&separator.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: BrokerKind = BrokerKind {
        plain: ("mqtt", 1883),
        encrypted: ("mqtts", 8883),
        separator: '/',
    };

    #[test]
    fn addresses_have_defaults() {
        let parse = |text| BrokerAddress::parse(text, &KIND).unwrap();
        let full = parse("mqtt://me@[::1]:18/a/b?x");
        assert_eq!((full.host.as_str(), full.port), ("::1", 18));
        assert_eq!(
            (full.user.as_deref(), full.prefix.as_str()),
            (Some("me"), "a/b")
        );
        assert_eq!(full.query.as_deref(), Some("x"));
        assert_eq!(full.topic("gate", "events", &KIND), "a/b/gate/events");
        let short = parse("mqtt://broker");
        assert_eq!((short.port, short.prefix.as_str()), (1883, "onelook"));
        #[cfg(feature = "tls")]
        assert_eq!(parse("mqtts://broker/").port, 8883);
    }

    #[test]
    fn wrong_addresses_are_refused_in_words() {
        for (text, part) in [
            ("broker", "expected mqtt://"),
            ("http://broker", "expected mqtt://"),
            ("mqtt://", "no host"),
            ("mqtt://broker:x", "port"),
            ("mqtt://broker:0", "port"),
            ("mqtt://me:secret@broker", "file or a variable"),
            ("mqtt://broker/a/#", "prefix"),
        ] {
            let said = BrokerAddress::parse(text, &KIND).unwrap_err();
            assert!(said.contains(part) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_password_is_a_line_and_not_shown() {
        let password = Password::parse("geheim\nx").unwrap();
        assert_eq!(password.reveal(), "geheim");
        assert_eq!(format!("{password:?}"), "Password");
        assert_eq!(Password::parse("\nx"), None);
    }
}
