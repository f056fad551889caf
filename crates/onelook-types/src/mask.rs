//! Which pixels of an image belong to an object.

use std::fmt;
use std::ops::Range;

/// A binary mask over an image of `width` x `height` pixels.
///
/// Only the pixels of one rectangle, usually the object's box, are stored, one bit each: pixels
/// outside it are never set. So the masks of many objects take little memory at any image size.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    size: [usize; 2],
    region: PixelRect,
    bits: Vec<u64>,
}

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PixelRect {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Mask {
    /// The mask of an image of `size` (width, height) that is set where `is_set` says so, asked with
    /// column and row for the pixels of `region` that lie in the image, row by row.
    pub fn from_fn(
        size: [usize; 2],
        region: PixelRect,
        mut is_set: impl FnMut(usize, usize) -> bool,
    ) -> Self {
        let region = region.within(size);
        let mut bits = vec![0; (region.width * region.height).div_ceil(64)];
        for row in 0..region.height {
            for column in 0..region.width {
                if is_set(region.left + column, region.top + row) {
                    let index = row * region.width + column;
                    bits[index / 64] |= 1 << (index % 64);
                }
            }
        }
        Self { size, region, bits }
    }

    /// Width and height of the image that the mask is about.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The rectangle outside of which nothing is set.
    pub fn region(&self) -> PixelRect {
        self.region
    }

    /// Whether the pixel of this column and row is set; false outside the image.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        let region = self.region;
        let (Some(column), Some(row)) = (x.checked_sub(region.left), y.checked_sub(region.top))
        else {
            return false;
        };
        column < region.width && row < region.height && self.bit(row * region.width + column)
    }

    /// How many pixels are set.
    pub fn area(&self) -> usize {
        self.bits
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Intersection over union with another mask of an image of the same size, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let runs = self.runs().flat_map(|(y, run)| run.map(move |x| (x, y)));
        let intersection = runs.filter(|&(x, y)| other.contains(x, y)).count();
        let union = self.area() + other.area() - intersection;
        match union {
            0 => 0.0,
            _ => intersection as f32 / union as f32,
        }
    }

    /// The set pixels as runs: a row and a range of columns each, row by row, from the left.
    pub fn runs(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let region = self.region;
        (0..region.height).flat_map(move |row| {
            let is_set = move |&column: &usize| self.bit(row * region.width + column);
            let mut column = 0;
            std::iter::from_fn(move || {
                let start = (column..region.width).find(is_set)?;
                let end = (start..region.width)
                    .find(|column| !is_set(column))
                    .unwrap_or(region.width);
                column = end;
                Some((region.top + row, region.left + start..region.left + end))
            })
        })
    }

    fn bit(&self, index: usize) -> bool {
        self.bits[index / 64] >> (index % 64) & 1 == 1
    }
}

impl PixelRect {
    /// The part that lies in an image of this width and height.
    fn within(self, [width, height]: [usize; 2]) -> Self {
        let (left, top) = (self.left.min(width), self.top.min(height));
        Self {
            left,
            top,
            width: self.width.min(width - left),
            height: self.height.min(height - top),
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [width, height] = self.size;
        write!(f, "Mask({width}x{height}, {} pixels)", self.area())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: PixelRect = PixelRect {
        left: 2,
        top: 1,
        width: 40,
        height: 9,
    };

    #[test]
    fn nothing_outside_the_region_or_the_image_is_set() {
        let mask = Mask::from_fn([10, 5], REGION, |_, _| true);
        assert_eq!(mask.area(), 8 * 4);
        assert!(mask.contains(2, 1) && mask.contains(9, 4));
        assert!(!mask.contains(1, 1) && !mask.contains(10, 4) && !mask.contains(2, 0));
        let outside = PixelRect { left: 99, ..REGION };
        assert_eq!(Mask::from_fn([10, 5], outside, |_, _| true).area(), 0);
    }

    #[test]
    fn runs_are_the_set_pixels() {
        let is_set = |x: usize, y: usize| !(x * 7 + y * 3).is_multiple_of(4);
        let mask = Mask::from_fn([50, 12], REGION, is_set);
        let mut pixels = Vec::new();
        for (y, run) in mask.runs() {
            assert!(!run.is_empty());
            pixels.extend(run.map(|x| (x, y)));
        }
        assert_eq!(pixels.len(), mask.area());
        assert!(pixels.iter().all(|&(x, y)| is_set(x, y)));
    }

    #[test]
    fn iou_counts_pixels() {
        let left = Mask::from_fn([50, 12], REGION, |x, _| x < 22);
        let all = Mask::from_fn([50, 12], REGION, |_, _| true);
        assert_eq!(left.iou(&all), 0.5);
        assert_eq!(all.iou(&all), 1.0);
        let none = Mask::from_fn([50, 12], REGION, |_, _| false);
        assert_eq!(none.iou(&none), 0.0);
    }
}
