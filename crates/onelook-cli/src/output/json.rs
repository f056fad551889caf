//! A JSON object per picture; other tools read these lines, so their form is fixed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use onelook::types::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::line::name;
use super::{RunDirectory, Seen, Sink};
use crate::console::Console;
use crate::failure::{Failure, refused};

/// What is read back of such a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// Path or address.
    pub source: String,
    /// What was found, the surest first.
    pub detections: Vec<RecordedDetection>,
}

/// One object of a recorded line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedDetection {
    /// Name of the class.
    pub name: String,
    /// Number of the class.
    pub class: usize,
    /// 0 to 1.
    pub confidence: f32,
    /// Corners in pixels of the picture.
    #[serde(rename = "box")]
    pub bbox: RecordedBox,
}

/// Corners in pixels of the picture.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RecordedBox {
    pub x1: f32,
    pub y1: f32,
    pub x2: f32,
    pub y2: f32,
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
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        self.console.value(&record(seen, self.metadata));
        Ok(())
    }
}

pub struct JsonFile<'a> {
    metadata: &'a Metadata,
    path: PathBuf,
    file: BufWriter<File>,
}

impl<'a> JsonFile<'a> {
    pub fn new(directory: &RunDirectory, metadata: &'a Metadata) -> Result<Self, Failure> {
        let path = directory.path().join("predictions.jsonl");
        let file = BufWriter::new(File::create(&path).map_err(refused(&path))?);
        Ok(Self {
            metadata,
            path,
            file,
        })
    }
}

impl Sink for JsonFile<'_> {
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        writeln!(self.file, "{}", record(seen, self.metadata)).map_err(refused(&self.path))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(refused(&self.path))
    }
}

/// The object of one picture.
pub fn record(seen: &Seen<'_>, metadata: &Metadata) -> Value {
    let detections = seen.prediction.detections.iter().map(|found| {
        json!({
            "name": name(&metadata.names, found.class),
            "class": found.class,
            "confidence": rounded(found.confidence),
            "box": {
                "x1": rounded(found.bbox.x1),
                "y1": rounded(found.bbox.y1),
                "x2": rounded(found.bbox.x2),
                "y2": rounded(found.bbox.y2),
            },
        })
    });
    let speed = &seen.prediction.speed;
    json!({
        "source": seen.source,
        "width": seen.frame.width(),
        "height": seen.frame.height(),
        "task": metadata.task.name(),
        "detections": detections.collect::<Vec<_>>(),
        "speed_ms": {
            "decode": milliseconds(seen.decode),
            "preprocess": milliseconds(speed.preprocess),
            "inference": milliseconds(speed.inference),
            "postprocess": milliseconds(speed.postprocess),
        },
    })
}

/// Five decimals.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
