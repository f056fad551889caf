//! The response in the format that the client accepts: JSON, or the image with boxes drawn on it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use onelook::media::{encode_jpeg, encode_png};
use onelook::record::{ObjectRecord, milliseconds, objects};
use onelook::vision::draw::{DrawStyle, draw};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::accept::ImageFormat;
use crate::app::App;
use crate::http::schema;
use crate::inference_service::DetectResult;
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::request_context::RequestContext;
use crate::statistics::StageTimes;

/// Longest wait of an image to be drawn and encoded.
const ENCODER_WAIT: Duration = Duration::from_secs(2);

/// Quality of annotated JPEGs.
const JPEG_QUALITY: u8 = 90;

/// The objects on the images of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetectResponse {
    /// The model's name.
    #[schema(example = "yolo11n")]
    pub model: String,
    /// The request's id, as in the header `x-request-id` and in the log.
    pub request_id: String,
    /// One entry per image, in the request's order.
    pub images: Vec<ImageOutcome>,
}

/// One image's part of the response.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ImageOutcome {
    /// The objects on it.
    Detected(ImageResponse),
    /// Why it failed, while other images of the request did not.
    Failed(ImageError),
}

/// An image and the objects on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageResponse {
    /// Its file's name, or `image`.
    #[schema(example = "bus.jpg")]
    pub name: String,
    /// The name of its file in an archive, `application/zip` or `multipart/form-data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "bus.jpg")]
    pub file: Option<String>,
    /// Its width in pixels, after rotation by EXIF.
    #[schema(example = 810)]
    pub width: usize,
    /// Its height in pixels, after rotation by EXIF.
    #[schema(example = 1080)]
    pub height: usize,
    /// The objects, highest confidence first.
    #[schema(value_type = Vec<schema::Detection>)]
    pub detections: Vec<ObjectRecord>,
    /// What is odd about the image's file; absent if nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<String>,
    /// Time of each stage.
    pub speed_ms: SpeedMs,
}

/// An image that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageError {
    /// Its file's name, or `image`.
    pub name: String,
    /// Why.
    pub error: ProblemBody,
}

/// Time of each stage of one image, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedMs {
    /// Decoding the image.
    pub decode: f64,
    /// Waiting in the queue and for the run.
    pub queue: f64,
    /// Preparing the network's input.
    pub preprocess: f64,
    /// The run, which other images may have shared.
    pub inference: f64,
    /// Reading boxes from the network's outputs.
    pub postprocess: f64,
}

impl From<&StageTimes> for SpeedMs {
    fn from(times: &StageTimes) -> Self {
        Self {
            decode: milliseconds(times.decode),
            queue: milliseconds(times.queue),
            preprocess: milliseconds(times.preprocess),
            inference: milliseconds(times.inference),
            postprocess: milliseconds(times.postprocess),
        }
    }
}

impl ImageResponse {
    /// The response for a result.
    pub fn of(name: &str, result: &DetectResult, names: &[String]) -> Self {
        let [width, height] = [result.frame.width(), result.frame.height()];
        Self {
            name: name.to_owned(),
            file: None,
            width,
            height,
            detections: objects(result.instances(), names, [width, height]),
            warnings: result.warnings.clone(),
            speed_ms: SpeedMs::from(&result.times),
        }
    }
}

/// The response in JSON. If all images failed, the first one's problem.
pub fn json(
    model: &str,
    request_id: &str,
    images: Vec<(String, Result<ImageResponse, Problem>)>,
) -> Result<Response, Problem> {
    if images.iter().all(|(_, outcome)| outcome.is_err()) {
        let first = images.into_iter().find_map(|(_, outcome)| outcome.err());
        return Err(first.unwrap_or_else(|| Problem::bad_request("the request has no image")));
    }
    let images = images.into_iter().map(|(name, outcome)| match outcome {
        Ok(response) => ImageOutcome::Detected(response),
        Err(problem) => ImageOutcome::Failed(ImageError {
            name,
            error: problem.body(request_id),
        }),
    });
    let response = DetectResponse {
        model: model.to_owned(),
        request_id: request_id.to_owned(),
        images: images.collect(),
    };
    Ok(Json(response).into_response())
}

/// The image with the detected objects drawn on it.
pub async fn image(
    app: &App,
    entry: &ModelEntry,
    context: &RequestContext,
    result: DetectResult,
    names: Vec<String>,
    style: DrawStyle,
    format: ImageFormat,
) -> Result<Response, Problem> {
    let draw = move || annotated(result, &names, &style, format);
    // It holds its pixels while it waits.
    let patience = context.deadline.min(Instant::now() + ENCODER_WAIT);
    let encoding = app.inference.encode(entry, &context.client, patience, draw);
    let bytes = encoding.await??;
    Ok(([(header::CONTENT_TYPE, format.media_type())], bytes).into_response())
}

/// The encoded image with the detected objects drawn on it.
pub fn annotated(
    result: DetectResult,
    names: &[String],
    style: &DrawStyle,
    format: ImageFormat,
) -> Result<Vec<u8>, Problem> {
    let DetectResult {
        frame, prediction, ..
    } = result;
    // No copy: by now nobody else has the frame.
    let mut frame = Arc::unwrap_or_clone(frame);
    draw(&mut frame, prediction.instances(), names, style);
    let encoded = match format {
        ImageFormat::Png => encode_png(&frame),
        ImageFormat::Jpeg => encode_jpeg(&frame, JPEG_QUALITY),
    };
    encoded.map_err(|error| Problem::new(ProblemKind::Unprocessable, error.to_string()))
}
