//! `/v1/videos`: takes video files, tells how far they are, and gives their results.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::blocking::blocking;
use crate::body;
use crate::content_encoding::ContentEncoding;
use crate::http::schema::int64;
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemKind};
use crate::progress::ProgressDeadline;
use crate::request_context::RequestContext;
use crate::streams::settings::StreamConfig;
use crate::videos::container::{self, container};
use crate::videos::job::{VideoJob, VideoState};

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Longest settings, and longest name of a file.
const MAX_SETTINGS: usize = 16 << 10;
const MAX_NAME: usize = 200;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/videos", get(list).post(add))
        .route("/v1/videos/{id}", get(one).delete(remove))
        .route("/v1/videos/{id}/results", get(results))
}

/// What is to be done with a video.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VideoQuery {
    /// What the file is called in the results.
    #[param(example = "gate.mp4")]
    name: Option<String>,
    /// Settings in JSON, as those of a stream: model, fps, tracker, confidence, lines and zones.
    #[param(example = "{\"fps\": 5}")]
    settings: Option<String>,
}

impl VideoQuery {
    /// Name and settings, checked.
    fn parse(self) -> Result<(String, StreamConfig), Problem> {
        let name = self.name.unwrap_or_else(|| "video".to_owned());
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(Problem::bad_request(
                "name: expected at most 200 bytes without control characters",
            ));
        }
        let wrong = |reason: &str| Problem::bad_request(format!("settings: {reason}"));
        let text = self.settings.as_deref().unwrap_or("{}");
        if text.len() > MAX_SETTINGS {
            return Err(wrong("expected at most 16384 bytes"));
        }
        let short = |error: serde_json::Error| {
            wrong(&error.to_string().chars().take(300).collect::<String>())
        };
        let mut settings: Value = serde_json::from_str(text).map_err(short)?;
        let Value::Object(members) = &mut settings else {
            return Err(wrong("expected an object"));
        };
        let foreign = ["name", "url", "weight", "plane", "heatmap"];
        if let Some(key) = foreign.iter().find(|key| members.contains_key(**key)) {
            return Err(wrong(&format!("{key}: it is for streams only")));
        }
        members.insert("name".to_owned(), json!("video"));
        members.insert("url".to_owned(), json!("video"));
        let settings: StreamConfig = serde_json::from_value(settings).map_err(short)?;
        settings.check().map_err(|reason| wrong(&reason))?;
        Ok((name, settings))
    }
}

/// A video and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Video)]
pub struct VideoCard {
    /// Its id.
    id: String,
    /// What the file is called.
    name: String,
    /// What it is doing.
    state: VideoState,
    /// Why it failed, if it did.
    error: Option<String>,
    /// Frames that were run.
    frames: u64,
    /// Seconds of the video that were run.
    time: f64,
    /// Its length in seconds, where the file says so.
    duration: Option<f64>,
    /// Bytes of results so far.
    results_bytes: u64,
    /// What was counted so far: lines and zones, as those of a stream.
    #[schema(value_type = Object)]
    counts: Value,
}

impl VideoCard {
    fn of(job: &VideoJob) -> Self {
        let progress = job.progress();
        Self {
            id: job.id.clone(),
            name: job.name.clone(),
            state: progress.state,
            error: progress.error,
            frames: progress.frames,
            time: progress.time,
            duration: progress.duration,
            results_bytes: progress.results_bytes,
            counts: progress.counts,
        }
    }
}

/// The videos of a client.
#[derive(Serialize, ToSchema)]
pub struct VideoList {
    /// The oldest first.
    videos: Vec<VideoCard>,
    /// Largest file in bytes.
    max_bytes: u64,
}

