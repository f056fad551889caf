//! Content negotiation: the header `Accept` in, one of three response formats out (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

use crate::problem::{Problem, ProblemKind};

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// Boxes as JSON.
    Json,
    /// The image with boxes drawn on it, as JPEG.
    Jpeg,
    /// The image with boxes drawn on it, as PNG.
    Png,
}

impl ResponseFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// A media range of the header.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths, so that qualities compare exactly.
    quality: u32,
    position: usize,
}

/// The format that the client prefers; JSON if it has no preference.
pub fn negotiate(headers: &HeaderMap) -> Result<ResponseFormat, Problem> {
    let values = headers.get_all(header::ACCEPT).iter();
    let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let text = text.join(",");
    if text.trim().is_empty() {
        return Ok(ResponseFormat::Json);
    }
    let words = text.split(',').enumerate();
    let ranges: Vec<MediaRange<'_>> = words
        .filter_map(|(position, word)| MediaRange::parse(word, position))
        .collect();
    let offers = [
        ResponseFormat::Json,
        ResponseFormat::Jpeg,
        ResponseFormat::Png,
    ]
    .into_iter()
    .rev();
    let accepted = offers.filter_map(|format| Some((rank(format, &ranges)?, format)));
    accepted
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, format)| format)
        .ok_or_else(|| {
            Problem::new(
                ProblemKind::NotAcceptable,
                "the response can be application/json, image/jpeg or image/png: name one in Accept",
            )
        })
}

/// The client's preference for a format: its quality, how precisely it is named, how early.
fn rank(
    format: ResponseFormat,
    ranges: &[MediaRange<'_>],
) -> Option<(u32, u32, std::cmp::Reverse<usize>)> {
    let fitting = ranges
        .iter()
        .filter_map(|range| Some((range.precision(format)?, range)));
    let (precision, range) =
        fitting.max_by_key(|(precision, range)| (*precision, std::cmp::Reverse(range.position)))?;
    let position = std::cmp::Reverse(range.position);
    (range.quality > 0).then_some((range.quality, precision, position))
}

impl<'a> MediaRange<'a> {
    /// `None` for what is not a media range; it is ignored.
    fn parse(word: &'a str, position: usize) -> Option<Self> {
        let mut parts = word.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality: f32 = match quality {
            Some(text) => text.trim().parse().ok()?,
            None => 1.0,
        };
        (0.0..=1.0).contains(&quality).then_some(Self {
            kind,
            subtype,
            quality: (quality * 1000.0).round() as u32,
            position,
        })
    }

    /// 2 for the exact type, 1 for `image/*`, 0 for `*/*`.
    fn precision(&self, format: ResponseFormat) -> Option<u32> {
        let (kind, subtype) = format.media_type().split_once('/')?;
        let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (range, "*") if is(range, kind) => Some(1),
            (range, sub) if is(range, kind) && is(sub, subtype) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_chosen() {
        let cases = [
            ("", Some(ResponseFormat::Json)),
            ("*/*", Some(ResponseFormat::Json)),
            ("image/jpeg", Some(ResponseFormat::Jpeg)),
            ("IMAGE/PNG", Some(ResponseFormat::Png)),
            ("image/*", Some(ResponseFormat::Jpeg)),
            ("image/jpeg, */*", Some(ResponseFormat::Jpeg)),
            ("image/png, image/jpeg", Some(ResponseFormat::Png)),
            (
                "image/png;q=0.5, image/jpeg;q=0.9",
                Some(ResponseFormat::Jpeg),
            ),
            ("image/png;q=0, image/*", Some(ResponseFormat::Jpeg)),
            (
                "application/json;q=0.1, image/png;q=0.2",
                Some(ResponseFormat::Png),
            ),
            (
                "text/html, application/xhtml+xml, */*;q=0.8",
                Some(ResponseFormat::Json),
            ),
            ("*/*;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("image/png;q=x", None),
            ("image/png;q=7", None),
        ];
        for (accept, format) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(negotiate(&headers).ok(), format, "{accept}");
        }
        assert_eq!(
            negotiate(&HeaderMap::new()).ok(),
            Some(ResponseFormat::Json)
        );
    }
}
