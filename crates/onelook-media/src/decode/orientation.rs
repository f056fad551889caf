//! EXIF block in, orientation out; pixels in, upright pixels out.
//!
//! Format: CIPA DC-008 (Exif 2.32), section 4.6.4, tag 0x0112. A broken block means "as it lies":
//! metadata never makes an image unreadable.

/// One of the eight ways an image may lie in its file, numbered as in EXIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(u8);

const ORIENTATION_TAG: u16 = 0x0112;
const TYPE_SHORT: u16 = 3;

impl Orientation {
    /// As it lies in the file.
    pub(super) const UPRIGHT: Self = Self(1);

    /// By EXIF number; anything but 2 to 8 means upright.
    pub(super) fn from_number(number: u16) -> Self {
        match number {
            2..=8 => Self(number as u8),
            _ => Self::UPRIGHT,
        }
    }

    /// From an EXIF block, with or without its `Exif\0\0` prefix.
    pub(super) fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        find_short(tiff, ORIENTATION_TAG)
            .map_or(Self::UPRIGHT, |(_, number)| Self::from_number(number))
    }

    /// Turns RGB pixels upright; gives width, height and pixels.
    pub(super) fn upright(
        self,
        width: usize,
        height: usize,
        rgb: Vec<u8>,
    ) -> (usize, usize, Vec<u8>) {
        if self == Self::UPRIGHT || rgb.len() != width * height * 3 {
            return (width, height, rgb);
        }
        let swapped = self.0 >= 5;
        let (out_width, out_height) = if swapped {
            (height, width)
        } else {
            (width, height)
        };
        let mut out = Vec::with_capacity(rgb.len());
        for y in 0..out_height {
            for x in 0..out_width {
                let (from_x, from_y) = self.origin(x, y, width, height);
                let at = (from_y * width + from_x) * 3;
                out.extend_from_slice(&rgb[at..at + 3]);
            }
        }
        (out_width, out_height, out)
    }

    /// Where the upright pixel `(x, y)` lies in a file of `width` times `height` pixels.
    fn origin(self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        match self.0 {
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            8 => (width - 1 - y, x),
            _ => (x, y),
        }
    }
}

/// Where in a TIFF structure the 16-bit value of `tag` in the first directory lies, and the value.
pub(super) fn find_short(tiff: &[u8], tag: u16) -> Option<(usize, u16)> {
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let first = tiff.get(4..8)?.try_into().ok()?;
    let first = if big_endian {
        u32::from_be_bytes(first)
    } else {
        u32::from_le_bytes(first)
    };
    let directory = usize::try_from(first).ok()?;
    let entries = usize::from(short(directory)?);
    (0..entries)
        .map_while(|entry| directory.checked_add(2 + entry * 12))
        .take_while(|&entry| entry.checked_add(12).is_some_and(|end| end <= tiff.len()))
        .find(|&entry| short(entry) == Some(tag) && short(entry + 2) == Some(TYPE_SHORT))
        .and_then(|entry| Some((entry + 8, short(entry + 8)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(big_endian: bool, number: u8) -> Vec<u8> {
        let mut block = b"Exif\0\0".to_vec();
        block.extend(if big_endian {
            *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0"
        } else {
            *b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0"
        });
        let value = if big_endian { 6 + 19 } else { 6 + 18 };
        block[value] = number;
        block
    }

    #[test]
    fn both_byte_orders_are_read() {
        for big_endian in [false, true] {
            for number in 1..=8 {
                let block = exif(big_endian, number);
                assert_eq!(Orientation::from_exif(&block), Orientation(number));
                assert_eq!(Orientation::from_exif(&block[6..]), Orientation(number));
            }
        }
    }

    #[test]
    fn a_broken_block_means_as_it_lies() {
        let whole = exif(false, 6);
        for length in 0..whole.len() - 4 {
            assert_eq!(
                Orientation::from_exif(&whole[..length]),
                Orientation::UPRIGHT
            );
        }
        assert_eq!(Orientation::from_exif(&exif(true, 9)), Orientation::UPRIGHT);
        assert_eq!(
            Orientation::from_exif(b"MM\0*\xff\xff\xff\xff"),
            Orientation::UPRIGHT
        );
    }

    #[test]
    fn each_orientation_turns_upright() {
        // A row of two pixels, as the numbers of the EXIF standard define them.
        let row = vec![1, 1, 1, 2, 2, 2];
        let cases: [(u16, usize, [u8; 2]); 8] = [
            (1, 2, [1, 2]),
            (2, 2, [2, 1]),
            (3, 2, [2, 1]),
            (4, 2, [1, 2]),
            (5, 1, [1, 2]),
            (6, 1, [1, 2]),
            (7, 1, [2, 1]),
            (8, 1, [2, 1]),
        ];
        for (number, width, expected) in cases {
            let (w, h, rgb) = Orientation::from_number(number).upright(2, 1, row.clone());
            assert_eq!((w, h), (width, 2 / width), "orientation {number}");
            assert_eq!([rgb[0], rgb[3]], expected, "orientation {number}");
        }
    }
}
