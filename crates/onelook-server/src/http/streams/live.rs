//! `/v1/streams/live`: a WebSocket with the frames of several streams, for pages that draw the boxes.
//!
//! For each frame a text message with what was found, then a binary one with the JPEG. One who reads slowly
//! gets fewer frames; each frame is encoded once, whoever watches.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::LIVE_PROTOCOL;
use crate::fair_semaphore::FairPermits;
use crate::problem::Problem;
use crate::request_context::RequestContext;
use crate::streams::entry::StreamEntry;
use crate::streams::event_log::EventRecord;
use crate::streams::live_frame::LiveFrame;

/// Longest message of a client.
const MAX_MESSAGE: usize = 16 << 10;

/// Most streams that one client watches.
const MAX_STREAMS: usize = 64;

/// Frames per second of each stream unless the client asks for another number.
const DEFAULT_FPS: f64 = 10.0;

/// How long one message may wait for its client.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// Pause between two pings.
const PING: Duration = Duration::from_secs(20);

/// Whoever answers no ping for so long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// What a client asks for, as often as it likes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Names of streams.
    streams: Vec<String>,
    /// Most frames per second of each, 1 to 30.
    fps: Option<f64>,
}

/// Frames of several streams over a WebSocket.
#[utoipa::path(
    get, path = "/v1/streams/live", tag = "streams", operation_id = "watchStreams",
    summary = "Watch streams over a WebSocket",
    description = "The client sends `{\"streams\": [\"gate\"], \"fps\": 10}`, and again whenever it wants \
                   others. For each frame the server sends a text message (`type` frame, `stream`, `number`, \
                   `time`, `delay_ms`, `width`, `height`, `detections`, `counts`) and then a binary one with \
                   its JPEG; for each event a text message with the `type` event. A client that reads slowly \
                   gets fewer frames.\n\nA page that has a token sends it as a second protocol beside \
                   `onelook`: `onelook.token.` and the token in base64url without padding.",
    responses(
        (status = 101, description = "Messages until the client leaves."),
        (status = 400, description = "It is no WebSocket handshake."),
        (status = 401), (status = 403),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn live(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        Problem::bad_request(format!(
            "this address is for a WebSocket: {}",
            error.body_text()
        ))
    })?;
    let place = app.streams.viewer(&context.client)?;
    let upgrade = upgrade
        .protocols([LIVE_PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let viewer = Viewer {
            closing: app.streams.closing(),
            app,
            socket,
            watched: Vec::new(),
            heard: Instant::now(),
            _place: place,
        };
        viewer.serve().await;
    }))
}

/// One client.
struct Viewer {
    app: Arc<App>,
    socket: WebSocket,
    watched: Vec<Watched>,
    closing: CancellationToken,
    heard: Instant,
    _place: FairPermits,
}

/// A stream that a client watches.
struct Watched {
    name: String,
    entry: std::sync::Weak<StreamEntry>,
    frames: watch::Receiver<Option<Arc<LiveFrame>>>,
    events: Receiver<Arc<EventRecord>>,
}

/// The client is gone, or is to be let go.
struct Gone;

impl Viewer {
    async fn serve(mut self) {
        let mut ticks = ticks(DEFAULT_FPS);
        let mut pings = interval(PING);
        let closing = self.closing.clone();
        loop {
            let outcome = tokio::select! {
                () = closing.cancelled() => Err(Gone),
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await.map(|fps| {
                        if let Some(fps) = fps {
                            ticks = self::ticks(fps);
                        }
                    }),
                    _ => Err(Gone),
                },
                _ = pings.tick() => match self.heard.elapsed() > SILENCE_LIMIT {
                    true => Err(Gone),
                    false => self.send(Message::Ping(Default::default())).await,
                },
                _ = ticks.tick() => self.tell().await,
            };
            if outcome.is_err() {
                // Nobody may be there to read it.
                let _ = timeout(
                    Duration::from_secs(1),
                    self.socket.send(Message::Close(None)),
                )
                .await;
                return;
            }
        }
    }

    /// Takes a message of the client; the frames per second if it asks for some.
    async fn hear(&mut self, message: Message) -> Result<Option<f64>, Gone> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Gone),
            _ => return Ok(None),
        };
        match serde_json::from_str::<Wanted>(&text) {
            Ok(wanted) => {
                let fps = wanted.fps.filter(|fps| fps.is_finite());
                self.watch(wanted.streams);
                Ok(Some(fps.unwrap_or(DEFAULT_FPS).clamp(1.0, 30.0)))
            }
            Err(error) => {
                let reason: String = error.to_string().chars().take(200).collect();
                let told = json!({"type": "error", "detail": reason});
                self.send(Message::text(told.to_string()))
                    .await
                    .map(|()| None)
            }
        }
    }

    /// Watches these from now on. Those that are not there are left out.
    fn watch(&mut self, mut names: Vec<String>) {
        names.truncate(MAX_STREAMS);
        names.sort();
        names.dedup();
        let is_gone = |it: &Watched| it.entry.strong_count() == 0;
        self.watched
            .retain(|it| names.contains(&it.name) && !is_gone(it));
        for name in names {
            let is_watched = self.watched.iter().any(|it| it.name == name);
            if let (false, Ok(entry)) = (is_watched, self.app.streams.find(&name)) {
                self.watched.push(Watched {
                    frames: entry.watch(),
                    events: entry.events().listen(),
                    entry: Arc::downgrade(&entry),
                    name,
                });
            }
        }
    }

    /// Sends what is new.
    async fn tell(&mut self) -> Result<(), Gone> {
        for index in 0..self.watched.len() {
            let watched = &mut self.watched[index];
            let Some(entry) = watched.entry.upgrade() else {
                continue;
            };
            let mut texts = Vec::new();
            loop {
                match watched.events.try_recv() {
                    Ok(event) => texts.push(json!({"type": "event", "event": event.json})),
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(_) => break,
                }
            }
            let is_new = watched.frames.has_changed().unwrap_or(false);
            let frame = is_new.then(|| watched.frames.borrow_and_update().clone());
            for text in texts {
                self.send(Message::text(text.to_string())).await?;
            }
            let Some(frame) = frame.flatten() else {
                continue;
            };
            let Ok(image) = frame.plain().await else {
                continue;
            };
            let text = description(&entry, &frame);
            // Its pixels must not wait for a client that does not read.
            drop((frame, entry));
            self.send(Message::text(text)).await?;
            self.send(Message::Binary(image)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

fn ticks(fps: f64) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / fps));
    // One who was slow does not catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn description(entry: &StreamEntry, frame: &LiveFrame) -> String {
    let (objects, ids) = frame.objects();
    let mut detections = json!(objects);
    if let (Some(ids), Some(list)) = (ids, detections.as_array_mut()) {
        for (index, (detection, id)) in list.iter_mut().zip(ids).enumerate() {
            detection["track_id"] = json!(id);
            if let Some(speed) = frame.speed(index) {
                detection["speed"] = json!(speed);
            }
        }
    }
    let [width, height] = frame.size();
    let figures = entry.figures();
    json!({
        "type": "frame",
        "stream": entry.config().name,
        "number": frame.number,
        "time": frame.time,
        "delay_ms": frame.delay_ms,
        "width": width,
        "height": height,
        "detections": detections,
        "counts": {"lines": figures.lines, "zones": figures.zones},
    })
    .to_string()
}
