//! A JSON object per picture; other tools read these lines, so their form is fixed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use onelook::record::{ObjectRecord, milliseconds, objects};
use onelook::types::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{RunDirectory, Seen, Sink};
use crate::console::Console;
use crate::failure::{Failure, refused};

/// What is read back of such a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// Path or address.
    pub source: String,
    /// What was found, the surest first.
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
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        self.console.value(&record(seen, self.metadata))
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
    let speed = &seen.prediction.speed;
    json!({
        "source": seen.source,
        "width": seen.frame.width(),
        "height": seen.frame.height(),
        "task": metadata.task.name(),
        "detections": objects(&seen.prediction.detections, &metadata.names),
        "speed_ms": {
            "decode": milliseconds(seen.decode),
            "preprocess": milliseconds(speed.preprocess),
            "inference": milliseconds(speed.inference),
            "postprocess": milliseconds(speed.postprocess),
        },
    })
}
