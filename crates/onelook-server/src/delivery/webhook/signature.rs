//! Signatures by which a receiver knows who sent an event, as Standard Webhooks defines them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret_file;

/// A secret that the receiver knows too.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookKey(Vec<u8>);

impl WebhookKey {
    /// From a file. Says so in the log if every user of the machine can read it.
    ///
    /// # Errors
    /// It cannot be read, every user of the machine can write it, or it is no key; all with its name.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |reason: String| format!("'{}': {reason}", path.display());
        secret_file::check(path)?;
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        if let Some(warning) = secret_file::warning(path) {
            tracing::warn!("{warning}");
        }
        Self::parse(&text).map_err(named)
    }

    /// From `whsec_` and base64, or base64 alone.
    ///
    /// # Errors
    /// It is neither, or has less than 24 bytes or more than 64.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        let key = STANDARD.decode(encoded);
        match key {
            Ok(key) if (24..=64).contains(&key.len()) => Ok(Self(key)),
            _ => Err(
                "the webhook's key must be 24 to 64 bytes in base64, with or without whsec_ before it: \
                 make one by `openssl rand -base64 32`"
                    .to_owned(),
            ),
        }
    }

    /// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let digest = mac.finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(digest))
    }
}

/// Says nothing of the key.
impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("WebhookKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let key = WebhookKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_long_enough_and_never_shown() {
        let key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let shown = format!("{:?}", WebhookKey::parse(key).unwrap());
        assert_eq!(shown, "WebhookKey");
        for wrong in ["", "whsec_", "secret", "whsec_c2hvcnQ="] {
            assert!(WebhookKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
