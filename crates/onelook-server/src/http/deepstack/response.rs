//! Answers in the words of DeepStack and CodeProject.AI.

use std::time::Duration;

use onelook::Model;
use onelook::record::{class_name, milliseconds};
use onelook::types::{Detection, Frame};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::detect::PictureBytes;
use crate::inference_service::Found;
use crate::model_repository::State;

/// What was found on a picture.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predictions {
    /// Whether it worked; here always true.
    success: bool,
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// What was found in words.
    #[schema(example = "Found bus, person, person")]
    message: String,
    /// The objects, the surest first.
    predictions: Vec<PredictedObject>,
    /// How many.
    count: usize,
    /// Seconds in all.
    duration: f64,
    /// Milliseconds of the run.
    inference_ms: f64,
    /// Milliseconds from the picture's bytes to boxes, without waiting.
    process_ms: f64,
    /// Milliseconds in all.
    analysis_round_trip_ms: f64,
    /// The model.
    #[schema(example = "yolo11n")]
    module_id: String,
    /// The server.
    #[schema(example = "onelook")]
    module_name: &'static str,
    /// What was asked for.
    #[schema(example = "detect")]
    command: &'static str,
    /// Where the network ran.
    #[schema(example = "CPU")]
    execution_provider: String,
    /// Where the network ran.
    #[schema(example = "CPU")]
    inference_device: String,
    /// Whether the network could run here.
    can_use_gpu: bool,
}

/// An object and its box in whole pixels of the picture.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct PredictedObject {
    /// Name of the class.
    #[schema(example = "bus")]
    label: String,
    /// How sure, 0 to 1.
    #[schema(example = 0.93912)]
    confidence: f64,
    /// Left edge.
    x_min: usize,
    /// Top edge.
    y_min: usize,
    /// Right edge.
    x_max: usize,
    /// Bottom edge.
    y_max: usize,
}

impl Predictions {
    /// What was found in the words of this protocol.
    pub fn of(name: &str, model: &Model, found: &Found, elapsed: Duration) -> Self {
        let names = &model.metadata().names;
        let objects = found.detections.iter();
        let predictions: Vec<PredictedObject> = objects
            .map(|object| predicted(object, &found.frame, names))
            .collect();
        let times = &found.times;
        let process = times.decode + times.preprocess + times.inference + times.postprocess;
        let device = device(model.device());
        Self {
            success: true,
            code: 200,
            message: message(&predictions),
            count: predictions.len(),
            predictions,
            duration: elapsed.as_millis() as f64 / 1e3,
            inference_ms: milliseconds(times.inference),
            process_ms: milliseconds(process),
            analysis_round_trip_ms: milliseconds(elapsed),
            module_id: name.to_owned(),
            module_name: "onelook",
            command: "detect",
            can_use_gpu: device != "CPU",
            execution_provider: device.clone(),
            inference_device: device,
        }
    }
}

/// A refusal as this protocol words it.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "only described: the layer that words refusals builds it"
)]
pub struct Refusal {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// What happened and what to do.
    error: String,
    /// The HTTP status.
    #[schema(example = 400)]
    code: u16,
}

/// The models by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomModels {
    /// Always true.
    success: bool,
    /// Names for `/v1/vision/custom/{name}`.
    #[schema(example = json!(["yolo11n"]))]
    models: Vec<String>,
}

impl CustomModels {
    /// The models that answer now.
    pub fn of(app: &App) -> Self {
        let slots = app.catalogue.all();
        let ready = slots
            .iter()
            .filter(|slot| matches!(slot.state(), State::Ready(_)));
        Self {
            success: true,
            models: ready.map(|slot| slot.name.clone()).collect(),
        }
    }
}

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pong {
    /// Whether requests can be answered.
    pub success: bool,
}

/// The form that clients send.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: the form is read by its parts")]
pub struct VisionForm {
    /// The picture.
    image: PictureBytes,
    /// Least confidence, 0 to 1.
    #[schema(minimum = 0, maximum = 1, default = 0.4)]
    min_confidence: Option<f64>,
    /// A token, where the server wants one.
    api_key: Option<String>,
}

fn predicted(object: &Detection, frame: &Frame, names: &[String]) -> PredictedObject {
    let pixel = |value: f32, side: usize| value.round().clamp(0.0, side as f32) as usize;
    PredictedObject {
        label: class_name(names, object.class),
        confidence: (f64::from(object.confidence) * 1e5).round() / 1e5,
        x_min: pixel(object.bbox.x1, frame.width()),
        y_min: pixel(object.bbox.y1, frame.height()),
        x_max: pixel(object.bbox.x2, frame.width()),
        y_max: pixel(object.bbox.y2, frame.height()),
    }
}

fn message(predictions: &[PredictedObject]) -> String {
    const SHOWN: usize = 5;
    if predictions.is_empty() {
        return "No objects found".to_owned();
    }
    let labels = predictions.iter().take(SHOWN);
    let labels: Vec<&str> = labels.map(|object| object.label.as_str()).collect();
    let more = if predictions.len() > SHOWN { "..." } else { "" };
    format!("Found {}{more}", labels.join(", "))
}

/// `CPU` or `GPU`, from the device in words.
fn device(words: &str) -> String {
    let kind = words.split([',', ':', ' ']).next().unwrap_or_default();
    match kind {
        "cuda" | "gpu" => "GPU".to_owned(),
        _ => "CPU".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook::types::BoxXyxy;

    #[test]
    fn boxes_are_whole_pixels_inside_the_picture() {
        let frame = Frame::filled(10, 8, [0; 3]).unwrap();
        let object = Detection {
            bbox: BoxXyxy {
                x1: -0.4,
                y1: 1.5,
                x2: 10.6,
                y2: 7.4,
            },
            class: 3,
            confidence: 0.123_456_7,
        };
        let expected = PredictedObject {
            label: "3".to_owned(),
            confidence: 0.12346,
            x_min: 0,
            y_min: 2,
            x_max: 10,
            y_max: 7,
        };
        assert_eq!(predicted(&object, &frame, &[]), expected);
    }
}
