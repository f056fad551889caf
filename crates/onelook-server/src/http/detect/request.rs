//! What a body holds: pictures and parameters, from the bare picture, a form or JSON.
//!
//! A body that breaks the rules of its own form is an error; a single picture that cannot be had is
//! not, it is answered beside the others.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Parameters;
use crate::http::multipart;
use crate::problem::{Kind, Problem};

/// Most fields of a form that are no pictures.
const MAX_FIELDS: usize = 32;

/// The standard alphabet; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a body carries its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyForm {
    /// The body is the picture.
    Bare,
    /// `multipart/form-data` with this boundary.
    Multipart(String),
    /// A JSON object.
    Json,
}

/// A picture of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it is called in the answer.
    pub name: String,
    /// Its bytes, or where they are.
    pub content: Result<Content, Problem>,
}

/// What there is of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The encoded picture.
    Bytes(Bytes),
    /// Where it can be fetched.
    Url(String),
}

impl BodyForm {
    /// The form that the content type announces.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Bare);
        };
        let value = value.to_str().unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/octet-stream" => Ok(Self::Bare),
            "application/json" => Ok(Self::Json),
            "multipart/form-data" => Ok(Self::Multipart(multipart::boundary(headers)?)),
            _ if kind.starts_with("image/") => Ok(Self::Bare),
            _ => {
                let shown: String = kind.chars().take(80).collect();
                let detail = format!(
                    "the content type {shown:?} is not read here: send image/* or \
                     application/octet-stream, multipart/form-data or application/json"
                );
                Err(Problem::new(Kind::Unsupported, detail))
            }
        }
    }

    /// Takes a body apart; its parameters are added to `parameters`.
    pub fn read(
        &self,
        body: Bytes,
        parameters: &mut Parameters,
        most: usize,
    ) -> Result<Vec<Picture>, Problem> {
        let pictures = match self {
            Self::Bare => vec![Picture::of("image", body)],
            Self::Multipart(boundary) => {
                let parts = multipart::parts(&body, boundary, most + MAX_FIELDS)?;
                let (pictures, fields): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(multipart::Part::is_picture);
                for field in &fields {
                    parameters.set(&field.name, field.text()?)?;
                }
                let picture =
                    |part: multipart::Part| Picture::of(&part.picture_name(), part.content);
                pictures.into_iter().map(picture).collect()
            }
            Self::Json => read_json(&body, parameters)?,
        };
        if pictures.is_empty() {
            return Err(Problem::bad_request(
                "there is no picture in this request: send at least one",
            ));
        }
        if pictures.len() > most {
            let detail = format!("at most {most} pictures are taken per request");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        Ok(pictures)
    }
}

impl Picture {
    fn of(name: &str, bytes: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            content: Ok(Content::Bytes(bytes)),
        }
    }
}

/// The members that are no parameters, and the others.
#[derive(Deserialize)]
struct JsonBody {
    #[serde(default)]
    image: Option<JsonPicture>,
    #[serde(default)]
    images: Option<Vec<JsonPicture>>,
    #[serde(flatten)]
    parameters: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPicture {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

fn read_json(body: &[u8], parameters: &mut Parameters) -> Result<Vec<Picture>, Problem> {
    let body: JsonBody = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "the body is not the JSON that is expected here: {error}"
        ))
    })?;
    for (name, value) in &body.parameters {
        parameters.set_json(name, value)?;
    }
    let pictures = body
        .image
        .into_iter()
        .chain(body.images.into_iter().flatten());
    pictures.map(JsonPicture::read).collect()
}

impl JsonPicture {
    fn read(self) -> Result<Picture, Problem> {
        let (name, content) = match (self.base64, self.url) {
            (Some(text), None) => ("image".to_owned(), decode(text).map(Content::Bytes)),
            (None, Some(url)) => (name_in(&url), Ok(Content::Url(url))),
            _ => {
                return Err(Problem::bad_request(
                    "a picture in JSON has either 'base64' or 'url'",
                ));
            }
        };
        Ok(Picture {
            name: self.name.map_or(name, |name| multipart::clean(&name)),
            content,
        })
    }
}

/// The last piece of an address's path.
fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').find(|piece| !piece.is_empty());
    multipart::clean(last.unwrap_or("image"))
}

/// Base64 with or without line breaks, bare or as a `data:` address.
fn decode(text: String) -> Result<Bytes, Problem> {
    let payload = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map(|(_, payload)| payload),
        None => Some(text.as_str()),
    };
    let wrong = |reason: String| Problem::bad_request(format!("base64: {reason}"));
    let payload = payload.ok_or_else(|| wrong("a data: address needs ';base64,'".to_owned()))?;
    let decoded = if payload.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let letters = payload.bytes().filter(|byte| !byte.is_ascii_whitespace());
        BASE64.decode(letters.collect::<Vec<u8>>())
    } else {
        BASE64.decode(payload)
    };
    decoded
        .map(Bytes::from)
        .map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Vec<Picture>, Problem> {
        let body = Bytes::from(text.to_owned());
        BodyForm::Json.read(body, &mut Parameters::default(), 2)
    }

    fn content(text: &str) -> Result<Content, Problem> {
        let text = serde_json::to_string(text).unwrap();
        let pictures = json(&format!(r#"{{"image":{{"base64":{text}}}}}"#));
        pictures.unwrap().remove(0).content
    }

    #[test]
    fn base64_is_read_in_every_usual_spelling() {
        let hello = Ok(Content::Bytes(Bytes::from_static(b"hello")));
        for text in [
            "aGVsbG8=",
            "aGVsbG8",
            "aGVs\r\nbG8=\n",
            "data:image/png;base64,aGVsbG8=",
        ] {
            assert_eq!(content(text), hello, "{text}");
        }
        for text in ["aGVsbG8!", "data:image/png,x", "=", "a"] {
            assert_eq!(content(text).unwrap_err().kind, Kind::BadRequest, "{text}");
        }
    }

    #[test]
    fn json_that_is_not_expected_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "expected"),
            ("{}", "no picture"),
            (r#"{"images":[]}"#, "no picture"),
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
                "at most 2 pictures",
            ),
        ] {
            let detail = json(text).unwrap_err().detail;
            assert!(detail.contains(reason), "{text}: {detail}");
        }
    }

    #[test]
    fn pictures_have_names() {
        let text =
            r#"{"image":{"base64":"","name":"a\nb"},"images":[{"url":"http://x/y/z.jpg?q#f"}]}"#;
        let names: Vec<String> = json(text).unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["ab", "z.jpg"]);
    }

    #[test]
    fn the_content_type_tells_the_form() {
        let form = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            BodyForm::of(&headers)
        };
        assert_eq!(form("IMAGE/JPEG"), Ok(BodyForm::Bare));
        assert_eq!(form("application/json; charset=utf-8"), Ok(BodyForm::Json));
        assert_eq!(BodyForm::of(&HeaderMap::new()), Ok(BodyForm::Bare));
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "x"] {
            assert_eq!(form(wrong).unwrap_err().kind, Kind::Unsupported, "{wrong}");
        }
    }
}
