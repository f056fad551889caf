//! Authentication and scopes. Tokens are kept as hashes, compared in constant time, and never logged.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::admission::ClientKey;
use crate::problem::{Problem, ProblemKind};
use crate::secret_file;

/// What a token allows. Each scope includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reading health, descriptions and metrics.
    Read,
    /// Running models.
    Infer,
    /// Loading and unloading models.
    Admin,
}

/// A known token.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    name: Arc<str>,
    hash: [u8; 32],
    scope: Scope,
    high_priority: bool,
}

/// The tokens that a server accepts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; none if the server needs no tokens.
    pub name: Option<Arc<str>>,
    /// What the caller may do.
    pub scope: Scope,
    /// Whether its requests may have the priority high.
    pub high_priority: bool,
}

impl Caller {
    /// Whether the caller's requests may go before those of others. Nobody's may on a server without
    /// tokens, where one client cannot be told from another.
    pub fn may_go_first(&self) -> bool {
        self.name.is_some() && (self.high_priority || self.scope == Scope::Admin)
    }

    /// Fails unless the caller has this scope.
    pub fn check(&self, scope: Scope) -> Result<(), Problem> {
        match self.scope >= scope {
            true => Ok(()),
            false => Err(Problem::new(
                ProblemKind::Forbidden,
                format!(
                    "this needs a token with the scope {scope:?}, this one has {:?}",
                    self.scope
                )
                .to_lowercase(),
            )),
        }
    }

    /// The client in the fair queue, if it is known by its token.
    pub fn client_key(&self) -> Option<ClientKey> {
        let name = self.name.as_ref()?;
        Some(Arc::from(format!("token:{name}")))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|token| &*token.name).collect();
        write!(f, "Tokens({})", names.join(", "))
    }
}

impl Tokens {
    /// Reads lines `TOKEN`, `NAME TOKEN`, `NAME TOKEN SCOPE` or `NAME TOKEN SCOPE high`; a token may be
    /// given as `sha256:HEX`. The scope is `infer`, `read` or `admin`; without one it is `admin`. `high`
    /// allows the priority of that name, as `admin` does. Empty lines and those that start with `#` are
    /// skipped.
    ///
    /// # Errors
    /// Names the line and what is wrong with it, without the token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = Token::parse(line, index + 1)?;
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// Reads a file of such lines.
    ///
    /// # Errors
    /// Names the file: it cannot be read, anyone can write it, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, String> {
        secret_file::check(path)?;
        let refused = |reason: String| format!("'{}': {reason}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let tokens = Self::parse(&text).map_err(refused)?;
        match tokens.is_empty() {
            true => Err(refused("it holds no token".to_owned())),
            false => Ok(tokens),
        }
    }

    /// Both lists as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether everybody may send requests.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The caller with this token. Every token is compared, so the time does not tell which one fits.
    pub fn identify(&self, presented: Option<&str>) -> Result<Caller, Problem> {
        if self.is_empty() {
            return Ok(Caller {
                name: None,
                scope: Scope::Admin,
                high_priority: false,
            });
        }
        let Some(presented) = presented else {
            return Err(Problem::new(
                ProblemKind::Unauthorised,
                "this server requires a token: send 'Authorization: Bearer TOKEN' or 'X-API-Key: TOKEN'",
            ));
        };
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found
            .map(|token| Caller {
                name: Some(Arc::clone(&token.name)),
                scope: token.scope,
                high_priority: token.high_priority,
            })
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::Unauthorised,
                    "this server does not know the token",
                )
            })
    }
}

