//! The parameters and bodies of `/v1/detect` for the OpenAPI document. Other code parses them; a test
//! compares the two.

use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::response::DetectResponse;

/// Parameters in the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct DetectQuery {
    /// The model; the server's first if absent.
    #[param(example = "yolo11n")]
    model: Option<String>,
    /// Smallest confidence of a detection.
    #[param(minimum = 0, maximum = 1, default = 0.25)]
    conf: Option<f64>,
    /// Overlap (IoU) above which NMS removes the box with the lower confidence.
    #[param(minimum = 0, maximum = 1, default = 0.7)]
    iou: Option<f64>,
    /// Only these classes, by number or by name.
    #[param(example = "0,2")]
    classes: Option<String>,
    /// Largest number of objects per image.
    #[param(minimum = 1, maximum = 10000, default = 300)]
    max_det: Option<u32>,
    /// Size that images are scaled to fit into: one number, or height and width; 32 to 4096, rounded
    /// up to the model's stride. The model's own size if absent.
    #[param(pattern = r"^[0-9]{2,4}([,x][0-9]{2,4})?$", example = "640")]
    imgsz: Option<String>,
    /// Pad only to the next multiple of the stride instead of to the whole size.
    #[param(default = true)]
    rect: Option<bool>,
    /// Let boxes of different classes suppress each other.
    #[param(default = false)]
    agnostic_nms: Option<bool>,
    /// Draw the classes' names on the image of the response.
    #[param(default = true)]
    show_labels: Option<bool>,
    /// Draw the confidences on the image of the response.
    #[param(default = true)]
    show_conf: Option<bool>,
    /// Line width on the image of the response in pixels; by the image's size if absent.
    #[param(minimum = 1, maximum = 100)]
    line_width: Option<u32>,
}

/// Images and parameters in a form. Every file, and every field called `image`, `images`, `file` or
/// `files`, is an image; other fields are the parameters of the query.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct DetectForm {
    /// An image; the field may be repeated.
    #[schema(value_type = ImageBytes)]
    image: Vec<u8>,
}

/// An encoded image: JPEG, PNG, WebP, BMP, TIFF or GIF.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct ImageBytes(Vec<u8>);

/// A ZIP file: the images with their boxes, named as in the request, and `results.json`.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct ArchiveBytes(Vec<u8>);

/// The images with their boxes, and what was detected.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct AnnotatedForm {
    /// An image with its boxes; the field is repeated.
    image: ImageBytes,
    /// The response in JSON.
    results: DetectResponse,
}

/// Images and parameters in JSON. `classes` and `imgsz` are not text as in the query.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct DetectJson {
    /// One image; text stands for its base64.
    #[schema(nullable = true)]
    image: Option<JsonImage>,
    /// Several images.
    images: Option<Vec<JsonImage>>,
    /// Only these classes, by number or by name.
    #[schema(value_type = Vec<ClassWord>, required = false, min_items = 1)]
    classes: (),
    /// Size that images are scaled to fit into, rounded up to the model's stride. The model's own size
    /// if absent.
    #[schema(value_type = ImageSize, required = false)]
    imgsz: (),
}

/// An image: either its bytes or its URL.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct JsonImage {
    /// Its name in the response.
    name: Option<String>,
    /// The encoded image in base64, plain or as a `data:` URL.
    base64: Option<String>,
    /// The URL to fetch it from, if the server allows that; public addresses only.
    #[schema(example = "https://example.com/bus.jpg")]
    url: Option<String>,
}

/// A class, by number or by name.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub enum ClassWord {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

/// One number of pixels, or height and width.
pub struct ImageSize;

impl ToSchema for ImageSize {}

impl PartialSchema for ImageSize {
    fn schema() -> RefOr<Schema> {
        let side = json!({"type": "integer", "minimum": 32, "maximum": 4096});
        let schema = json!({
            "description": "One number of pixels, or height and width.",
            "oneOf": [side, {"type": "array", "items": side, "minItems": 2, "maxItems": 2}],
            "example": 640,
        });
        serde_json::from_value(schema).unwrap_or_default()
    }
}
