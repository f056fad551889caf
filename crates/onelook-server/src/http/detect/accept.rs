//! Which form an answer takes: the header `Accept` in, one of three forms out (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

use crate::problem::{Kind, Problem};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Boxes as JSON.
    Json,
    /// The picture with boxes drawn on it, as JPEG.
    Jpeg,
    /// The picture with boxes drawn on it, as PNG.
    Png,
}

impl Form {
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
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths, so that equal ones are equal.
    quality: u32,
    position: usize,
}

/// The form that the client likes best; JSON where it says nothing.
pub fn negotiate(headers: &HeaderMap) -> Result<Form, Problem> {
    let values = headers.get_all(header::ACCEPT).iter();
    let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let text = text.join(",");
    if text.trim().is_empty() {
        return Ok(Form::Json);
    }
    let words = text.split(',').enumerate();
    let ranges: Vec<Range<'_>> = words
        .filter_map(|(position, word)| Range::parse(word, position))
        .collect();
    let offers = [Form::Json, Form::Jpeg, Form::Png].into_iter().rev();
    let liked = offers.filter_map(|form| Some((rank(form, &ranges)?, form)));
    liked
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, form)| form)
        .ok_or_else(|| {
            Problem::new(
                Kind::NotAcceptable,
                "an answer can be application/json, image/jpeg or image/png: name one in Accept",
            )
        })
}

/// How much the client likes a form: quality, how precisely it was named, how early.
fn rank(form: Form, ranges: &[Range<'_>]) -> Option<(u32, u32, std::cmp::Reverse<usize>)> {
    let fitting = ranges
        .iter()
        .filter_map(|range| Some((range.precision(form)?, range)));
    let (precision, range) =
        fitting.max_by_key(|(precision, range)| (*precision, std::cmp::Reverse(range.position)))?;
    let position = std::cmp::Reverse(range.position);
    (range.quality > 0).then_some((range.quality, precision, position))
}

impl<'a> Range<'a> {
    /// `None` for what is no media range; such words are as if they were not there.
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

    /// 2 for the very type, 1 for `image/*`, 0 for `*/*`.
    fn precision(&self, form: Form) -> Option<u32> {
        let (kind, subtype) = form.media_type().split_once('/')?;
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
    fn the_form_that_is_liked_best_is_taken() {
        let cases = [
            ("", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("image/jpeg", Some(Form::Jpeg)),
            ("IMAGE/PNG", Some(Form::Png)),
            ("image/*", Some(Form::Jpeg)),
            ("image/jpeg, */*", Some(Form::Jpeg)),
            ("image/png, image/jpeg", Some(Form::Png)),
            ("image/png;q=0.5, image/jpeg;q=0.9", Some(Form::Jpeg)),
            ("image/png;q=0, image/*", Some(Form::Jpeg)),
            ("application/json;q=0.1, image/png;q=0.2", Some(Form::Png)),
            (
                "text/html, application/xhtml+xml, */*;q=0.8",
                Some(Form::Json),
            ),
            ("*/*;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("image/png;q=x", None),
            ("image/png;q=7", None),
        ];
        for (accept, form) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(negotiate(&headers).ok(), form, "{accept}");
        }
        assert_eq!(negotiate(&HeaderMap::new()).ok(), Some(Form::Json));
    }
}
