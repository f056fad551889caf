//! What was found in the form that the client asked for: JSON, or the picture with boxes on it.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use onelook::media::{encode_jpeg, encode_png};
use onelook::record::{ObjectRecord, milliseconds, objects};
use onelook::types::Frame;
use onelook::vision::draw::{DrawStyle, draw};
use serde::Serialize;
use utoipa::ToSchema;

use super::accept::Form;
use crate::app::App;
use crate::http::schema;
use crate::inference_service::Found;
use crate::model_repository::Slot;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::statistics::Times;

/// Quality of annotated JPEGs.
const JPEG_QUALITY: u8 = 90;

/// What was found on the pictures of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
pub struct Answer {
    /// The model that looked.
    #[schema(example = "yolo11n")]
    pub model: String,
    /// The request's id, as in the header `x-request-id` and in the log.
    pub request_id: String,
    /// One entry per picture, in the request's order.
    pub images: Vec<ImageAnswer>,
}

/// A picture's part of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ImageAnswer {
    /// It was looked at.
    Seen(ImageSeen),
    /// It could not be looked at; others of the same request could.
    Failed(ImageFailed),
}

/// A picture and what is on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageSeen {
    /// Its file's name, or `image`.
    #[schema(example = "bus.jpg")]
    pub name: String,
    /// Its width in pixels, upright.
    #[schema(example = 810)]
    pub width: usize,
    /// Its height in pixels, upright.
    #[schema(example = 1080)]
    pub height: usize,
    /// What is on it, the surest first.
    #[schema(value_type = Vec<schema::Detection>)]
    pub detections: Vec<ObjectRecord>,
    /// What it took.
    pub speed_ms: SpeedMs,
}

/// A picture that could not be looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageFailed {
    /// Its file's name, or `image`.
    pub name: String,
    /// Why.
    pub error: ProblemBody,
}

/// Times of one picture in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedMs {
    /// From the bytes to pixels.
    pub decode: f64,
    /// Waiting for its turn and for its run.
    pub queue: f64,
    /// Fitting it into the network's input.
    pub preprocess: f64,
    /// The run, which others may have shared.
    pub inference: f64,
    /// Reading boxes off the network's outputs.
    pub postprocess: f64,
}

impl From<&Times> for SpeedMs {
    fn from(times: &Times) -> Self {
        Self {
            decode: milliseconds(times.decode),
            queue: milliseconds(times.queue),
            preprocess: milliseconds(times.preprocess),
            inference: milliseconds(times.inference),
            postprocess: milliseconds(times.postprocess),
        }
    }
}

impl ImageSeen {
    /// Keeps of what was found all but the pixels.
    pub fn of(name: String, found: &Found, names: &[String]) -> Self {
        Self {
            name,
            width: found.frame.width(),
            height: found.frame.height(),
            detections: objects(&found.detections, names),
            speed_ms: SpeedMs::from(&found.times),
        }
    }
}

/// The answer in JSON; where no picture could be looked at, the first one's problem.
pub fn json(
    model: &str,
    request_id: &str,
    images: Vec<(String, Result<ImageSeen, Problem>)>,
) -> Result<Response, Problem> {
    if images.iter().all(|(_, outcome)| outcome.is_err()) {
        let first = images.into_iter().find_map(|(_, outcome)| outcome.err());
        return Err(first.unwrap_or_else(|| Problem::bad_request("there is no picture")));
    }
    let images = images.into_iter().map(|(name, outcome)| match outcome {
        Ok(seen) => ImageAnswer::Seen(seen),
        Err(problem) => ImageAnswer::Failed(ImageFailed {
            name,
            error: problem.body(request_id),
        }),
    });
    let answer = Answer {
        model: model.to_owned(),
        request_id: request_id.to_owned(),
        images: images.collect(),
    };
    Ok(Json(answer).into_response())
}

/// The picture with what was found drawn on it.
pub async fn picture(
    app: &App,
    slot: &Slot,
    found: Found,
    names: Vec<String>,
    style: DrawStyle,
    form: Form,
) -> Result<Response, Problem> {
    let Found {
        mut frame,
        detections,
        ..
    } = found;
    let drawn = app.stations.encode(slot, move || {
        draw(&mut frame, &detections, &names, &style);
        encode(&frame, form)
    });
    let bytes = drawn.await??;
    Ok(([(header::CONTENT_TYPE, form.media_type())], bytes).into_response())
}

fn encode(frame: &Frame, form: Form) -> Result<Vec<u8>, Problem> {
    let encoded = match form {
        Form::Png => encode_png(frame),
        Form::Jpeg | Form::Json => encode_jpeg(frame, JPEG_QUALITY),
    };
    encoded.map_err(|error| Problem::new(Kind::Unprocessable, error.to_string()))
}