impl Token {
    fn parse(line: &str, number: usize) -> Result<Self, String> {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let high_priority = words.len() == 4 && words[3] == "high";
        if high_priority {
            words.pop();
        }
        let (name, secret, scope) = match words.as_slice() {
            [secret] => (format!("token-{number}"), *secret, Scope::Admin),
            [name, secret] => ((*name).to_owned(), *secret, Scope::Admin),
            [name, secret, scope] => {
                let scope = match *scope {
                    "read" => Scope::Read,
                    "infer" => Scope::Infer,
                    "admin" => Scope::Admin,
                    other => {
                        return Err(format!(
                            "line {number}: '{other}' is not a scope: expected read, infer or admin"
                        ));
                    }
                };
                ((*name).to_owned(), *secret, scope)
            }
            _ => {
                return Err(format!(
                    "line {number}: expected TOKEN, NAME TOKEN, NAME TOKEN SCOPE or NAME TOKEN SCOPE high"
                ));
            }
        };
        let hash = match secret.strip_prefix("sha256:") {
            Some(hex) => parse_hash(hex).ok_or_else(|| {
                format!("line {number}: expected 64 hexadecimal digits after sha256:")
            })?,
            None => Sha256::digest(secret.as_bytes()).into(),
        };
        Ok(Self {
            name: Arc::from(name),
            hash,
            scope,
            high_priority,
        })
    }
}

fn parse_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The protocol of WebSockets with live streams.
pub const LIVE_PROTOCOL: &str = "onelook";

/// Begins the protocol by which a page presents its token: it cannot set headers of a WebSocket.
const TOKEN_PROTOCOL: &str = "onelook.token.";

/// The token in a request's headers.
pub fn presented(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let plain = bearer.or_else(|| text("x-api-key").map(str::trim));
    plain.map(Cow::Borrowed).or_else(|| {
        let protocols = text(header::SEC_WEBSOCKET_PROTOCOL.as_str())?;
        let mut protocols = protocols.split(',').map(str::trim);
        let encoded = protocols.find_map(|it| it.strip_prefix(TOKEN_PROTOCOL))?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        String::from_utf8(bytes).ok().map(Cow::Owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::parse("# ours\n\ncamera s3cret infer\nroot sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n").unwrap()
    }

    #[test]
    fn a_known_token_has_a_name_and_a_scope() {
        let caller = tokens().identify(Some("s3cret")).unwrap();
        assert_eq!(caller.name.as_deref(), Some("camera"));
        assert_eq!(caller.scope, Scope::Infer);
        // SHA-256 of "abc", FIPS 180-2.
        assert_eq!(tokens().identify(Some("abc")).unwrap().scope, Scope::Admin);
    }

    #[test]
    fn a_token_says_whether_its_requests_may_go_first() {
        let tokens = Tokens::parse("a 1 infer\nb 2 infer high\nc 3").unwrap();
        let may = |token| tokens.identify(Some(token)).unwrap().may_go_first();
        assert_eq!(["1", "2", "3"].map(may), [false, true, true]);
        let stranger = Tokens::default().identify(None).unwrap();
        assert!(!stranger.may_go_first());
        assert!(Tokens::parse("a 1 infer higher").is_err());
    }

    #[test]
    fn no_token_and_a_wrong_one_are_refused() {
        for wrong in [None, Some(""), Some("s3cre"), Some("s3cret ")] {
            let problem = tokens().identify(wrong).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Unauthorised);
            assert!(!problem.detail.contains("s3c"));
        }
        assert!(Tokens::default().identify(None).is_ok());
    }

    #[test]
    fn a_wrong_line_is_named_without_its_token() {
        let error = Tokens::parse("\ncamera s3cret everything").unwrap_err();
        assert_eq!(
            error,
            "line 2: 'everything' is not a scope: expected read, infer or admin"
        );
        assert!(!format!("{:?}", tokens()).contains("s3cret"));
    }

    #[test]
    fn a_token_is_found_in_either_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(presented(&headers), None);
        headers.insert("x-api-key", "b".parse().unwrap());
        assert_eq!(presented(&headers).as_deref(), Some("b"));
        headers.insert("authorization", "bearer a".parse().unwrap());
        assert_eq!(presented(&headers).as_deref(), Some("a"));
    }

    #[test]
    fn a_websocket_of_a_page_has_its_token_among_the_protocols() {
        let mut headers = HeaderMap::new();
        let with = |headers: &mut HeaderMap, protocols: &'static str| {
            headers.insert("sec-websocket-protocol", protocols.parse().unwrap());
            presented(headers).map(Cow::into_owned)
        };
        let token = with(&mut headers, "onelook, onelook.token.czNjcmV0Lw");
        assert_eq!(token.as_deref(), Some("s3cret/"));
        assert_eq!(with(&mut headers, "onelook"), None);
        assert_eq!(with(&mut headers, "onelook.token.?"), None);
    }
}
