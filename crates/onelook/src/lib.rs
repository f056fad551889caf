//! Object detection with YOLO models: load a model, run it on images, get boxes.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use onelook::{LoadOptions, Model, Options, Pipeline, media};
//!
//! let model = Model::load("yolo11n.pt", &LoadOptions::default())?;
//! let pipeline = Pipeline::new(model, Options::default())?;
//! let image = media::decode(&std::fs::read("bus.jpg")?, &media::Limits::default())?;
//! for instance in pipeline.predict(&[image])?[0].instances() {
//!     println!("{} {:.2} {:?}", instance.class, instance.score, instance.bbox);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Knows neither servers nor command lines; those are built upon it.

mod class_list;
pub mod dataset;
mod device;
mod error;
mod event_record;
mod file_bytes;
pub mod file_name;
mod gpu_check;
mod model;
pub mod mot;
pub mod packed;
mod parity;
mod pipeline;
mod plan;
mod prepared;
pub mod printable;
pub mod record;
pub mod registry;
pub mod streams;
pub mod tracking;
mod validate;

pub use class_list::{ClassList, ClassWord};
pub use device::{
    Device, Engine, EngineOptions, FoundDevice, ReferenceBackend, SamplePass, available_memory,
    found_devices, random, sample_pass, usable_cores,
};
pub use error::Error;
pub use event_record::{direction_name, event_record, totals_record};
pub use gpu_check::{BoxCheck, CheckEvent, GpuCheck, StepFailure, check_gpu};
pub use model::{LoadOptions, Model, read_model, write_model};
pub use parity::{Parity, Tolerance, raw_error};
pub use pipeline::{ImageResult, Options, Pipeline, PreparedImage, Speed, Tiling};
pub use plan::{GpuPlan, GpuTarget, PlannedLaunch, PlannedRun, plan_for_gpu};
pub use prepared::{BatchKey, FrameSource, ImageInput, PreparedInput};
pub use validate::{ValidateOptions, Validation, validate};

pub use onelook_types as types;

/// Images from bytes and back, and where they come from.
pub use onelook_media as media;

/// Letterbox, NMS, drawing and figures of merit.
pub use onelook_vision as vision;

/// Graphs, readers of model files, and what engines have in common.
pub use onelook_graph as graph;
