//! How images are fitted into the network, and what counts as a detection.

use clap::{Args, ValueEnum};
use onelook::ClassList;

use super::value::{ImageSize, fraction, image_size};

/// Named sets of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The thresholds of many articles: iou 0.45.
    Article,
}

/// How images are fitted into the network, and what counts as a detection.
#[derive(Args, Clone)]
pub struct FitArgs {
    /// Lowest confidence, 0 to 1 [default: 0.25; for track and count 0.1, of recorded tracks
    /// 0; for val 0.001]
    #[arg(long, value_parser = fraction, value_name = "SCORE")]
    pub conf: Option<f32>,
    /// Overlap (IoU) above which the box of lower confidence is dropped, 0 to 1 [default: 0.7]
    #[arg(long, value_parser = fraction, value_name = "IOU")]
    pub iou: Option<f32>,
    /// Most detections per image.
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub max_det: usize,
    /// Size that images are fitted into: 640, or height and width as 480,640 [default: the model's]
    #[arg(long, alias = "img-size", alias = "img", value_parser = image_size, value_name = "PIXELS")]
    pub imgsz: Option<ImageSize>,
    /// Only these classes: 0,2 or person,bus [default: all]
    #[arg(long, value_name = "LIST")]
    pub classes: Option<ClassList>,
    /// Suppress overlapping boxes of different classes too.
    #[arg(long, alias = "agnostic")]
    pub agnostic_nms: bool,
    /// Make masks at the image's size instead of the network's; slower, finer outlines.
    #[arg(long)]
    pub retina_masks: bool,
    /// Pad only to the next multiple of the stride instead of to a square [default: true where
    /// the model takes any size]
    #[arg(long)]
    pub rect: Option<bool>,
    /// Most images in one run; for val, images that share one input size [default: 1]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// A named set of thresholds; flags given beside it take precedence.
    #[arg(long, value_enum, value_name = "NAME")]
    pub preset: Option<Preset>,
}