/// Takes a video.
#[utoipa::path(
    post, path = "/v1/videos", tag = "videos", operation_id = "addVideo",
    summary = "Send a video",
    description = "The body is the file: MP4, QuickTime, Matroska, WebM, AVI, FLV, MPEG or MPEG-TS. It is run in \
                   the background, one at a time for each client, and deleted after; the results are kept for \
                   15 minutes after they were last asked for, for this client alone.",
    params(VideoQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
    responses(
        (status = 202, description = "It was received, and waits for its turn.", body = VideoCard),
        (status = 400), (status = 401), (status = 403, description = "This server takes no videos."),
        (status = 404, description = "There is no such model."), (status = 408), (status = 413),
        (status = 415, description = "It is no video, or it is compressed once more."),
        (status = 429, description = "This client has too many."), (status = 503),
    )
)]
pub async fn add(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    query: Result<Query<VideoQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let prepared = prepare(&app, query, &headers, &body);
    let ((name, settings, model), body) = body::keep_if_ok(prepared, body).await?;
    let (own, client) = (Arc::clone(&app), Arc::clone(&context.client));
    let added = blocking(move || {
        let job = own.videos.add(&client, name, settings)?;
        let (app, is_whole) = (own, false);
        Ok(Incoming { app, job, is_whole })
    });
    let (mut incoming, body) = body::keep_if_ok(added.await?, body).await?;
    let job = Arc::clone(&incoming.job);
    let container = receive(&app, &context, &job, body).await?;
    incoming.is_whole = true;
    app.videos.start(&job, container, model);
    Ok((StatusCode::ACCEPTED, Json(VideoCard::of(&job))).into_response())
}

/// A video that is being sent; removed if it does not come to its end, also when its connection breaks.
struct Incoming {
    app: Arc<App>,
    job: Arc<VideoJob>,
    is_whole: bool,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_whole {
            self.app.videos.remove(&self.job);
        }
    }
}

/// What a video is called and what is to be done with it, by which model.
fn prepare(
    app: &App,
    query: Result<Query<VideoQuery>, QueryRejection>,
    headers: &HeaderMap,
    body: &Body,
) -> Result<(String, StreamConfig, Arc<ModelEntry>), Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (name, settings) = query.parse()?;
    if !matches!(ContentEncoding::of(headers)?, ContentEncoding::Identity) {
        let detail = "videos are compressed already: send it without content-encoding";
        return Err(Problem::new(ProblemKind::UnsupportedEncoding, detail));
    }
    let limit = app.videos.max_bytes();
    if limit > 0 && body.size_hint().exact().is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    let model = app.models.find(settings.model.as_deref())?;
    Ok((name, settings, model))
}

fn too_large(limit: u64) -> Problem {
    let detail = format!(
        "this server takes videos of at most {limit} bytes: send a shorter one, or start the server with a larger \
         --max-video"
    );
    Problem::new(ProblemKind::TooLarge, detail)
}

/// Writes the body into the spool; its container.
async fn receive(
    app: &App,
    context: &RequestContext,
    job: &Arc<VideoJob>,
    mut body: Body,
) -> Result<&'static str, Problem> {
    let limits = &app.config.limits;
    // What waits to be written.
    let share = app.memory.share(&context.client);
    if let Err(problem) = share.grow(2 * WRITE_BYTES) {
        body::drain(body).await;
        return Err(problem);
    }
    let limit = app.videos.max_bytes();
    let mut progress = ProgressDeadline::new(limits.min_progress, Instant::now());
    let mut received = Received::default();
    loop {
        let frame = timeout_at(progress.due(), body.frame());
        let frame = tokio::select! {
            frame = frame => frame.map_err(|_| body::too_slow(limits))?,
            () = job.cancelled() => return Err(Problem::bad_request("the video was removed")),
        };
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        progress.advance(Instant::now(), data.len());
        if let Err(problem) = received.add(job, &data, limit).await {
            body::drain(body).await;
            return Err(problem);
        }
    }
    received.write(job).await?;
    received.container.ok_or_else(no_video)
}

#[derive(Default)]
struct Received {
    waiting: BytesMut,
    bytes: u64,
    container: Option<&'static str>,
}

impl Received {
    async fn add(&mut self, job: &Arc<VideoJob>, data: &Bytes, limit: u64) -> Result<(), Problem> {
        self.bytes += data.len() as u64;
        if self.bytes > limit {
            return Err(too_large(limit));
        }
        self.waiting.extend_from_slice(data);
        match self.waiting.len() >= WRITE_BYTES {
            true => self.write(job).await,
            false => Ok(()),
        }
    }

