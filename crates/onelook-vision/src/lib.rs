//! Everything about images and boxes that needs no network: frames become network inputs, network
//! outputs become detections, detections become tracks, events at lines and zones, drawings and figures of
//! merit.
//!
//! Knows no files, no clocks and no engine; every function is a pure function of its arguments.

pub mod analytics;
pub mod draw;
mod error;
pub mod head;
pub mod letterbox;
pub mod masks;
pub mod metric;
pub mod nms;
pub mod output0;
pub mod postprocess;
mod rank;
mod saved_box;
pub mod suppressed;
pub mod tiling;
pub mod track;

pub use error::VisionError;
