//! First bytes in, image format out; what is known but not readable is named.

use crate::{DecodeError, ImageFormat};

/// Bytes at the start of a file, and what they tell.
const SIGNATURES: [(&[u8], ImageFormat); 8] = [
    (b"\xff\xd8\xff", ImageFormat::Jpeg),
    (b"\x89PNG\r\n\x1a\n", ImageFormat::Png),
    (b"BM", ImageFormat::Bmp),
    (b"II*\0", ImageFormat::Tiff),
    (b"MM\0*", ImageFormat::Tiff),
    (b"II+\0", ImageFormat::Tiff),
    (b"MM\0+", ImageFormat::Tiff),
    (b"GIF8", ImageFormat::Gif),
];

/// Offset, bytes at it, and what such a file is.
const FOREIGN: [(usize, &[u8], &str); 15] = [
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypheix", "a HEIC image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftypavis", "an AVIF image"),
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
    (0, b"\xff\x0a", "a JPEG XL image"),
    (4, b"JXL ", "a JPEG XL image"),
    (4, b"jP  ", "a JPEG 2000 image"),
    (0, b"%PDF", "a PDF document"),
    (
        0,
        b"PK\x03\x04",
        "a ZIP archive (or a model file), not an image",
    ),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<", "text (HTML or XML), not an image"),
];

/// The format that the first bytes tell.
pub(super) fn recognise(bytes: &[u8]) -> Result<ImageFormat, DecodeError> {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(ImageFormat::WebP);
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
            format!("this is not an image of a known format (it begins with {head:02x?})")
        }
    };
    Err(DecodeError::UnknownFormat { what })
}
