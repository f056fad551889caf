//! Windows that slide over a map: which input pixels an output pixel is made from. Convolutions and
//! pools have one, and so do their test cases.
//!
//! A convolution's kernel does not know how large its maps are: a launch tells it, so that one kernel
//! serves inputs of any shape.

use std::ops::Add;
use std::sync::Arc;

use onelook_ptx::lang::{Builder, Instruction, Meaning, U32};

/// A window and the output that it makes. All pairs are down, across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Taps.
    pub kernel: [u32; 2],
    /// Steps.
    pub stride: [u32; 2],
    /// Pixels above and left of the input that the first window takes in.
    pub padding: [u32; 2],
    /// Height and width of the output.
    pub output: [u32; 2],
}

impl Window {
    /// Taps in all.
    pub fn taps(&self) -> u32 {
        self.kernel[0] * self.kernel[1]
    }

    /// Output pixels of one image.
    pub fn pixels(&self) -> u32 {
        self.output[0] * self.output[1]
    }

    /// Whether each output pixel sees just the input pixel at its place.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Image, row and column of an output pixel, numbered through all images.
    pub fn locate(&self, pixel: u32) -> (u32, [u32; 2]) {
        let [height, width] = self.output;
        let line = pixel / width;
        (line / height, [line % height, pixel % width])
    }

    /// Row and column of the input that a tap of the output pixel at this row and column sees;
    /// above and left of the input they wrap around.
    pub fn seen(&self, at: [u32; 2], tap: u32) -> [u32; 2] {
        let tap = [tap / self.kernel[1], tap % self.kernel[1]];
        [0, 1]
            .map(|axis| (at[axis] * self.stride[axis] + tap[axis]).wrapping_sub(self.padding[axis]))
    }

    /// [`locate`](Self::locate) in a kernel.
    pub fn locate_in_kernel<'k>(&self, pixel: U32<'k>) -> (U32<'k>, [U32<'k>; 2]) {
        let [height, width] = self.output;
        let (line, x) = (pixel / width, pixel % width);
        (line / height, [line % height, x])
    }

    /// [`seen`](Self::seen) in a kernel, with the tap's row and column.
    pub fn seen_in_kernel<'k, T>(&self, at: [U32<'k>; 2], tap: [T; 2]) -> [U32<'k>; 2]
    where
        U32<'k>: Add<T, Output = U32<'k>>,
        T: Copy,
    {
        [0, 1].map(|axis| at[axis] * self.stride[axis] + tap[axis] - self.padding[axis])
    }
}

/// Words of a launch that tell a kernel the extents of its maps.
pub const EXTENT_WORDS: usize = 8;

/// Those words: of the output's height and width each the number and what divides by it; then height
/// and width of the input as seen.
pub fn extent_words(output: [u32; 2], input: [u32; 2]) -> [u32; EXTENT_WORDS] {
    let [height, width] = output.map(divisor_words);
    let [[a, b, c], [d, e, f]] = [height, width];
    [a, b, c, d, e, f, input[0], input[1]]
}

/// A number, its reciprocal and a shift, with which [`Divisor`] divides (Granlund and Montgomery, PLDI
/// 1994).
fn divisor_words(by: u32) -> [u32; 3] {
    let shift = 32 - by.saturating_sub(1).leading_zeros();
    let reciprocal = (1_u64 << (31 + shift)).div_ceil(u64::from(by.max(1)));
    [by, reciprocal as u32, shift]
}

/// A number that is known at the launch, to divide by.
#[derive(Clone, Copy)]
struct Divisor<'k> {
    k: &'k Builder,
    words: [U32<'k>; 3],
}

impl<'k> Divisor<'k> {
    fn new(k: &'k Builder, name: &str) -> Self {
        let word = |part: &str| k.word(&format!("{name}{part}"));
        Self {
            k,
            words: [word(""), word("_reciprocal"), word("_shift")],
        }
    }

    /// Quotient and remainder of a number below 2^31.
    fn divide(&self, number: U32<'k>) -> [U32<'k>; 2] {
        let [by, reciprocal, shift] = self.words;
        let to = self.k.reg();
        self.k.emit(Instruction::Asm {
            text: "mul.hi.u32 {0}, {1}, {2};".to_owned(),
            outputs: vec![to],
            inputs: vec![(number + number).operand(), reciprocal.operand()],
            meaning: Meaning(Arc::new(|bits| {
                let product = u64::from(bits[0]) * u64::from(bits[1]);
                vec![(product >> 32) as u32]
            })),
        });
        let quotient = U32::in_register(self.k, to) >> shift;
        [quotient, number - quotient * by]
    }
}

/// The extents of a window's maps in a kernel, from [`extent_words`].
#[derive(Clone, Copy)]
pub struct Extents<'k> {
    output: [Divisor<'k>; 2],
    /// Height and width of the input as seen.
    pub input: [U32<'k>; 2],
}

impl<'k> Extents<'k> {
    /// Takes the kernel's parameters.
    pub fn new(k: &'k Builder) -> Self {
        Self {
            output: ["output_height", "output_width"].map(|name| Divisor::new(k, name)),
            input: ["input_height", "input_width"].map(|name| k.word(name)),
        }
    }

    /// [`Window::locate`] in a kernel.
    pub fn locate(&self, pixel: U32<'k>) -> (U32<'k>, [U32<'k>; 2]) {
        let [height, width] = &self.output;
        let [line, x] = width.divide(pixel);
        let [image, y] = height.divide(line);
        (image, [y, x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_divisor_divide_exactly() {
        let numbers = [
            0,
            1,
            2,
            3,
            639,
            640,
            641,
            102_400,
            (1 << 27) + 1,
            (1 << 31) - 1,
        ];
        for by in (1..2000).chain([4096, 65_537, 1 << 20, (1 << 31) - 1]) {
            let [_, reciprocal, shift] = divisor_words(by);
            for number in numbers.into_iter().chain([by - 1, 7 * (by % 1000), by]) {
                let product = u64::from(2 * number) * u64::from(reciprocal);
                let quotient = (product >> 32) as u32 >> shift;
                assert_eq!(quotient, number / by, "{number} / {by}");
            }
        }
    }

    #[test]
    fn taps_are_found_from_the_output() {
        let window = Window {
            kernel: [3, 2],
            stride: [2, 1],
            padding: [1, 0],
            output: [4, 5],
        };
        assert_eq!((window.taps(), window.pixels()), (6, 20));
        assert_eq!(window.locate(20 + 7), (1, [1, 2]));
        assert_eq!(window.seen([1, 2], 5), [3, 3]);
        assert_eq!(window.seen([0, 0], 1), [u32::MAX, 1]);
    }
}
