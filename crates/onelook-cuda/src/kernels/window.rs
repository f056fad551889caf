//! Windows that slide over a map: which input pixels an output pixel is made from. Convolutions and
//! pools have one, and so do their test cases.

use std::ops::Add;

use onelook_ptx::lang::U32;

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

#[cfg(test)]
mod tests {
    use super::*;

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
