//! How pictures are fitted into the network, and what counts as a detection.

use clap::{Args, ValueEnum};
use onelook::ClassList;

use super::value::{ImageSize, boolean, fraction, image_size};

/// Named sets of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The thresholds of many articles: iou 0.45.
    Article,
}

/// How pictures are fitted into the network, and what counts as a detection.
#[derive(Args, Clone)]
pub struct FitArgs {
    /// Least confidence, 0 to 1 [default: 0.25; for val 0.001]
    #[arg(long, value_parser = fraction, value_name = "SCORE")]
    pub conf: Option<f32>,
    /// Overlap above which the less sure of two boxes goes, 0 to 1 [default: 0.7]
    #[arg(long, value_parser = fraction, value_name = "IOU")]
    pub iou: Option<f32>,
    /// Most detections per picture.
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub max_det: usize,
    /// Size to fit pictures into: 640, or height and width as 480,640 [default: the model's]
    #[arg(long, alias = "img-size", alias = "img", value_parser = image_size, value_name = "PIXELS")]
    pub imgsz: Option<ImageSize>,
    /// Only these classes: 0,2 or person,bus [default: all]
    #[arg(long, value_name = "LIST")]
    pub classes: Option<ClassList>,
    /// Let boxes of different classes suppress each other.
    #[arg(long, alias = "agnostic", num_args = 0..=1, default_value = "false",
          default_missing_value = "true", value_parser = boolean, value_name = "BOOL",
          hide_default_value = true)]
    pub agnostic_nms: bool,
    /// Pad only to the next multiple of the stride instead of to a square [default: true where
    /// the model takes any size]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_parser = boolean,
          value_name = "BOOL")]
    pub rect: Option<bool>,
    /// Most pictures in one run; for val, pictures that share a canvas [default: 1]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Thresholds by name; flags given beside it win.
    #[arg(long, value_enum, value_name = "NAME")]
    pub preset: Option<Preset>,
}
