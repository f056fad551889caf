//! Sends what waits in the spool, one event after the other, again and again until it was accepted.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderName, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use onelook::media::video::Backoff;
use tokio::time::timeout;

use super::queue::EventQueue;
use super::signature::WebhookKey;
use super::spool::Waiting;
use crate::blocking::blocking;
use crate::http_client::connect;
use crate::http_client::url::Target;

/// Longest time of one attempt.
const PATIENCE: Duration = Duration::from_secs(15);

/// The wait after the first failure, and the longest one.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Attempts for an event that the receiver says is wrong, in case only its deployment is.
const MAX_REFUSALS: u32 = 3;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What came of an attempt.
#[derive(Debug)]
enum Outcome {
    Accepted,
    /// The receiver will never take this event.
    Refused(StatusCode),
    /// Worth another try.
    Failed(String),
}

/// Delivers until the process ends.
pub async fn run(queue: Arc<EventQueue>, target: Target, key: Option<WebhookKey>) {
    loop {
        let more = queue.more.notified();
        let oldest = Arc::clone(&queue);
        match blocking(move || oldest.next()).await {
            Ok(Ok(Some(event))) => {
                let outcome = insist(&target, key.as_ref(), &event).await;
                let queue = Arc::clone(&queue);
                let finished = blocking(move || queue.finish(&event, outcome)).await;
                if let Ok(Err(error)) = finished {
                    tracing::warn!(%error, "the webhook's position could not be stored");
                }
            }
            Ok(Ok(None)) => more.await,
            Ok(Err(error)) => retry_later(&error).await,
            Err(problem) => retry_later(&problem).await,
        }
    }
}

async fn retry_later(error: &(dyn std::fmt::Display + Sync)) {
    tracing::warn!(%error, "the webhook's events cannot be read");
    tokio::time::sleep(WAITS[1]).await;
}

/// Tries until the event was accepted, or refused several times; what came of it.
async fn insist(target: &Target, key: Option<&WebhookKey>, event: &Waiting) -> &'static str {
    let mut backoff = Backoff::new(WAITS[0], WAITS[1], Duration::MAX);
    let mut refusals = 0;
    loop {
        let attempt = timeout(PATIENCE, send(target, key, event)).await;
        let late = || Outcome::Failed("no answer in time".to_owned());
        match attempt.unwrap_or_else(|_| late()) {
            Outcome::Accepted => return "delivered",
            Outcome::Refused(status) => {
                refusals += 1;
                tracing::warn!(id = event.id, %status, "the webhook's receiver refuses an event");
                if refusals == MAX_REFUSALS {
                    return "refused";
                }
            }
            Outcome::Failed(reason) => {
                tracing::info!(id = event.id, reason, "the webhook's receiver is away");
            }
        }
        tokio::time::sleep(backoff.next(Duration::ZERO)).await;
    }
}

async fn send(target: &Target, key: Option<&WebhookKey>, event: &Waiting) -> Outcome {
    let request = match request(target, key, event) {
        Ok(request) => request,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let address = (target.host(), target.port());
    let addresses = match tokio::net::lookup_host(address).await {
        Ok(addresses) => addresses,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let mut reason = "its name has no address".to_owned();
    for address in addresses {
        let mut connection = match connect::open(target, address).await {
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

fn request(
    target: &Target,
    key: Option<&WebhookKey>,
    event: &Waiting,
) -> Result<Request<Full<Bytes>>, axum::http::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let agent = concat!("onelook/", env!("CARGO_PKG_VERSION"));
    let mut request = Request::post(target.path())
        .header(header::HOST, target.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, agent)
        .header(ID, &event.id)
        .header(TIMESTAMP, now);
    if let Some(key) = key {
        request = request.header(SIGNATURE, key.sign(&event.id, now, &event.line));
    }
    request.body(Full::from(event.line.clone()))
}

/// What a status says. Only what blames the event itself is a refusal: a wrong token, a missing route or
/// a busy receiver can be mended.
fn outcome(status: StatusCode) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Accepted,
        400 | 405 | 406 | 409..=424 | 431 => Outcome::Refused(status),
        _ => Outcome::Failed(format!("it answered with status {status}")),
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
