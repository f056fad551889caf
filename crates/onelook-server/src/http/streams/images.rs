//! Streams as images: one frame with its boxes, or one after the other for a plain `<img>`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use onelook::media::encode_png;
use onelook::types::Frame;
use onelook::vision::draw::draw_heatmap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::find;
use crate::app::App;
use crate::blocking::blocking;
use crate::fair_semaphore::FairPermits;
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;
use crate::streams::live_frame::LiveFrame;

/// Longest wait for a frame that is asked for.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(10);

/// Longest wait for a frame under a heatmap.
const HEATMAP_WAIT: Duration = Duration::from_secs(1);

/// Of the warmest cell.
const HEATMAP_OPACITY: f32 = 0.7;

/// Least time between two images of one who watches: 20 per second.
const INTERVAL: Duration = Duration::from_millis(50);

/// A silent stream's last image is sent again this often: a viewer that is gone is noticed then, and its
/// place is free.
const REPEAT: Duration = Duration::from_secs(5);

/// What separates images; not part of any JPEG by its length.
const BOUNDARY: &str = "onelook-frame";

type Frames = watch::Receiver<Option<Arc<LiveFrame>>>;

/// The next frame with its boxes.
#[utoipa::path(
    get, path = "/v1/streams/{name}/snapshot.jpg", tag = "streams", operation_id = "streamSnapshot",
    summary = "The next frame with its boxes",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 200, description = "The frame in its own size.", body = Vec<u8>, content_type = "image/jpeg"),
        (status = 400), (status = 401), (status = 403),
        (status = 404, description = "There is no such stream."),
        (status = 503, description = "No frame came within ten seconds, or too many watch."),
    )
)]
pub async fn snapshot(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let entry = find(&app, name)?;
    let _place = app.streams.viewer(&context.client)?;
    let mut frames = entry.watch();
    let next = timeout(SNAPSHOT_WAIT, next_frame(&mut frames)).await;
    let Ok(Some(frame)) = next else {
        let state = entry.figures().state.name();
        let detail = format!("no frame came within 10 s: the stream is {state}");
        return Err(Problem::new(ProblemKind::NotReady, detail).retry_after(SNAPSHOT_WAIT));
    };
    let bytes = frame.snapshot().await?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, bytes).into_response())
}

/// Where objects spend their time.
#[utoipa::path(
    get, path = "/v1/streams/{name}/heatmap.png", tag = "streams", operation_id = "streamHeatmap",
    summary = "Where objects spend their time",
    description = "Over the next frame; over grey if none comes within a second. Needs the setting `heatmap`.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 200, description = "The map, from blue to red.", body = Vec<u8>, content_type = "image/png"),
        (status = 400), (status = 401), (status = 403),
        (status = 404, description = "There is no such stream, or it keeps no heatmap."),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn heatmap(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let entry = find(&app, name)?;
    let _place = app.streams.viewer(&context.client)?;
    if entry.config().heatmap.is_none() {
        let detail = "the stream keeps no heatmap: PATCH it with {\"heatmap\": {}}";
        return Err(Problem::new(ProblemKind::NotFound, detail));
    }
    let mut frames = entry.watch();
    let due = Instant::now() + SNAPSHOT_WAIT;
    // One that was asked for a moment ago begins with the next frame.
    let (frame, heatmap) = loop {
        let next = timeout(HEATMAP_WAIT, next_frame(&mut frames)).await;
        let heatmap = entry.heatmap().clone();
        match heatmap {
            Some(heatmap) => break (next.ok().flatten(), heatmap),
            None if Instant::now() > due || matches!(next, Ok(None)) => {
                let detail = "the stream has no heatmap yet: no frame has come";
                return Err(Problem::new(ProblemKind::NotReady, detail).retry_after(HEATMAP_WAIT));
            }
            None => {}
        }
    };
    let drawn = blocking(move || {
        let [width, height] = heatmap.size;
        let frame = frame.map(|frame| frame.frame().clone());
        let frame = frame.filter(|frame| [frame.width(), frame.height()] == heatmap.size);
        let mut frame = match frame {
            Some(frame) => frame,
            None => Frame::filled(width, height, [128; 3]).map_err(Problem::internal)?,
        };
        draw_heatmap(&mut frame, &heatmap.map, HEATMAP_OPACITY);
        encode_png(&frame).map_err(Problem::internal)
    });
    let headers = [
        (header::CONTENT_TYPE, "image/png"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, drawn.await??).into_response())
}

/// Frames with their boxes, one after the other.
#[utoipa::path(
    get, path = "/v1/streams/{name}/mjpeg", tag = "streams", operation_id = "streamMjpeg",
    summary = "Frames with their boxes, for an <img>",
    description = "JPEG after JPEG, at most 20 per second and 960 pixels a side; who reads slowly gets fewer. \
                   While no frame comes, the last image is sent every five seconds; without any for so long \
                   it ends. Ends with the stream.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 200, description = "Images until the client leaves.", body = Vec<u8>, content_type = "multipart/x-mixed-replace"),
        (status = 400), (status = 401), (status = 403),
        (status = 404, description = "There is no such stream."),
        (status = 503, description = "Too many watch."),
    )
)]
pub async fn mjpeg(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let entry = find(&app, name)?;
    let images = Images {
        _place: app.streams.viewer(&context.client)?,
        closing: app.streams.closing(),
        frames: entry.watch(),
        last: None,
        image: Bytes::new(),
    };
    // The entry itself must not be kept: with it the stream would never be seen to be removed.
    drop(entry);
    let body = Body::from_stream(try_unfold(images, |mut images| async {
        let part = images.next_part().await?;
        Ok::<_, Problem>(part.map(|part| (part, images)))
    }));
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("multipart/x-mixed-replace; boundary={BOUNDARY}"),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// Images for one client.
struct Images {
    _place: FairPermits,
    closing: CancellationToken,
    frames: Frames,
    last: Option<Instant>,
    /// The last one that was sent.
    image: Bytes,
}

impl Images {
    async fn next_part(&mut self) -> Result<Option<Bytes>, Problem> {
        let closing = self.closing.clone();
        let next = async {
            if let Some(last) = self.last {
                tokio::time::sleep_until(last + INTERVAL).await;
            }
            timeout(REPEAT, next_frame(&mut self.frames)).await
        };
        let next = tokio::select! {
            next = next => next,
            () = closing.cancelled() => return Ok(None),
        };
        let image = match next {
            Ok(Some(frame)) => frame.drawn().await?,
            // One that never had an image is let go: there is nothing that would tell whether it is there.
            Err(_) if !self.image.is_empty() => self.image.clone(),
            _ => return Ok(None),
        };
        self.last = Some(Instant::now());
        self.image.clone_from(&image);
        let length = image.len();
        let mut part =
            format!("--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        part.extend_from_slice(&image);
        part.extend_from_slice(b"\r\n");
        Ok(Some(part.into()))
    }
}

/// The next frame that was not seen yet; `None` when the stream is gone.
async fn next_frame(frames: &mut Frames) -> Option<Arc<LiveFrame>> {
    loop {
        frames.changed().await.ok()?;
        let frame = frames.borrow_and_update().clone();
        if frame.is_some() {
            return frame;
        }
    }
}