    async fn write(&mut self, job: &Arc<VideoJob>) -> Result<(), Problem> {
        let chunk = self.waiting.split().freeze();
        if self.container.is_none() {
            let start = &chunk[..chunk.len().min(container::NEEDED)];
            self.container = Some(container(start).ok_or_else(no_video)?);
        }
        let job = Arc::clone(job);
        blocking(move || job.receive(&chunk)).await?
    }
}

fn no_video() -> Problem {
    let detail =
        "the body is no video: expected MP4, QuickTime, Matroska, WebM, AVI, FLV, MPEG or MPEG-TS";
    Problem::new(ProblemKind::Unsupported, detail)
}

/// Lists a client's videos.
#[utoipa::path(
    get, path = "/v1/videos", tag = "videos", operation_id = "listVideos",
    summary = "List this client's videos",
    responses((status = 200, description = "The oldest first.", body = VideoList), (status = 400), (status = 401))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
) -> Json<VideoList> {
    let jobs = app.videos.of_client(&context.client);
    Json(VideoList {
        videos: jobs.iter().map(|job| VideoCard::of(job)).collect(),
        max_bytes: app.videos.max_bytes(),
    })
}

/// Tells how far a video is.
#[utoipa::path(
    get, path = "/v1/videos/{id}", tag = "videos", operation_id = "describeVideo",
    summary = "How far a video is",
    params(("id" = String, Path, description = "The video's id.", example = "00d1f4c27ab93e58")),
    responses(
        (status = 200, description = "The video.", body = VideoCard),
        (status = 400), (status = 401), (status = 404, description = "This client has no such video."),
    )
)]
pub async fn one(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<VideoCard>, Problem> {
    let job = find(&app, &context, id)?;
    Ok(Json(VideoCard::of(&job)))
}

/// Ends a video.
#[utoipa::path(
    delete, path = "/v1/videos/{id}", tag = "videos", operation_id = "removeVideo",
    summary = "Cancel a video, or forget its results",
    params(("id" = String, Path, description = "The video's id.", example = "00d1f4c27ab93e58")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400), (status = 401), (status = 404, description = "This client has no such video."),
    )
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<StatusCode, Problem> {
    body::drain(body).await;
    let job = find(&app, &context, id)?;
    app.videos.remove(&job);
    Ok(StatusCode::NO_CONTENT)
}

/// Which results are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResultsQuery {
    /// The byte from which on: 0, or all that came before; 0 if absent.
    #[param(example = 0)]
    #[serde(default, deserialize_with = "int64")]
    offset: Option<u64>,
}

/// Results so far.
#[utoipa::path(
    get, path = "/v1/videos/{id}/results", tag = "videos", operation_id = "videoResults",
    summary = "Results of a video so far",
    description = "JSON lines: first `video` (file, width, height, fps, duration, frames), then for each frame \
                   `frame`, `time` (seconds) and `detections`, with `event` lines between them, at the end \
                   `summary` (frames, counts). At most 4 MiB of whole lines in one answer: ask again with \
                   `offset` larger by the answer's length, until the state is final and an answer is empty.",
    params(("id" = String, Path, description = "The video's id.", example = "00d1f4c27ab93e58"), ResultsQuery),
    responses(
        (status = 200, description = "Whole lines.", body = String, content_type = "application/x-ndjson"),
        (status = 400), (status = 401), (status = 404, description = "This client has no such video."),
    )
)]
pub async fn results(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ResultsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let job = find(&app, &context, id)?;
    let offset = query.offset.unwrap_or(0);
    let lines = blocking(move || job.read_results(offset)).await??;
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, lines).into_response())
}

fn find(
    app: &App,
    context: &RequestContext,
    id: Result<Path<String>, PathRejection>,
) -> Result<Arc<VideoJob>, Problem> {
    let Ok(Path(id)) = id else {
        return Err(Problem::bad_request(
            "the video's id in the path is not UTF-8",
        ));
    };
    app.videos.find(&context.client, &id)
}
