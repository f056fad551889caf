//! What `/v1/detect` takes, described for the documentation; the code that reads it is elsewhere, and
//! a test holds the two together.

use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

/// Parameters in the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: queries are read word by word")]
pub struct DetectQuery {
    /// Which model; the server's first when absent.
    #[param(example = "yolo11n")]
    model: Option<String>,
    /// Least confidence.
    #[param(minimum = 0, maximum = 1, default = 0.25)]
    conf: Option<f64>,
    /// Overlap above which the less sure of two boxes goes.
    #[param(minimum = 0, maximum = 1, default = 0.7)]
    iou: Option<f64>,
    /// Only these classes, by number or by name.
    #[param(example = "0,2")]
    classes: Option<String>,
    /// Most objects per picture.
    #[param(minimum = 1, maximum = 10000, default = 300)]
    max_det: Option<u32>,
    /// Size to fit pictures into: one number, or height and width; 32 to 4096, rounded up to the
    /// model's stride. The model's own when absent.
    #[param(pattern = r"^[0-9]{2,4}([,x][0-9]{2,4})?$", example = "640")]
    imgsz: Option<String>,
    /// Pad only to the next multiple of the stride instead of up to the size.
    #[param(default = true)]
    rect: Option<bool>,
    /// Let boxes of different classes suppress each other.
    #[param(default = false)]
    agnostic_nms: Option<bool>,
    /// Write the classes' names onto the answer's picture.
    #[param(default = true)]
    show_labels: Option<bool>,
    /// Write the confidences onto the answer's picture.
    #[param(default = true)]
    show_conf: Option<bool>,
    /// Width of the lines on the answer's picture in pixels; by the picture's size when absent.
    #[param(minimum = 1, maximum = 100)]
    line_width: Option<u32>,
}

/// Pictures and parameters in a form: every file, and every field called `image`, `images`, `file` or
/// `files`, is a picture; other fields are the parameters of the query.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described: forms are read part by part")]
pub struct DetectForm {
    /// A picture; the field may be there several times.
    #[schema(value_type = PictureBytes)]
    image: Vec<u8>,
}

/// An encoded picture: JPEG, PNG, WebP, BMP, TIFF or GIF.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only described")]
pub struct PictureBytes(Vec<u8>);

/// Pictures and parameters in JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only described: the object is read member by member"
)]
pub struct DetectJson {
    /// One picture.
    #[schema(nullable = true)]
    image: Option<JsonPicture>,
    /// Several pictures.
    images: Option<Vec<JsonPicture>>,
    /// Which model; the server's first when absent.
    #[schema(value_type = String, required = false)]
    model: (),
    /// Least confidence.
    #[schema(value_type = f64, required = false, minimum = 0, maximum = 1, default = 0.25)]
    conf: (),
    /// Overlap above which the less sure of two boxes goes.
    #[schema(value_type = f64, required = false, minimum = 0, maximum = 1, default = 0.7)]
    iou: (),
    /// Only these classes, by number or by name.
    #[schema(value_type = Vec<ClassWord>, required = false, min_items = 1)]
    classes: (),
    /// Most objects per picture.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 10000, default = 300)]
    max_det: (),
    /// Size to fit pictures into, rounded up to the model's stride; the model's own when absent.
    #[schema(value_type = ImageSize, required = false)]
    imgsz: (),
    /// Pad only to the next multiple of the stride instead of up to the size.
    #[schema(value_type = bool, required = false, default = true)]
    rect: (),
    /// Let boxes of different classes suppress each other.
    #[schema(value_type = bool, required = false, default = false)]
    agnostic_nms: (),
    /// Write the classes' names onto the answer's picture.
    #[schema(value_type = bool, required = false, default = true)]
    show_labels: (),
    /// Write the confidences onto the answer's picture.
    #[schema(value_type = bool, required = false, default = true)]
    show_conf: (),
    /// Width of the lines on the answer's picture in pixels; by the picture's size when absent.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 100)]
    line_width: (),
}

/// A picture: its bytes, or where they are; one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described: another type reads it")]
pub struct JsonPicture {
    /// What it is called in the answer.
    name: Option<String>,
    /// The encoded picture in base64, bare or as a `data:` address.
    base64: Option<String>,
    /// Where it can be fetched, if the server allows that; public addresses only.
    #[schema(example = "https://example.com/bus.jpg")]
    url: Option<String>,
}

/// A class by number or by name.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
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
