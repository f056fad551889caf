//! The input of a batch as one blob: a header per image, tables for scaling, then the pixels as
//! they came.
//!
//! Comes in: RGB (or BGR) images, where each lands in the network's input, and the taps of its
//! scaling. Goes out: bytes that the stem and the suppression read. Never scales anything itself.

use onelook_graph::PlacedImage;
use onelook_types::{AxisTap, FrameView, PixelFormat};

/// Bytes of an image's header; the headers of a batch lie side by side at the blob's start.
pub const HEADER_BYTES: u32 = 64;

/// Where four words begin in a header: bytes from the blob's start to the pixels, bytes of a row of
/// pixels, bytes from the blob's start to the columns' taps and to the rows' taps.
pub const HEADER_SOURCE: u32 = 0;

/// Where four words begin: columns left of the scaled image, rows above it, its width and height.
pub const HEADER_PLACE: u32 = 16;

/// Where width and height of the scaled image begin.
const HEADER_EXTENT: u32 = HEADER_PLACE + 8;

/// Where four floats begin: columns left of the scaled image, rows above it, pixels of the scaled
/// image per pixel of the original along x and y.
pub const HEADER_BACK: u32 = 32;

/// Where two floats (width and height of the original) and two words (grey of the padding; 1 for
/// BGR) begin.
pub const HEADER_SIZE: u32 = 48;

/// Bytes of a tap: the first source pixel with, as its highest bit, whether the second is the next
/// one; then both weights, 16 bits each. In columns the next one has no weight where it is not
/// meant.
pub const TAP_BYTES: u32 = 8;

/// Pixels of an image begin at multiples of it.
const PIXELS_ALIGNMENT: usize = 16;

/// Bytes behind the last pixel that may be read, too.
const SLACK: usize = 16;

/// Why images do not become a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The placement is of an image of another size.
    #[error("image {image} of the batch is placed as one of another size")]
    Size {
        /// Its number.
        image: usize,
    },
    /// The taps do not fit the placement.
    #[error("image {image} of the batch has taps that do not fit where it is placed")]
    Taps {
        /// Its number.
        image: usize,
    },
    /// More than 32 bits can address.
    #[error("the images of a batch come to {bytes} bytes: send fewer at a time, or smaller ones")]
    TooLarge {
        /// Bytes of the blob.
        bytes: usize,
    },
}

