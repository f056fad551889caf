//! What happened at a stream's lines and in its zones: the last events as JSON, or those to come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::find;
use crate::app::App;
use crate::fair_semaphore::FairPermits;
use crate::problem::Problem;
use crate::request_context::RequestContext;
use crate::streams::entry::EventRecord;

/// Pause between signs of life to one who listens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Events of a stream.
#[derive(Serialize, ToSchema)]
pub struct StreamEvents {
    /// The last events, the newest first: `id`, `at_ms` (since 1970), `time` (seconds of the stream),
    /// `place`, `event` (crossed, entered, left, crowd_started or crowd_ended) and what belongs to it.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
}

/// Events of a stream.
#[utoipa::path(
    get, path = "/v1/streams/{name}/events", tag = "streams", operation_id = "streamEvents",
    summary = "Events of a stream",
    description = "The last 256 as JSON. With `Accept: text/event-stream` those to come, as Server-Sent Events.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 200, description = "The last events, the newest first.", body = StreamEvents),
        (status = 400), (status = 401), (status = 404, description = "There is no such stream."),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn events(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entry = find(&app, name)?;
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/event-stream")) {
        let events = entry.events();
        let events = events.iter().map(|event| event.json.clone()).collect();
        return Ok(Json(StreamEvents { events }).into_response());
    }
    let listener = Listener {
        _place: app.streams.viewer(&context.client)?,
        closing: app.streams.closing(),
        events: entry.listen(),
    };
    drop(entry);
    let events = unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        let told = Event::default()
            .id(event.id.to_string())
            .data(event.json.to_string());
        Some((Ok::<_, Infallible>(told), listener))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(events.into_response())
}

struct Listener {
    _place: FairPermits,
    closing: CancellationToken,
    events: Receiver<Arc<EventRecord>>,
}

impl Listener {
    async fn next(&mut self) -> Option<Arc<EventRecord>> {
        loop {
            let received = tokio::select! {
                received = self.events.recv() => received,
                () = self.closing.cancelled() => return None,
            };
            match received {
                Ok(event) => return Some(event),
                // One who is late misses the oldest; the numbers tell how many.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
