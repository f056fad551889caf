//! Parses a body, which is an image, a form or JSON, into images and parameters.
//!
//! A body that breaks the rules of its format is an error. A single image that cannot be read is not:
//! its error is part of the response.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::parameters::DetectParameters;
use crate::http::multipart;
use crate::problem::{Problem, ProblemKind, shown};

/// Largest number of fields of a form besides images.
const MAX_FIELDS: usize = 32;

/// The standard alphabet; padding is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The format of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyFormat {
    /// The body is an encoded image.
    Image,
    /// `multipart/form-data` with this boundary.
    Multipart(String),
    /// A JSON object.
    Json,
}

/// An image of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestImage {
    /// Its name in the response.
    pub name: String,
    /// Its bytes or URL, or why it has neither.
    pub source: Result<ImageSource, Problem>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The encoded image.
    Bytes(Bytes),
    /// The URL to fetch it from.
    Url(String),
}

impl BodyFormat {
    /// The format by the content type.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Image);
        };
        let value = value.to_str().unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/octet-stream" => Ok(Self::Image),
            "application/json" => Ok(Self::Json),
            "multipart/form-data" => Ok(Self::Multipart(multipart::boundary(headers)?)),
            _ if kind.starts_with("image/") => Ok(Self::Image),
            _ => {
                let detail = format!(
                    "the content type {} is not supported: send image/* or \
                     application/octet-stream, multipart/form-data or application/json",
                    shown(&kind)
                );
                Err(Problem::new(ProblemKind::Unsupported, detail))
            }
        }
    }

    /// Parses a body. Its parameters are added to `parameters`.
    pub fn parse(
        &self,
        body: Bytes,
        parameters: &mut DetectParameters,
        max_images: usize,
    ) -> Result<Vec<RequestImage>, Problem> {
        let images = match self {
            Self::Image => vec![RequestImage::of("image", body)],
            Self::Multipart(boundary) => {
                let parts = multipart::parts(&body, boundary, max_images + MAX_FIELDS)?;
                let (images, fields): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(multipart::Part::is_image);
                for field in &fields {
                    parameters.set(&field.name, field.text()?)?;
                }
                let image =
                    |part: multipart::Part| RequestImage::of(&part.image_name(), part.content);
                images.into_iter().map(image).collect()
            }
            Self::Json => read_json(&body, parameters)?,
        };
        if images.is_empty() {
            return Err(Problem::bad_request(
                "the request has no image: send at least one",
            ));
        }
        if images.len() > max_images {
            let detail = format!(
                "the request has {} images, this server accepts at most {max_images}: send fewer, \
                 or start the server with a larger --max-images",
                images.len()
            );
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        Ok(images)
    }
}

impl RequestImage {
    fn of(name: &str, bytes: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            source: Ok(ImageSource::Bytes(bytes)),
        }
    }
}

/// The images, and all other members as parameters.
#[derive(Deserialize)]
struct JsonBody {
    #[serde(default)]
    image: Option<JsonImage>,
    #[serde(default)]
    images: Option<Vec<JsonImage>>,
    #[serde(flatten)]
    parameters: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonImage {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

fn read_json(body: &[u8], parameters: &mut DetectParameters) -> Result<Vec<RequestImage>, Problem> {
    let body: JsonBody = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!("the JSON in the body is not as expected: {error}"))
    })?;
    for (name, value) in &body.parameters {
        parameters.set_json(name, value)?;
    }
    let images = body
        .image
        .into_iter()
        .chain(body.images.into_iter().flatten());
    images.map(JsonImage::read).collect()
}

impl JsonImage {
    fn read(self) -> Result<RequestImage, Problem> {
        let (name, source) = match (self.base64, self.url) {
            (Some(text), None) => ("image".to_owned(), decode(text).map(ImageSource::Bytes)),
            (None, Some(url)) => (name_in(&url), Ok(ImageSource::Url(url))),
            _ => {
                return Err(Problem::bad_request(
                    "an image in JSON needs either 'base64' or 'url'",
                ));
            }
        };
        Ok(RequestImage {
            name: self.name.map_or(name, |name| multipart::clean(&name)),
            source,
        })
    }
}

