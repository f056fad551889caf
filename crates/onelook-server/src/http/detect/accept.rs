//! Content negotiation: the header `Accept` in, the formats of the response out (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

use crate::http::quality::quality;
use crate::problem::{Problem, ProblemKind};

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// Boxes as JSON.
    Json,
    /// The one image with boxes drawn on it.
    Image(ImageFormat),
    /// All images with boxes drawn on them, and the boxes as JSON.
    Archive(ArchiveFormat, ImageFormat),
}

/// The format of images with boxes drawn on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

/// The format of several files in one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A ZIP file, for people.
    Zip,
    /// A form, for programs: browsers and HTTP libraries take it apart.
    Form,
}

impl ImageFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The extension of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

impl ResponseFormat {
    const IMAGES: [Self; 2] = [
        Self::Image(ImageFormat::Jpeg),
        Self::Image(ImageFormat::Png),
    ];

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Image(format) => format.media_type(),
            Self::Archive(ArchiveFormat::Zip, _) => "application/zip",
            Self::Archive(ArchiveFormat::Form, _) => "multipart/form-data",
        }
    }
}

/// A media range of the header.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u32,
    position: usize,
}

/// What the client accepts, what it prefers first; never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted(Vec<ResponseFormat>);

impl Accepted {
    /// The first format that so many images fit into.
    pub fn for_images(&self, count: usize) -> Result<ResponseFormat, Problem> {
        let fits =
            |format: &&ResponseFormat| count == 1 || !matches!(format, ResponseFormat::Image(_));
        self.0.iter().find(fits).copied().ok_or_else(|| {
            Problem::new(
                ProblemKind::NotAcceptable,
                "only a request with exactly one image can be answered with an image: send one, or accept \
                 application/zip, multipart/form-data or application/json",
            )
        })
    }
}

/// The formats that the client accepts; JSON if it does not say.
pub fn negotiate(headers: &HeaderMap) -> Result<Accepted, Problem> {
    let values = headers.get_all(header::ACCEPT).iter();
    let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let text = text.join(",");
    if text.trim().is_empty() {
        return Ok(Accepted(vec![ResponseFormat::Json]));
    }
    let words = text.split(',').enumerate();
    let ranges: Vec<MediaRange<'_>> = words
        .filter_map(|(position, word)| MediaRange::parse(word, position))
        .collect();
    // An archive's images are PNG if the header prefers them.
    let [jpeg, png] = ResponseFormat::IMAGES.map(|format| rank(format, &ranges));
    let inside = match png > jpeg {
        true => ImageFormat::Png,
        false => ImageFormat::Jpeg,
    };
    let [jpeg, png] = ResponseFormat::IMAGES;
    let zip = ResponseFormat::Archive(ArchiveFormat::Zip, inside);
    let form = ResponseFormat::Archive(ArchiveFormat::Form, inside);
    let offers = [ResponseFormat::Json, jpeg, png, zip, form].into_iter();
    let ranked = offers.filter_map(|format| Some((rank(format, &ranges)?, format)));
    let mut ranked: Vec<_> = ranked.collect();
    // Of equal ones the first stays the first.
    ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    if ranked.is_empty() {
        return Err(Problem::new(
            ProblemKind::NotAcceptable,
            "the response can be application/json, image/jpeg or image/png, or application/zip or \
             multipart/form-data with all images: name one in Accept",
        ));
    }
    Ok(Accepted(
        ranked.into_iter().map(|(_, format)| format).collect(),
    ))
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
        Some(Self {
            kind,
            subtype,
            quality: quality(parts)?,
            position,
        })
    }

    /// 2 for the exact type, 1 for the like of `image/*`, 0 for `*/*`.
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
        const JPEG: ResponseFormat = ResponseFormat::Image(ImageFormat::Jpeg);
        const PNG: ResponseFormat = ResponseFormat::Image(ImageFormat::Png);
        let zip = |format| Some(ResponseFormat::Archive(ArchiveFormat::Zip, format));
        let form = |format| Some(ResponseFormat::Archive(ArchiveFormat::Form, format));
        let cases = [
            ("", Some(ResponseFormat::Json)),
            ("*/*", Some(ResponseFormat::Json)),
            ("image/jpeg", Some(JPEG)),
            ("IMAGE/PNG", Some(PNG)),
            ("image/*", Some(JPEG)),
            ("image/jpeg, */*", Some(JPEG)),
            ("image/png, image/jpeg", Some(PNG)),
            ("image/png;q=0.5, image/jpeg;q=0.9", Some(JPEG)),
            ("image/png;q=0, image/*", Some(JPEG)),
            ("application/json;q=0.1, image/png;q=0.2", Some(PNG)),
            (
                "text/html, application/xhtml+xml, */*;q=0.8",
                Some(ResponseFormat::Json),
            ),
            ("application/zip", zip(ImageFormat::Jpeg)),
            ("application/zip, image/png;q=0.5", zip(ImageFormat::Png)),
            ("multipart/form-data, */*;q=0.1", form(ImageFormat::Jpeg)),
            ("multipart/*, image/png;q=0.1", form(ImageFormat::Png)),
            ("application/*", Some(ResponseFormat::Json)),
            ("*/*;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("image/png;q=x", None),
            ("image/png;q=7", None),
        ];
        for (accept, format) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let accepted = negotiate(&headers).and_then(|it| it.for_images(1));
            assert_eq!(accepted.ok(), format, "{accept}");
        }
        let accepted = negotiate(&HeaderMap::new());
        assert_eq!(accepted.ok(), Some(Accepted(vec![ResponseFormat::Json])));
    }

    #[test]
    fn of_what_is_accepted_the_first_that_fits_is_chosen() {
        let zip = |format| Some(ResponseFormat::Archive(ArchiveFormat::Zip, format));
        for (accept, format) in [
            ("image/png, application/zip", zip(ImageFormat::Png)),
            ("image/*, application/zip;q=0.1", zip(ImageFormat::Jpeg)),
            ("image/jpeg, */*;q=0.1", Some(ResponseFormat::Json)),
            ("image/jpeg, application/zip;q=0", None),
            ("image/png", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let accepted = negotiate(&headers).and_then(|it| it.for_images(2));
            assert_eq!(accepted.ok(), format, "{accept}");
        }
    }
}
