//! Settings of a stream that say what its camera sees: the ground with its measures, and where objects stay.

use onelook::vision::analytics::{
    AnalyticsError, GroundPlane, HeatmapOptions, Point, SpeedOptions,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most cells of a heatmap along the longer side of the image.
const HEATMAP_CELLS: usize = 240;

/// Four points of the image whose places on the ground are known: from them on, speeds are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaneConfig {
    /// The points: x and y, 0 to 1 of the image's width and height.
    #[schema(example = json!([[0.2, 0.9], [0.8, 0.9], [0.6, 0.4], [0.4, 0.4]]))]
    pub image: [[f64; 2]; 4],
    /// Where they are on the ground, in metres, in the same order.
    #[schema(example = json!([[0, 0], [7, 0], [7, 20], [0, 20]]))]
    pub metres: [[f64; 2]; 4],
}

impl PlaneConfig {
    /// How speeds are measured on images of this size in pixels.
    ///
    /// # Errors
    /// Points that determine no plane.
    pub fn speed_options(&self, [width, height]: [usize; 2]) -> Result<SpeedOptions, String> {
        let is_inside = |it: &[f64; 2]| it.iter().all(|value| (0.0..=1.0).contains(value));
        if !self.image.iter().all(is_inside) {
            return Err("plane: image: expected points from 0 to 1".to_owned());
        }
        let pixels = self
            .image
            .map(|[x, y]| Point::new(x * width as f64, y * height as f64));
        let metres = self.metres.map(|[x, y]| Point::new(x, y));
        let plane = GroundPlane::new(pixels, metres);
        plane
            .map(SpeedOptions::new)
            .map_err(|error| format!("plane: {error}"))
    }
}

/// Where objects spend their time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeatmapConfig {
    /// Seconds after which half of it has faded; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3600.0)]
    pub half_life: Option<f64>,
}

impl HeatmapConfig {
    /// How it is kept for images of this size in pixels.
    pub fn options(&self, [width, height]: [usize; 2]) -> HeatmapOptions {
        HeatmapOptions {
            cell: width.max(height).div_ceil(HEATMAP_CELLS).max(1),
            half_life: self.half_life,
            ..HeatmapOptions::default()
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// One that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        let map = onelook::vision::analytics::Heatmap::new([100, 100], self.options([100, 100]));
        map.map(drop)
            .map_err(|error: AnalyticsError| format!("heatmap: {error}"))
    }
}
