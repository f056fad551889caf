//! Forms that the documentation needs and no handler builds: what is written elsewhere, described.

use utoipa::ToSchema;

/// One object on a picture.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "only described, never built: the library writes this form"
)]
pub struct Detection {
    /// Name of the class, or its number where the model has no name for it.
    #[schema(example = "bus")]
    name: String,
    /// Number of the class.
    #[schema(example = 5)]
    class: usize,
    /// How sure.
    #[schema(minimum = 0, maximum = 1, example = 0.93912)]
    confidence: f64,
    /// Where.
    #[schema(rename = "box")]
    bbox: BoxCorners,
}

/// Corners in pixels of the picture; x to the right, y downwards.
#[derive(ToSchema)]
#[schema(as = Box)]
#[expect(
    dead_code,
    reason = "only described, never built: the library writes this form"
)]
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
