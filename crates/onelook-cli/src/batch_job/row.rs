//! One image of a job as a row: where it stands in the manifest, what was found, or why it could not be used.

use onelook::record::{ObjectRecord, objects};
use onelook::types::Frame;
use onelook::{ImageResult, Model};
use serde::Serialize;

/// What was found in one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageRow {
    /// Its line in the manifest, from 0, blank lines not counted.
    pub index: u64,
    /// Path or address, without passwords.
    pub source: String,
    /// Pixels, of an image that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Why it could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Highest confidence first.
    pub detections: Vec<ObjectRecord>,
}

impl ImageRow {
    pub fn new(
        index: usize,
        source: String,
        frame: &Frame,
        result: &ImageResult,
        names: &[String],
    ) -> Self {
        let size = [frame.width(), frame.height()];
        Self {
            index: index as u64,
            source,
            width: Some(size[0] as u32),
            height: Some(size[1] as u32),
            error: None,
            detections: objects(result.instances(), names, size),
        }
    }

    pub fn failed(index: usize, source: String, reason: &str) -> Self {
        Self {
            index: index as u64,
            source,
            width: None,
            height: None,
            error: Some(reason.to_owned()),
            detections: Vec::new(),
        }
    }
}

/// What a file of rows says of its origin.
#[cfg_attr(
    not(any(feature = "parquet", test)),
    expect(dead_code, reason = "lines of JSON have no place for it")
)]
pub struct RowMetadata(pub Vec<(&'static str, String)>);

impl RowMetadata {
    pub fn new(model: &Model) -> Self {
        Self(vec![
            ("onelook.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("onelook.model", model.name().to_owned()),
            ("onelook.task", model.metadata().task().name().to_owned()),
        ])
    }
}
