//! Schemas of JSON that the library writes, for the OpenAPI document.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// One object on an image.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Detection {
    /// Name of the class, or its number if the model has no name for it.
    #[schema(example = "bus")]
    name: String,
    /// Number of the class.
    #[schema(example = 5)]
    class: usize,
    /// Confidence.
    #[schema(minimum = 0, maximum = 1, example = 0.93912)]
    confidence: f64,
    /// Its box.
    #[schema(rename = "box")]
    bbox: BoxCorners,
}

/// Corners of a box in pixels of the image; x to the right, y downwards.
#[derive(ToSchema)]
#[schema(as = Box)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct BoxCorners {
    /// Left edge.
    #[schema(example = 3.83276)]
    x1: f64,
    /// Top edge.
    #[schema(example = 229.36424)]
    y1: f64,
    /// Right edge.
    #[schema(example = 796.19458)]
    x2: f64,
    /// Bottom edge.
    #[schema(example = 728.41229)]
    y2: f64,
}

/// A parameter of a query from 0 that the description calls `int64`: larger numbers are refused.
pub fn int64<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let number = i64::deserialize(value)?;
    let number = u64::try_from(number);
    number
        .map(Some)
        .map_err(|_| D::Error::custom("expected a number from 0"))
}
