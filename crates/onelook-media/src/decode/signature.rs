//! First bytes in, picture format out; what is known but not readable is named.

use super::{DecodeError, PictureFormat};

/// Bytes at the start of a file, and what they tell.
const SIGNATURES: [(&[u8], PictureFormat); 8] = [
    (b"\xff\xd8\xff", PictureFormat::Jpeg),
    (b"\x89PNG\r\n\x1a\n", PictureFormat::Png),
    (b"BM", PictureFormat::Bmp),
    (b"II*\0", PictureFormat::Tiff),
    (b"MM\0*", PictureFormat::Tiff),
    (b"II+\0", PictureFormat::Tiff),
    (b"MM\0+", PictureFormat::Tiff),
    (b"GIF8", PictureFormat::Gif),
];

/// Offset, bytes at it, and what such a file is.
const FOREIGN: [(usize, &[u8], &str); 15] = [
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypheix", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypavis", "an AVIF picture"),
    (
        4,
        b"ftyp",
        "a video (MP4 family), which this version does not read yet",
    ),
    (
        0,
        b"\x1a\x45\xdf\xa3",
        "a video (Matroska or WebM), which this version does not read yet",
    ),
    (
        8,
        b"AVI ",
        "a video (AVI), which this version does not read yet",
    ),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"%PDF", "a PDF document"),
    (
        0,
        b"PK\x03\x04",
        "a ZIP archive (or a model file), not a picture",
    ),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<", "text (HTML or XML), not a picture"),
];

/// The format that the first bytes tell.
pub(super) fn recognise(bytes: &[u8]) -> Result<PictureFormat, DecodeError> {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(PictureFormat::WebP);
    }
    let known = SIGNATURES
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature));
    if let Some((_, format)) = known {
        return Ok(*format);
    }
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        let what = "this is a Git LFS pointer, text in place of the image; run `git lfs pull` in its \
                    repository, and if the image is of another kind then";
        return Err(DecodeError::UnknownFormat {
            what: what.to_owned(),
        });
    }
    let foreign = FOREIGN.iter().find(|(offset, signature, _)| {
        bytes
            .get(*offset..)
            .is_some_and(|rest| rest.starts_with(signature))
    });
    let what = match foreign {
        Some((_, _, what)) => format!("this is {what}"),
        None => {
            let head = &bytes[..bytes.len().min(8)];
            format!("this is no picture of a known format (it begins with {head:02x?})")
        }
    };
    Err(DecodeError::UnknownFormat { what })
}