/// The blob of these images.
///
/// # Errors
/// An image is not what it says, or they are too large together.
pub fn pack(images: &[PlacedImage<'_>]) -> Result<Vec<u8>, PackError> {
    let mut blob = vec![0; packed_bytes(images, images.len())?];
    pack_into(&mut blob, images, images.len());
    Ok(blob)
}

/// Bytes of the blob of these images for a plan of `batch` images, at least as many.
///
/// # Errors
/// An image is not what it says, or they are too large together.
pub fn packed_bytes(images: &[PlacedImage<'_>], batch: usize) -> Result<usize, PackError> {
    for (index, image) in images.iter().enumerate() {
        check(index, image)?;
    }
    let headers = HEADER_BYTES as usize * batch.max(images.len());
    let bytes = images.iter().fold(headers, |bytes, image| {
        let taps = image.columns.len() + image.rows.len();
        let tables = bytes.next_multiple_of(TAP_BYTES as usize) + taps * TAP_BYTES as usize;
        tables.next_multiple_of(PIXELS_ALIGNMENT) + rgb_bytes(image)
    });
    let bytes = bytes + SLACK;
    match bytes > 1 << 31 {
        true => Err(PackError::TooLarge { bytes }),
        false => Ok(bytes),
    }
}

/// Writes the blob of these images for a plan of `batch` images, at least as many. What is missing
/// gets a header like the first image's with nothing of it in sight: kernels read only grey.
///
/// # Panics
/// When the memory has other than [`packed_bytes`] bytes.
pub fn pack_into(blob: &mut [u8], images: &[PlacedImage<'_>], batch: usize) {
    let mut blob = Blob {
        bytes: blob,
        end: HEADER_BYTES as usize * batch.max(images.len()),
    };
    for (index, image) in images.iter().enumerate() {
        let columns = blob.push_taps(image.columns.iter().map(settled));
        let rows = blob.push_taps(image.rows.iter().copied());
        let pixels = blob.align(PIXELS_ALIGNMENT);
        blob.push_pixels(&image.frame);
        let header = header(image, [pixels, columns, rows]);
        blob.bytes[index * HEADER_BYTES as usize..][..header.len()].copy_from_slice(&header);
    }
    blob.push(&[0; SLACK]);
    let (first, others) = blob.bytes.split_at_mut(HEADER_BYTES as usize);
    for missing in images.len()..batch {
        let header = &mut others[(missing - 1) * HEADER_BYTES as usize..][..first.len()];
        header.copy_from_slice(first);
        header[HEADER_EXTENT as usize..][..8].fill(0);
    }
    assert_eq!(blob.end, blob.bytes.len(), "the blob of these images");
}

/// What is written up to `end`.
struct Blob<'a> {
    bytes: &'a mut [u8],
    end: usize,
}

impl Blob<'_> {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.end..][..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Rows without padding, converted where the kernels do not know the format.
    fn push_pixels(&mut self, frame: &FrameView<'_>) {
        let mut converted = Vec::new();
        for y in 0..frame.height() {
            match frame.format() {
                PixelFormat::Rgb | PixelFormat::Bgr => self.push(frame.row(y)),
                PixelFormat::Grey | PixelFormat::Nv12 => {
                    self.push(frame.rgb_row(y, &mut converted));
                }
            }
        }
    }

    /// Goes on to a multiple of `alignment`; gives it.
    fn align(&mut self, alignment: usize) -> u32 {
        let gap = self.end.next_multiple_of(alignment) - self.end;
        self.bytes[self.end..][..gap].fill(0);
        self.end += gap;
        self.end as u32
    }

    /// Gives where they begin.
    fn push_taps(&mut self, taps: impl Iterator<Item = AxisTap>) -> u32 {
        let start = self.align(TAP_BYTES as usize);
        for tap in taps {
            let step = u32::from(tap.second != tap.first);
            let [first, second] = tap.weights.map(u32::from);
            for word in [tap.first as u32 | step << 31, first | second << 16] {
                self.push(&word.to_le_bytes());
            }
        }
        start
    }
}

/// Bytes of the image's pixels as the kernels take them.
fn rgb_bytes(image: &PlacedImage<'_>) -> usize {
    image.placement.source_width * image.placement.source_height * 3
}

fn check(index: usize, image: &PlacedImage<'_>) -> Result<(), PackError> {
    let place = &image.placement;
    let frame = &image.frame;
    if [place.source_width, place.source_height] != [frame.width(), frame.height()] {
        return Err(PackError::Size { image: index });
    }
    let inside = |taps: &[AxisTap], source: usize, target: usize| {
        let fits = |tap: &AxisTap| {
            tap.second < source && (tap.first == tap.second || tap.first + 1 == tap.second)
        };
        taps.len() == target && taps.iter().all(fits)
    };
    let fits = inside(image.columns, place.source_width, place.scaled_width)
        && inside(image.rows, place.source_height, place.scaled_height)
        && place.left.saturating_add(place.scaled_width) <= place.width
        && place.top.saturating_add(place.scaled_height) <= place.height;
    fits.then_some(()).ok_or(PackError::Taps { image: index })
}

/// A column's tap such that what lies behind the only pixel has no weight.
fn settled(tap: &AxisTap) -> AxisTap {
    match tap.first == tap.second {
        true => AxisTap {
            weights: [2048, 0],
            ..*tap
        },
        false => *tap,
    }
}

fn header(image: &PlacedImage<'_>, [pixels, columns, rows]: [u32; 3]) -> Vec<u8> {
    let place = &image.placement;
    let gain = |scaled: usize, source: usize| (scaled as f32 / source as f32).to_bits();
    let words = [
        pixels,
        (place.source_width * 3) as u32,
        columns,
        rows,
        place.left as u32,
        place.top as u32,
        place.scaled_width as u32,
        place.scaled_height as u32,
        (place.left as f32).to_bits(),
        (place.top as f32).to_bits(),
        gain(place.scaled_width, place.source_width),
        gain(place.scaled_height, place.source_height),
        (place.source_width as f32).to_bits(),
        (place.source_height as f32).to_bits(),
        u32::from(image.padding),
        u32::from(image.frame.format() == PixelFormat::Bgr),
    ];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use onelook_types::{LetterboxPlacement, Thresholds};

    /// A placement without padding and its taps, each pixel its own.
    pub(crate) fn unscaled(width: usize, height: usize) -> (LetterboxPlacement, [Vec<AxisTap>; 2]) {
        let placement = LetterboxPlacement {
            width,
            height,
            scaled_width: width,
            scaled_height: height,
            left: 0,
            top: 0,
            source_width: width,
            source_height: height,
        };
        let taps = [width, height].map(|side| {
            let tap = |first: usize| AxisTap {
                first,
                second: (first + 1).min(side - 1),
                weights: [2048, 0],
            };
            (0..side).map(tap).collect()
        });
        (placement, taps)
    }

    fn word(blob: &[u8], at: u32) -> u32 {
        let bytes = blob[at as usize..][..4].try_into();
        u32::from_le_bytes(bytes.unwrap())
    }

    #[test]
    fn headers_say_where_pixels_and_taps_are() {
        let (placement, [columns, rows]) = unscaled(3, 2);
        let pixels: Vec<u8> = (1..=18).collect();
        let thresholds = Thresholds::default();
        let image = PlacedImage {
            frame: FrameView::new(&pixels, 3, 2, 9, PixelFormat::Bgr).unwrap(),
            thresholds: &thresholds,
            placement,
            padding: 114,
            columns: &columns,
            rows: &rows,
        };
        let blob = pack(&[image, image]).unwrap();
        assert_eq!(Ok(blob.len()), packed_bytes(&[image, image], 2));
        let mut dirty = vec![0xff; blob.len()];
        pack_into(&mut dirty, &[image, image], 2);
        assert_eq!(dirty, blob);
        for header in [0, HEADER_BYTES] {
            let source = |at: u32| word(&blob, header + HEADER_SOURCE + 4 * at);
            let [first, row_bytes, columns, rows] = [0, 1, 2, 3].map(source);
            assert!(blob[first as usize..].starts_with(&pixels));
            assert!(first.is_multiple_of(16));
            assert_eq!(row_bytes, 9);
            assert_eq!(word(&blob, columns + TAP_BYTES), 1 | 1 << 31);
            assert_eq!(word(&blob, rows + TAP_BYTES), 1);
            assert_eq!(word(&blob, rows + TAP_BYTES + 4), 2048);
            assert_eq!(word(&blob, header + HEADER_SIZE + 8), 114);
            assert_eq!(word(&blob, header + HEADER_SIZE + 12), 1);
        }
    }

    #[test]
    fn images_that_a_batch_lacks_have_nothing_in_sight() {
        let (placement, [columns, rows]) = unscaled(3, 2);
        let pixels: Vec<u8> = (1..=18).collect();
        let thresholds = Thresholds::default();
        let image = PlacedImage {
            frame: FrameView::new(&pixels, 3, 2, 9, PixelFormat::Rgb).unwrap(),
            thresholds: &thresholds,
            placement,
            padding: 114,
            columns: &columns,
            rows: &rows,
        };
        let mut blob = vec![0xff; packed_bytes(&[image], 3).unwrap()];
        pack_into(&mut blob, &[image], 3);
        let extent = |header: u32| [8, 12].map(|at| word(&blob, header + HEADER_PLACE + at));
        assert_eq!(
            [0, 1, 2].map(|it| extent(it * HEADER_BYTES)),
            [[3, 2], [0, 0], [0, 0]]
        );
        for at in (0..16).step_by(4) {
            let source = |header: u32| word(&blob, header + HEADER_SOURCE + at);
            assert_eq!(source(2 * HEADER_BYTES), source(0));
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let (placement, [columns, rows]) = unscaled(3, 2);
        let thresholds = Thresholds::default();
        let narrow = FrameView::new(&[0; 18], 2, 2, 6, PixelFormat::Rgb).unwrap();
        let image = PlacedImage {
            frame: narrow,
            thresholds: &thresholds,
            placement,
            padding: 114,
            columns: &columns,
            rows: &rows,
        };
        assert_eq!(pack(&[image]), Err(PackError::Size { image: 0 }));
        let image = PlacedImage {
            frame: FrameView::new(&[0; 18], 3, 2, 9, PixelFormat::Rgb).unwrap(),
            rows: &columns,
            ..image
        };
        let error = pack(&[image]).unwrap_err();
        assert_eq!(error, PackError::Taps { image: 0 });
    }
}
