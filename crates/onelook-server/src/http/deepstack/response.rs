//! Responses in the form of DeepStack and CodeProject.AI.

use std::time::Duration;

use onelook::Model;
use onelook::record::{class_name, milliseconds};
use onelook::types::{Frame, Instance};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::detect::ImageBytes;
use crate::inference_service::DetectResult;

/// The objects on an image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predictions {
    /// Always true.
    success: bool,
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// The objects as text.
    #[schema(example = "Found bus, person, person")]
    message: String,
    /// The objects, highest confidence first.
    predictions: Vec<PredictedObject>,
    /// Number of objects.
    count: usize,
    /// Seconds of the whole request.
    duration: f64,
    /// Milliseconds of the run.
    inference_ms: f64,
    /// Milliseconds from the encoded image to boxes, without waiting.
    process_ms: f64,
    /// Milliseconds of the whole request.
    analysis_round_trip_ms: f64,
    /// The model.
    #[schema(example = "yolo11n")]
    module_id: String,
    /// The server.
    #[schema(example = "onelook")]
    module_name: &'static str,
    /// The command.
    #[schema(example = "detect")]
    command: &'static str,
    /// The device.
    #[schema(example = "CPU")]
    execution_provider: String,
    /// The device.
    #[schema(example = "CPU")]
    inference_device: String,
    /// Whether a GPU is used.
    can_use_gpu: bool,
}

/// An object and its box in whole pixels of the image.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct PredictedObject {
    /// Name of the class.
    #[schema(example = "bus")]
    label: String,
    /// Confidence, 0 to 1.
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
    /// The response for a result.
    pub fn of(name: &str, model: &Model, result: &DetectResult, elapsed: Duration) -> Self {
        let names = &model.metadata().names;
        let objects = result.instances().iter();
        let predictions: Vec<PredictedObject> = objects
            .map(|object| predicted(object, &result.frame, names))
            .collect();
        let times = &result.times;
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

/// An error of this protocol.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "for the OpenAPI document only: the middleware writes it"
)]
pub struct DeepStackError {
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
    /// The models that serve now.
    pub fn of(app: &App) -> Self {
        let entries = app.models.all();
        let ready = entries.iter().filter(|entry| entry.loaded().is_ok());
        Self {
            success: true,
            models: ready.map(|entry| entry.name.clone()).collect(),
        }
    }
}

/// Liveness.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pong {
    /// Whether requests can be answered.
    pub success: bool,
}

/// The form of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct VisionForm {
    /// The image.
    image: ImageBytes,
    /// Smallest confidence of an object, 0 to 1.
    #[schema(minimum = 0, maximum = 1, default = 0.4)]
    min_confidence: Option<f64>,
    /// A token, if the server requires one.
    api_key: Option<String>,
}

fn predicted(object: Instance<'_>, frame: &Frame, names: &[String]) -> PredictedObject {
    let pixel = |value: f32, side: usize| value.round().clamp(0.0, side as f32) as usize;
    PredictedObject {
        label: class_name(names, object.class),
        confidence: (f64::from(object.score) * 1e5).round() / 1e5,
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

/// `CPU` or `GPU`, from the device's description.
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
    fn boxes_are_whole_pixels_inside_the_image() {
        let frame = Frame::filled(10, 8, [0; 3]).unwrap();
        let bbox = BoxXyxy {
            x1: -0.4,
            y1: 1.5,
            x2: 10.6,
            y2: 7.4,
        };
        let object = Instance::new(bbox, 3, 0.123_456_7);
        let expected = PredictedObject {
            label: "3".to_owned(),
            confidence: 0.12346,
            x_min: 0,
            y_min: 2,
            x_max: 10,
            y_max: 7,
        };
        assert_eq!(predicted(object, &frame, &[]), expected);
    }
}
