//! What happened at a stream's lines and in its zones: the last events as JSON, or those to come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::{find, query_of};
use crate::app::App;
use crate::fair_semaphore::FairPermits;
use crate::http::schema::int64;
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;
use crate::streams::event_log::{EventFilter, EventRecord, KEPT_EVENTS};

/// Pause between signs of life to one who listens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Most events of one answer, and how many there are unless the request says.
const MAX_LIMIT: usize = KEPT_EVENTS;
const DEFAULT_LIMIT: usize = 256;

/// Kinds of events.
const KINDS: [&str; 5] = ["crossed", "entered", "left", "crowd_started", "crowd_ended"];

/// Which events are asked for.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only those with a larger number: what is new.
    #[param(example = 0)]
    #[serde(default, deserialize_with = "int64")]
    after: Option<u64>,
    /// Only those with a smaller number: the next page.
    #[serde(default, deserialize_with = "int64")]
    before: Option<u64>,
    /// Most events of the answer; 256 if absent.
    #[param(minimum = 1, maximum = 1024, example = 100)]
    limit: Option<usize>,
    /// Only of this kind: crossed, entered, left, crowd_started or crowd_ended.
    #[param(example = "crossed")]
    kind: Option<String>,
}

impl EventsQuery {
    fn filter(self) -> Result<EventFilter, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request("limit: expected 1 to 1024"));
        }
        if self
            .kind
            .as_deref()
            .is_some_and(|kind| !KINDS.contains(&kind))
        {
            let expected = KINDS.join(", ");
            return Err(Problem::bad_request(format!(
                "kind: expected one of {expected}"
            )));
        }
        Ok(EventFilter {
            after: self.after,
            before: self.before,
            kind: self.kind,
            limit,
        })
    }
}

/// Events of a stream.
#[derive(Serialize, ToSchema)]
pub struct StreamEvents {
    /// Events, the newest first: `id`, `at_ms` (since 1970), `time` (seconds of the stream), `stream`, `place`,
    /// `event` (crossed, entered, left, crowd_started or crowd_ended), what belongs to its kind (of entered:
    /// `born_inside`, whether it was first seen inside, which the count `entered` leaves out), of its object
    /// `track_id`, `class`, `name`, `confidence`, `box` and `position` (pixels), `speed` (metres per second,
    /// where the ground is known), and `snapshot`, the path of its JPEG, if one was made.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// What `before` must be for the next page; absent on the last.
    next: Option<u64>,
}

