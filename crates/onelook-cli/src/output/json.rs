//! A JSON object per image; other tools read these lines, so their form is fixed.

use std::time::Duration;

use onelook::record::{ObjectRecord, milliseconds, objects};
use onelook::types::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::predicted::{Keep, PredictedImage, Sink, SinkState};
use super::run_directory::RunDirectory;
use super::whole_file::LineFile;
use crate::console::Console;
use crate::failure::Failure;

/// What is read back of such a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// Path or address.
    pub source: String,
    /// What was found, the highest confidence first.
    pub detections: Vec<ObjectRecord>,
}

pub struct JsonLines<'a> {
    metadata: &'a Metadata,
    console: &'a Console,
}

impl<'a> JsonLines<'a> {
    pub fn new(metadata: &'a Metadata, console: &'a Console) -> Self {
        Self { metadata, console }
    }
}

impl Sink for JsonLines<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        self.console.value(&record(image, self.metadata))
    }
}

pub struct JsonFile<'a> {
    metadata: &'a Metadata,
    file: LineFile,
}

impl<'a> JsonFile<'a> {
    pub fn new(
        directory: &RunDirectory,
        metadata: &'a Metadata,
        keep: Keep,
    ) -> Result<Self, Failure> {
        let (file, _) = keep.line_file(directory.path().join("predictions.jsonl"))?;
        Ok(Self { metadata, file })
    }
}

impl Sink for JsonFile<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let record = record(image, self.metadata);
        self.file.append(&format!("{record}\n"))
    }

    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        self.file.sync().map(SinkState::of_file)
    }

    fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        self.file.finish()
    }
}

/// Seconds, to the microsecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// The object of one image; `warnings` is there only if there are any, `frame` (from 1), `time` (in seconds)
/// and `age_ms` (since the frame came from the decoder) only for frames of videos.
fn record(image: &PredictedImage<'_>, metadata: &Metadata) -> Value {
    let speed = &image.result.speed;
    let mut record = json!({
        "source": image.source,
        "width": image.frame.width(),
        "height": image.frame.height(),
        "task": metadata.task().name(),
        "detections": objects(image.result.instances(), &metadata.names, image.size()),
        "speed_ms": {
            "decode": milliseconds(image.decode),
            "preprocess": milliseconds(speed.preprocess),
            "inference": milliseconds(speed.inference),
            "postprocess": milliseconds(speed.postprocess),
        },
    });
    if let Some(video) = image.video {
        record["frame"] = json!(video.frame);
        record["time"] = json!(image.time.map(seconds));
    }
    if let Some(age) = image.age {
        record["age_ms"] = json!(milliseconds(age));
    }
    if !image.warnings.is_empty() {
        let warnings: Vec<String> = image.warnings.iter().map(ToString::to_string).collect();
        record["warnings"] = json!(warnings);
    }
    record
}
