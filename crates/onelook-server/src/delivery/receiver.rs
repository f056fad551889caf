//! What takes events, and the loop that hands it one after the other, again and again until it was accepted.

use std::sync::Arc;
use std::time::Duration;

use onelook::media::video::Backoff;
use tokio::time::timeout;

use super::queue::EventQueue;
use super::spool::Waiting;
use crate::blocking::blocking;

/// Longest time of one attempt.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The wait after the first failure, and the longest one.
pub const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Attempts for an event that the receiver says is wrong, in case only its deployment is.
const MAX_REFUSALS: u32 = 3;

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The receiver has the event.
    Accepted,
    /// The receiver will never take this event.
    Refused(String),
    /// Worth another try.
    Failed(String),
}

/// Takes events.
pub trait Receiver: Send + 'static {
    /// The wait after the first failure, and the longest one.
    const WAITS: [Duration; 2] = WAITS;

    /// Hands over one event. May be dropped when it takes too long.
    fn send(&mut self, event: &Waiting) -> impl Future<Output = Outcome> + Send;
}

/// Delivers until the process ends.
pub async fn deliver(queue: Arc<EventQueue>, mut receiver: impl Receiver) {
    loop {
        let more = queue.more.notified();
        let oldest = Arc::clone(&queue);
        match blocking(move || oldest.next()).await {
            Ok(Ok(Some(event))) => {
                let outcome = insist(queue.receiver(), &mut receiver, &event).await;
                let finishing = Arc::clone(&queue);
                let finished = blocking(move || finishing.finish(&event, outcome)).await;
                if let Ok(Err(error)) = finished {
                    let receiver = queue.receiver();
                    tracing::warn!(%error, receiver, "the position among events could not be stored");
                }
            }
            Ok(Ok(None)) => more.await,
            Ok(Err(error)) => retry_later(queue.receiver(), &error).await,
            Err(problem) => retry_later(queue.receiver(), &problem).await,
        }
    }
}

async fn retry_later(receiver: &str, error: &(dyn std::fmt::Display + Sync)) {
    tracing::warn!(%error, receiver, "events cannot be read");
    tokio::time::sleep(WAITS[1]).await;
}

/// Tries until the event was accepted, or refused several times; what came of it.
async fn insist<R: Receiver>(name: &str, receiver: &mut R, event: &Waiting) -> &'static str {
    let mut backoff = Backoff::new(R::WAITS[0], R::WAITS[1], Duration::MAX);
    let mut refusals = 0;
    loop {
        let attempt = timeout(PATIENCE, receiver.send(event)).await;
        let late = || Outcome::Failed("no answer in time".to_owned());
        let id = &event.id;
        match attempt.unwrap_or_else(|_| late()) {
            Outcome::Accepted => return "delivered",
            Outcome::Refused(reason) => {
                refusals += 1;
                tracing::warn!(id, reason, receiver = name, "an event is refused");
                if refusals == MAX_REFUSALS {
                    return "refused";
                }
            }
            Outcome::Failed(reason) => {
                tracing::info!(
                    id,
                    reason,
                    receiver = name,
                    "an event waits for its receiver"
                );
            }
        }
        tokio::time::sleep(backoff.next(Duration::ZERO)).await;
    }
}