/// The last segment of a URL's path.
fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').find(|segment| !segment.is_empty());
    multipart::clean(last.unwrap_or("image"))
}

/// Base64 with or without line breaks, plain or as a `data:` URL.
fn decode(text: String) -> Result<Bytes, Problem> {
    let payload = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map(|(_, payload)| payload),
        None => Some(text.as_str()),
    };
    let invalid = |reason: String| Problem::bad_request(format!("base64: {reason}"));
    let payload = payload.ok_or_else(|| invalid("a data: URL needs ';base64,'".to_owned()))?;
    let decoded = if payload.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let letters = payload.bytes().filter(|byte| !byte.is_ascii_whitespace());
        BASE64.decode(letters.collect::<Vec<u8>>())
    } else {
        BASE64.decode(payload)
    };
    decoded
        .map(Bytes::from)
        .map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Vec<RequestImage>, Problem> {
        let body = Bytes::from(text.to_owned());
        BodyFormat::Json.parse(body, &mut DetectParameters::default(), 2)
    }

    fn source(text: &str) -> Result<ImageSource, Problem> {
        let text = serde_json::to_string(text).unwrap();
        let images = json(&format!(r#"{{"image":{{"base64":{text}}}}}"#));
        images.unwrap().remove(0).source
    }

    #[test]
    fn base64_is_read_in_every_usual_spelling() {
        let hello = Ok(ImageSource::Bytes(Bytes::from_static(b"hello")));
        for text in [
            "aGVsbG8=",
            "aGVsbG8",
            "aGVs\r\nbG8=\n",
            "data:image/png;base64,aGVsbG8=",
        ] {
            assert_eq!(source(text), hello, "{text}");
        }
        for text in ["aGVsbG8!", "data:image/png,x", "=", "a"] {
            assert_eq!(
                source(text).unwrap_err().kind,
                ProblemKind::BadRequest,
                "{text}"
            );
        }
    }

    #[test]
    fn unexpected_json_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "expected"),
            ("{}", "no image"),
            (r#"{"images":[]}"#, "no image"),
            (r#"{"image":{}}"#, "either 'base64' or 'url'"),
            (r#"{"image":{"base64":"","url":""}}"#, "either"),
            (
                r#"{"image":{"path":"/etc/passwd"}}"#,
                "unknown field `path`",
            ),
            (
                r#"{"image":{"base64":""},"confidence":1}"#,
                "no parameter \"confidence\"",
            ),
            (
                r#"{"images":[{"url":"a"},{"url":"b"},{"url":"c"}]}"#,
                "3 images, this server accepts at most 2",
            ),
        ] {
            let detail = json(text).unwrap_err().detail;
            assert!(detail.contains(reason), "{text}: {detail}");
        }
    }

    #[test]
    fn images_have_names() {
        let text =
            r#"{"image":{"base64":"","name":"a\nb"},"images":[{"url":"http://x/y/z.jpg?q#f"}]}"#;
        let names: Vec<String> = json(text).unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["ab", "z.jpg"]);
    }

    #[test]
    fn the_content_type_decides_the_format() {
        let format = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            BodyFormat::of(&headers)
        };
        assert_eq!(format("IMAGE/JPEG"), Ok(BodyFormat::Image));
        assert_eq!(
            format("application/json; charset=utf-8"),
            Ok(BodyFormat::Json)
        );
        assert_eq!(BodyFormat::of(&HeaderMap::new()), Ok(BodyFormat::Image));
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "x"] {
            assert_eq!(
                format(wrong).unwrap_err().kind,
                ProblemKind::Unsupported,
                "{wrong}"
            );
        }
    }
}
