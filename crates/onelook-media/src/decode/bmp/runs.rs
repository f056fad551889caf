//! Run-length coded indices in, one index per pixel out, in the file's order of rows.

use crate::{DecodeError, ImageFormat};

const END_OF_LINE: u8 = 0;
const END_OF_IMAGE: u8 = 1;
const MOVE: u8 = 2;

/// Expands runs of 4- or 8-bit indices; also tells whether they end as they should. What no run
/// covers is index 0; what lies outside is lost.
pub(super) fn expand(
    data: &[u8],
    depth: u16,
    width: usize,
    height: usize,
) -> Result<(Vec<u8>, bool), DecodeError> {
    let mut canvas = Canvas {
        indices: vec![0; width * height],
        width,
        height,
        x: 0,
        y: 0,
    };
    let mut rest = data;
    while canvas.y < height {
        let [count, value, tail @ ..] = rest else {
            // Some writers leave out the end after the last row.
            return match canvas.is_full() {
                true => Ok((canvas.indices, false)),
                false => Err(cut_short()),
            };
        };
        rest = tail;
        match (*count, *value) {
            (0, END_OF_LINE) => (canvas.x, canvas.y) = (0, canvas.y + 1),
            (0, END_OF_IMAGE) => break,
            (0, MOVE) => {
                let [right, up, tail @ ..] = rest else {
                    return Err(cut_short());
                };
                rest = tail;
                canvas.x += usize::from(*right);
                canvas.y += usize::from(*up);
            }
            (0, literals) => {
                let literals = usize::from(literals);
                let bytes = (literals * usize::from(depth)).div_ceil(8);
                let packed = rest.get(..bytes).ok_or_else(cut_short)?;
                (0..literals).for_each(|at| canvas.put(literal(packed, depth, at)));
                rest = rest.get(bytes.next_multiple_of(2)..).unwrap_or_default();
            }
            (count, value) => {
                (0..usize::from(count)).for_each(|at| canvas.put(literal(&[value], depth, at)));
            }
        }
    }
    Ok((canvas.indices, true))
}

/// The index at position `at`; a single byte of two indices alternates.
fn literal(packed: &[u8], depth: u16, at: usize) -> u8 {
    if depth == 8 {
        return packed[at % packed.len()];
    }
    let byte = packed[(at / 2) % packed.len()];
    if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    }
}

struct Canvas {
    indices: Vec<u8>,
    width: usize,
    height: usize,
    x: usize,
    y: usize,
}

impl Canvas {
    fn is_full(&self) -> bool {
        self.y + 1 == self.height && self.x >= self.width
    }

    fn put(&mut self, index: u8) {
        if self.x < self.width && self.y < self.height {
            self.indices[self.y * self.width + self.x] = index;
        }
        self.x += 1;
    }
}

fn cut_short() -> DecodeError {
    DecodeError::corrupt(ImageFormat::Bmp, "it ends within its runs")
}
