//! Rows of colour components in, a row of RGB out (JFIF 1.02; Adobe technical note 5116).

use super::error::unsupported;
use super::header::{Frame, Tables};
use crate::DecodeError;

/// What the components mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Grey,
    Rgb,
    YCbCr,
    /// Inks as Adobe writes them: 255 is none.
    Cmyk,
    /// Cyan, magenta and yellow as luma and chroma, black as it is.
    Ycck,
}

impl Space {
    pub(super) fn of(frame: &Frame, tables: &Tables) -> Result<Self, DecodeError> {
        let ids: Vec<u8> = frame
            .components
            .iter()
            .map(|component| component.id)
            .collect();
        Ok(match (ids.as_slice(), tables.adobe) {
            ([_], _) => Self::Grey,
            ([_, _, _], _) if tables.jfif => Self::YCbCr,
            ([_, _, _], Some(0)) => Self::Rgb,
            (b"RGB", None) => Self::Rgb,
            ([_, _, _], _) => Self::YCbCr,
            ([_, _, _, _], None | Some(0)) => Self::Cmyk,
            ([_, _, _, _], _) => Self::Ycck,
            _ => return Err(unsupported("its number of colours")),
        })
    }

    /// Fills `out` from one row of each component; what the rows then hold means nothing.
    pub(super) fn convert(self, rows: &mut [Vec<u8>], out: &mut [u8]) {
        match rows {
            [grey] => out
                .chunks_exact_mut(3)
                .zip(grey)
                .for_each(|(rgb, grey)| rgb.fill(*grey)),
            [a, b, c, rest @ ..] => {
                match self {
                    Self::YCbCr => rgb_from_rows(a, b, c),
                    Self::Ycck => {
                        rgb_from_rows(a, b, c);
                        let values = a.iter_mut().chain(b.iter_mut()).chain(c.iter_mut());
                        values.for_each(|value| *value = 255 - *value);
                    }
                    Self::Cmyk | Self::Grey | Self::Rgb => {}
                }
                if let [black] = rest {
                    for inks in [&mut *a, b, c] {
                        for (ink, &black) in inks.iter_mut().zip(&*black) {
                            *ink = under_black(*ink, black);
                        }
                    }
                }
                interleave(a, b, c, out);
            }
            _ => {}
        }
    }
}

/// In place, luma and chroma become red, green and blue.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn rgb_from_rows(y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
        [*y, *cb, *cr] = rgb_from_ycc([*y, *cb, *cr]);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn interleave(red: &[u8], green: &[u8], blue: &[u8], out: &mut [u8]) {
    for (((out, red), green), blue) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
        out[0] = *red;
        out[1] = *green;
        out[2] = *blue;
    }
}

/// 16 fractional bits, each product rounded on its own but for those of green.
///
/// The factors of red (1.402), green's (0.714) and blue's (1.772) leave out whole parts, which are
/// added as they are: what remains fits lanes of 16 bits.
#[inline(always)]
fn rgb_from_ycc([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i16::from(y), i16::from(cb) - 128, i16::from(cr) - 128);
    let rounded = |value: i16, factor: i16| (high(2 * value, factor) + 1) >> 1;
    let red = y + cr + rounded(cr, 26_345);
    let of_green = i32::from(cb) * -22_554 + i32::from(cr) * 18_734;
    let green = y - cr + ((of_green + (1 << 15)) >> 16) as i16;
    let blue = y + 2 * cb + rounded(cb, -14_942);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

/// The high half of a product.
#[inline(always)]
fn high(value: i16, factor: i16) -> i16 {
    ((i32::from(value) * i32::from(factor)) >> 16) as i16
}

/// A colour behind black ink, both with 255 for none, as OpenCV multiplies them.
#[inline]
fn under_black(ink: u8, black: u8) -> u8 {
    let (ink, black) = (u16::from(ink), u16::from(black));
    (black - (((255 - ink) * black) >> 8)) as u8
}
