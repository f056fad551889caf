//! Parses a body, which is an image, a form or JSON, into images and parameters.
//!
//! A body that breaks the rules of its format is an error. A single image that cannot be read is not:
//! its error is part of the response.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::json::{self, JsonImage};
use super::parameters::DetectParameters;
use crate::body::counted;
use crate::http::multipart;
use crate::memory_budget::MemoryShare;
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
    /// No type is given, or one that clients send for anything: the body's first bytes decide.
    Unknown,
    /// The type of a form of text, which curl gives to whatever it sends: the bytes decide here too.
    UrlEncoded,
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
            return Ok(Self::Unknown);
        };
        let value = value.to_str().unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        match kind.as_str() {
            // Browsers give text/plain to JSON that is sent as text.
            "" | "application/octet-stream" | "text/plain" => Ok(Self::Unknown),
            "application/x-www-form-urlencoded" => Ok(Self::UrlEncoded),
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

    /// Parses a body. Its parameters are added to `parameters`, the memory of what it becomes to `share`.
    pub fn parse(
        &self,
        body: Bytes,
        parameters: &mut DetectParameters,
        max_images: usize,
        share: &Arc<MemoryShare>,
    ) -> Result<Vec<RequestImage>, Problem> {
        let images = match self {
            Self::Unknown => return recognise(&body).parse(body, parameters, max_images, share),
            Self::UrlEncoded => {
                let format = recognise(&body);
                let is_text = !body.is_empty() && !body.iter().any(|byte| b"\r\n\0".contains(byte));
                if format == Self::Image && is_text {
                    return Err(not_binary());
                }
                return format.parse(body, parameters, max_images, share);
            }
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
            Self::Json => read_json(&body, parameters, max_images, share)?,
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

/// The format of a body without a type. No image begins as JSON or a form does.
fn recognise(body: &[u8]) -> BodyFormat {
    let start = body.trim_ascii_start();
    if start.starts_with(b"{") {
        return BodyFormat::Json;
    }
    let line = start.split(|&byte| byte == b'\r').next();
    let boundary = line.and_then(|line| line.strip_prefix(b"--"));
    match boundary.map(std::str::from_utf8) {
        Some(Ok(boundary)) if (1..=multipart::MAX_BOUNDARY).contains(&boundary.len()) => {
            BodyFormat::Multipart(boundary.to_owned())
        }
        _ => BodyFormat::Image,
    }
}

/// The problem of a body without the bytes that `curl --data` removes: no image lacks them all.
fn not_binary() -> Problem {
    let detail = "the body is not an image as it is: curl's -d removes line breaks and zero bytes from a file. \
                  Send it with --data-binary @FILE, or as a form with -F image=@FILE";
    Problem::new(ProblemKind::Unsupported, detail)
}

impl RequestImage {
    fn of(name: &str, bytes: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            source: Ok(ImageSource::Bytes(bytes)),
        }
    }
}

fn read_json(
    body: &[u8],
    parameters: &mut DetectParameters,
    max_images: usize,
    share: &Arc<MemoryShare>,
) -> Result<Vec<RequestImage>, Problem> {
    let body = json::read(body, max_images)?;
    for (name, value) in &body.parameters {
        parameters.set_json(name, value)?;
    }
    let images = body.images.into_iter();
    images.map(|image| read_image(image, share)).collect()
}

fn read_image(image: JsonImage<'_>, share: &Arc<MemoryShare>) -> Result<RequestImage, Problem> {
    let (name, source) = match (image.base64, image.url) {
        (Some(text), None) => {
            // What has escapes in it stands in memory a second time.
            if let Cow::Owned(text) = &text {
                share.grow(text.len())?;
            }
            ("image".to_owned(), decode(&text, share))
        }
        (None, Some(url)) => (name_in(&url), Ok(ImageSource::Url(url.into_owned()))),
        _ => {
            return Err(Problem::bad_request(
                "an image in JSON needs either 'base64' or 'url'",
            ));
        }
    };
    Ok(RequestImage {
        name: image.name.map_or(name, |name| multipart::clean(&name)),
        source,
    })
}

/// The last segment of a URL's path.
fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').find(|segment| !segment.is_empty());
    multipart::clean(last.unwrap_or("image"))
}

/// Base64 with or without line breaks, plain or as a `data:` URL.
fn decode(text: &str, share: &Arc<MemoryShare>) -> Result<ImageSource, Problem> {
    let payload = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map(|(_, payload)| payload),
        None => Some(text),
    };
    let invalid = |reason: String| Problem::bad_request(format!("base64: {reason}"));
    let payload = payload.ok_or_else(|| invalid("a data: URL needs ';base64,'".to_owned()))?;
    share.grow(payload.len() / 4 * 3)?;
    let decoded = if payload.bytes().any(|byte| byte.is_ascii_whitespace()) {
        share.grow(payload.len())?;
        let letters = payload.bytes().filter(|byte| !byte.is_ascii_whitespace());
        BASE64.decode(letters.collect::<Vec<u8>>())
    } else {
        BASE64.decode(payload)
    };
    decoded
        .map(|bytes| ImageSource::Bytes(counted(bytes, share)))
        .map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::memory_budget::MemoryBudget;

    fn parse(format: &BodyFormat, body: &[u8]) -> Result<Vec<RequestImage>, Problem> {
        let share = Arc::new(MemoryBudget::new(1 << 20).share(&Arc::from("a")));
        let body = Bytes::copy_from_slice(body);
        format.parse(body, &mut DetectParameters::default(), 2, &share)
    }

    fn json(text: &str) -> Result<Vec<RequestImage>, Problem> {
        parse(&BodyFormat::Json, text.as_bytes())
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
            (r#"{"image":{"base64":""}} x"#, "trailing"),
            (r#"{"image":{"base64":"","base64":""}}"#, "twice"),
            (r#"{"image":1}"#, "an image: text in base64"),
            (r#"{"image":"","conf":[[1]]}"#, "a flat list"),
            (r#"{"image":"","conf":{"a":[{}]}}"#, "conf"),
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
                "more than 2 images",
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
        assert_eq!(BodyFormat::of(&HeaderMap::new()), Ok(BodyFormat::Unknown));
        assert_eq!(format("text/plain;charset=UTF-8"), Ok(BodyFormat::Unknown));
        for wrong in ["text/html", "x"] {
            assert_eq!(
                format(wrong).unwrap_err().kind,
                ProblemKind::Unsupported,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_body_without_a_type_is_recognised_by_its_bytes() {
        let names = |body: &[u8]| {
            let names = [BodyFormat::Unknown, BodyFormat::UrlEncoded].map(|format| {
                let images = parse(&format, body).unwrap().into_iter();
                images.map(|image| image.name).collect::<Vec<_>>()
            });
            assert_eq!(names[0], names[1]);
            names[0].clone()
        };
        assert_eq!(names(b"\x89PNG\r\n"), ["image"]);
        assert_eq!(names(br#" {"image":{"base64":"","name":"a"}}"#), ["a"]);
        let form = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\n1\r\n--x--";
        assert_eq!(names(form), ["b"]);
    }

    #[test]
    fn an_image_that_lost_bytes_to_curl_is_refused_with_the_remedy() {
        let stripped = parse(&BodyFormat::UrlEncoded, b"\xff\xd8\xff\xe0\x10JFIF").unwrap_err();
        assert!(
            stripped.detail.contains("--data-binary"),
            "{}",
            stripped.detail
        );
    }

    #[test]
    fn lists_are_bounded_while_they_are_read() {
        let many = "0,".repeat(1 << 20);
        for body in [
            format!(r#"{{"image":"AAAA","conf":[{many}0]}}"#),
            format!(r#"{{"images":[{}{{}}]}}"#, "{},".repeat(1 << 20)),
            format!(r#"{{"image":"AAAA","model":"{many}"}}"#),
            format!("{{{}\"z\":0}}", "\"a\":0,".repeat(1 << 20)),
        ] {
            let refused = json(&body).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::BadRequest);
            assert!(refused.detail.len() < 500, "{}", refused.detail);
        }
    }

    #[test]
    fn decoded_images_are_counted() {
        let share = Arc::new(MemoryBudget::new(700).share(&Arc::from("a")));
        let large = format!(r#"{{"image":"{}"}}"#, "A".repeat(1000));
        let mut parameters = DetectParameters::default();
        let images = BodyFormat::Json.parse(large.into(), &mut parameters, 2, &share);
        let refused = images.unwrap().remove(0).source.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Overloaded);
    }
}
