//! Events to another server by HTTP: each a POST of one JSON object.
//!
//! Headers and signature are those of Standard Webhooks (standardwebhooks.com, specification 1.0).

mod signature;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderName, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;

use super::receiver::{Outcome, Receiver};
use super::spool::Waiting;
use crate::http_client::connect;
use crate::http_client::url::Target;
pub use signature::WebhookKey;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A server that takes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// The receiver's URL.
    pub url: String,
    /// Key of the signatures; without one there are none.
    pub key: Option<WebhookKey>,
}

/// Sends events to a URL.
pub struct Webhook {
    target: Target,
    key: Option<WebhookKey>,
}

impl Webhook {
    /// Nothing was sent yet.
    ///
    /// # Errors
    /// The URL is none that can be used.
    pub fn new(options: &WebhookOptions) -> Result<Self, String> {
        let target = Target::parse(&options.url).map_err(|problem| problem.detail)?;
        let key = options.key.clone();
        Ok(Self { target, key })
    }

    fn request(&self, event: &Waiting) -> Result<Request<Full<Bytes>>, axum::http::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let agent = concat!("onelook/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::post(self.target.path())
            .header(header::HOST, self.target.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, agent)
            .header(ID, &event.id)
            .header(TIMESTAMP, now);
        if let Some(key) = &self.key {
            request = request.header(SIGNATURE, key.sign(&event.id, now, &event.line));
        }
        request.body(Full::from(event.line.clone()))
    }
}

impl Receiver for Webhook {
    async fn send(&mut self, event: &Waiting) -> Outcome {
        let request = match self.request(event) {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let address = (self.target.host(), self.target.port());
        let addresses = match tokio::net::lookup_host(address).await {
            Ok(addresses) => addresses,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let mut reason = "its name has no address".to_owned();
        for address in addresses {
            let mut connection = match connect::open(&self.target, address).await {
                Ok(connection) => connection,
                Err(error) => {
                    reason = error.to_owned();
                    continue;
                }
            };
            return match connection.send_request(request).await {
                Ok(answer) => outcome(answer.status()),
                Err(error) => Outcome::Failed(error.to_string()),
            };
        }
        Outcome::Failed(reason)
    }
}

/// What a status says. Only what blames the event itself is a refusal: a wrong token, a missing route or
/// a busy receiver can be mended.
fn outcome(status: StatusCode) -> Outcome {
    let said = || format!("it answered with status {status}");
    match status.as_u16() {
        200..=299 => Outcome::Accepted,
        400 | 405 | 406 | 409..=424 | 431 => Outcome::Refused(said()),
        _ => Outcome::Failed(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_blames_the_event_is_a_refusal() {
        let of = |status| format!("{:?}", outcome(StatusCode::from_u16(status).unwrap()));
        for (status, expected) in [
            (204, "Accepted"),
            (422, "Refused"),
            (301, "Failed"),
            (401, "Failed"),
            (404, "Failed"),
            (408, "Failed"),
            (429, "Failed"),
            (503, "Failed"),
        ] {
            assert!(of(status).starts_with(expected), "{status}");
        }
    }
}
