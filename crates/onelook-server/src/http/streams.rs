//! `/v1/streams`: adds, lists, changes and removes live streams, and shows them.

mod events;
mod history;
mod images;
mod live;
mod schema;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::Value;

use crate::app::App;
use crate::body;
use crate::problem::Problem;
use crate::request_context::RequestContext;
use crate::streams::entry::StreamEntry;
use crate::streams::settings::StreamConfig;
use schema::{StreamCard, StreamList};

/// Longest settings of a stream in JSON.
const MAX_SETTINGS: usize = 256 << 10;

pub use events::*;
pub use history::*;
pub use images::*;
pub use live::*;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/streams", get(list).post(add))
        // Extended CONNECT opens a WebSocket over HTTP/2.
        .route("/v1/streams/live", get(live).connect(live))
        .route("/v1/streams/events", get(all_events))
        .route("/v1/streams/{name}", get(one).patch(change).delete(remove))
        .route("/v1/streams/{name}/snapshot.jpg", get(snapshot))
        .route("/v1/streams/{name}/mjpeg", get(mjpeg))
        .route("/v1/streams/{name}/heatmap.png", get(heatmap))
        .route("/v1/streams/{name}/events", get(events))
        .route(
            "/v1/streams/{name}/events/{id}/snapshot.jpg",
            get(event_snapshot),
        )
        .route("/v1/streams/{name}/history", get(count_history))
}

/// Lists all streams.
#[utoipa::path(
    get, path = "/v1/streams", tag = "streams", operation_id = "listStreams",
    summary = "List the streams",
    responses(
        (status = 200, description = "All streams by name.", body = StreamList),
        (status = 400), (status = 401),
    )
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<StreamList> {
    Json(StreamList::of(&app))
}

/// Adds a stream.
#[utoipa::path(
    post, path = "/v1/streams", tag = "streams", operation_id = "addStream",
    summary = "Add a stream",
    description = "Takes rtsp://, rtsps://, http:// and https:// addresses of hosts that the server was \
                   started with (`--allow-stream-host`). The stream is kept in memory only; the server's \
                   `--streams` file keeps some for good.",
    request_body(content = StreamConfig, description = "What is read and what is done with it."),
    responses(
        (status = 201, description = "It is being opened.", body = StreamCard),
        (status = 400), (status = 401),
        (status = 403, description = "The token does not allow this, or the host is not allowed."),
        (status = 404), (status = 413), (status = 422, description = "There is no ffmpeg."),
        (status = 503, description = "There are as many streams as the server allows."),
    )
)]
pub async fn add(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    parts: request::Parts,
    body: Body,
) -> Result<Response, Problem> {
    let value = json_body(&app, &mut context, &parts, body).await?;
    // Without what was sent, which may hold a password.
    let config: StreamConfig = serde_json::from_value(value).map_err(not_as_expected)?;
    let entry = app.streams.add(config)?;
    Ok((StatusCode::CREATED, Json(StreamCard::of(&entry))).into_response())
}

/// Describes one stream.
#[utoipa::path(
    get, path = "/v1/streams/{name}", tag = "streams", operation_id = "describeStream",
    summary = "Describe a stream",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 200, description = "The stream.", body = StreamCard),
        (status = 400), (status = 401), (status = 404, description = "There is no such stream."),
    )
)]
pub async fn one(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<StreamCard>, Problem> {
    let entry = find(&app, name)?;
    Ok(Json(StreamCard::of(&entry)))
}

/// Changes a stream.
#[utoipa::path(
    patch, path = "/v1/streams/{name}", tag = "streams", operation_id = "changeStream",
    summary = "Change a stream",
    description = "Takes an object with the settings that change; null takes one away. Lists replace lists, \
                   and lines and zones that stay the same go on counting. Name and url cannot be changed. \
                   Changes are kept in memory only.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    request_body(content = Object, description = "Settings of a stream.", example = json!({"fps": 5})),
    responses(
        (status = 200, description = "The stream.", body = StreamCard),
        (status = 400), (status = 401), (status = 403),
        (status = 404, description = "There is no such stream."), (status = 413),
    )
)]
pub async fn change(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
    parts: request::Parts,
    body: Body,
) -> Result<Json<StreamCard>, Problem> {
    let patch = json_body(&app, &mut context, &parts, body).await?;
    let entry = find(&app, name)?;
    let entry = app.streams.change(&entry.config().name, &patch)?;
    Ok(Json(StreamCard::of(&entry)))
}

/// Removes a stream.
#[utoipa::path(
    delete, path = "/v1/streams/{name}", tag = "streams", operation_id = "removeStream",
    summary = "Remove a stream",
    params(("name" = String, Path, description = "The stream's name.", example = "gate")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400), (status = 401),
        (status = 403, description = "The token does not allow this, or the stream is in the server's file."),
        (status = 404, description = "There is no such stream."),
    )
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<StatusCode, Problem> {
    body::drain(body).await;
    let entry = find(&app, name)?;
    app.streams.remove(&entry.config().name)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn json_body(
    app: &App,
    context: &mut RequestContext,
    parts: &request::Parts,
    body: Body,
) -> Result<Value, Problem> {
    let body = body::read(app, context, &parts.headers, body).await?;
    if body.bytes.len() > MAX_SETTINGS {
        return Err(Problem::too_large(MAX_SETTINGS as u64));
    }
    serde_json::from_slice(&body.bytes).map_err(not_as_expected)
}

fn not_as_expected(error: serde_json::Error) -> Problem {
    let reason: String = error.to_string().chars().take(300).collect();
    Problem::bad_request(format!("the JSON in the body is not as expected: {reason}"))
}

/// The stream with the name in the path.
fn find(app: &App, name: Result<Path<String>, PathRejection>) -> Result<Arc<StreamEntry>, Problem> {
    let Ok(Path(name)) = name else {
        return Err(Problem::bad_request(
            "the stream's name in the path is not UTF-8",
        ));
    };
    app.streams.find(&name)
}

/// What the query says.
fn query_of<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query
        .map(|Query(query)| query)
        .map_err(|error| Problem::bad_request(error.body_text()))
}