/// Events of a stream.
#[utoipa::path(
    get, path = "/v1/streams/{name}/events", tag = "streams", operation_id = "streamEvents",
    summary = "Events of a stream",
    description = "Of the last 1024, as JSON. With `Accept: text/event-stream` those to come, as Server-Sent \
                   Events, of which `kind` holds; with `Last-Event-ID` also those after that number that are \
                   still kept.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate"), EventsQuery),
    responses(
        (status = 200, description = "Events, the newest first.", body = StreamEvents),
        (status = 400), (status = 401), (status = 404, description = "There is no such stream."),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn events(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = query_of(query)?.filter()?;
    let entry = find(&app, name)?;
    if !wants_to_listen(&headers) {
        let (events, has_more) = entry.events().list(&filter);
        let next = events.last().filter(|_| has_more).map(|event| event.id);
        let events = events.iter().map(|event| event.json.clone()).collect();
        return Ok(Json(StreamEvents { events, next }).into_response());
    }
    let mut listener = Listener {
        _place: app.streams.viewer(&context.client)?,
        closing: app.streams.closing(),
        events: entry.events().listen(),
        missed: Vec::new(),
        last: 0,
        kind: filter.kind.clone(),
    };
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    if let Some(last) = last {
        // After listening has begun, so that none falls between.
        let missed = EventFilter {
            after: Some(last),
            limit: MAX_LIMIT,
            kind: filter.kind,
            before: None,
        };
        listener.missed = entry.events().list(&missed).0;
    }
    drop(entry);
    Ok(listener.tell(true))
}

/// Events of all streams.
#[utoipa::path(
    get, path = "/v1/streams/events", tag = "streams", operation_id = "allStreamEvents",
    summary = "Events of all streams",
    description = "The last as JSON. With `Accept: text/event-stream` those to come, as Server-Sent Events, of \
                   which `kind` holds.",
    params(EventsQuery),
    responses(
        (status = 200, description = "Events, the newest first; `after`, `before` and `next` hold for one \
                                      stream and are of no use here.", body = StreamEvents),
        (status = 400), (status = 401),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn all_events(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = query_of(query)?.filter()?;
    if wants_to_listen(&headers) {
        let listener = Listener {
            _place: app.streams.viewer(&context.client)?,
            closing: app.streams.closing(),
            events: app.streams.listen(),
            missed: Vec::new(),
            last: 0,
            kind: filter.kind,
        };
        return Ok(listener.tell(false));
    }
    let entries = app.streams.all();
    let lists = entries.iter().map(|entry| entry.events().list(&filter).0);
    let mut events: Vec<_> = lists.flatten().collect();
    events.sort_by_key(|event| std::cmp::Reverse((event.at_ms, event.id)));
    events.truncate(filter.limit);
    let events = events.iter().map(|event| event.json.clone()).collect();
    Ok(Json(StreamEvents { events, next: None }).into_response())
}

/// The frame of an event.
#[utoipa::path(
    get, path = "/v1/streams/{name}/events/{id}/snapshot.jpg", tag = "streams",
    operation_id = "streamEventSnapshot",
    summary = "The frame of an event with its object",
    params(
        ("name" = String, Path, description = "The stream's name.", example = "gate"),
        ("id" = u64, Path, description = "The event's number.", example = 1),
    ),
    responses(
        (status = 200, description = "The frame, at most 1920 pixels a side.", body = Vec<u8>, content_type = "image/jpeg"),
        (status = 400), (status = 401), (status = 403),
        (status = 404, description = "There is no such stream or event, or its frame was not kept."),
    )
)]
pub async fn event_snapshot(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, u64)>, PathRejection>,
) -> Result<Response, Problem> {
    let Ok(Path((name, id))) = path else {
        return Err(Problem::bad_request(
            "the path needs a stream's name and the number of an event",
        ));
    };
    let entry = app.streams.find(&name)?;
    let gone = |what: &str| {
        let detail = format!("{what} of event {id} is not kept: only the last ones are");
        Problem::new(ProblemKind::NotFound, detail)
    };
    let event = entry.events().find(id).ok_or_else(|| gone("the record"))?;
    let jpeg = entry.event_snapshot(&event).await;
    let jpeg = jpeg.ok_or_else(|| gone("the frame"))?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, jpeg).into_response())
}

fn wants_to_listen(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

struct Listener {
    _place: FairPermits,
    closing: CancellationToken,
    events: Receiver<Arc<EventRecord>>,
    /// Those that came before it listened, the newest first.
    missed: Vec<Arc<EventRecord>>,
    /// The last of those.
    last: u64,
    /// Only of this kind.
    kind: Option<String>,
}

impl Listener {
    /// Events until the client leaves; with their numbers if they are of one stream.
    fn tell(self, is_numbered: bool) -> Response {
        let events = unfold(self, move |mut listener| async move {
            let event = listener.next().await?;
            let told = match is_numbered {
                true => Event::default().id(event.id.to_string()),
                false => Event::default(),
            };
            let told = told.data(event.json.to_string());
            Some((Ok::<_, Infallible>(told), listener))
        });
        Sse::new(events)
            .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
            .into_response()
    }

    async fn next(&mut self) -> Option<Arc<EventRecord>> {
        if let Some(missed) = self.missed.pop() {
            self.last = missed.id;
            return Some(missed);
        }
        loop {
            let received = tokio::select! {
                received = self.events.recv() => received,
                () = self.closing.cancelled() => return None,
            };
            match received {
                Ok(event) if event.id > self.last && event.is_of(self.kind.as_deref()) => {
                    return Some(event);
                }
                // It was among those that were missed, or is of another kind.
                Ok(_) => {}
                // One who is late misses the oldest; the numbers tell how many.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
