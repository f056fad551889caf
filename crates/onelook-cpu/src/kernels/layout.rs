//! The blocked map: where channel `c` of pixel (y, x) lies.
//!
//! Sixteen channels of one pixel lie side by side; a plane holds one such block for every pixel, with the zero
//! padding that convolutions need already around it. A row's right padding is the next row's left padding:
//!
//! ```text
//! pad pixels | pad rows above | row 0, pad pixels | row 1, pad pixels | … | pad rows below
//! ```
//!
//! Distances are in 32-bit words, and addresses those of words, whatever the type of the values: a block takes 16
//! words, or 8 of two bf16 each. Channels beyond the last are zero. Whoever writes a map writes its padding too,
//! because memory is reused.

use super::buffer::LINE_BYTES;
pub use super::element::{BLOCK, Element};

/// Bytes of a page; planes a whole number of pages apart would compete for the same cache sets.
const PAGE_BYTES: usize = 4096;

/// The extents of one image's map, and the padding around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapLayout {
    /// Channels, not rounded.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Zero rows above and below, and zero pixels left and right.
    pub pad: usize,
    /// The type of the values.
    pub element: Element,
}

impl MapLayout {
    /// A map of f32 of these extents.
    pub fn new(channels: usize, height: usize, width: usize, pad: usize) -> Self {
        MapLayout {
            channels,
            height,
            width,
            pad,
            element: Element::F32,
        }
    }

    /// The same extents, of another type.
    pub fn of(self, element: Element) -> Self {
        MapLayout { element, ..self }
    }

    /// Words of a pixel's block.
    pub fn block_words(&self) -> usize {
        self.element.block_words()
    }

    /// Planes of 16 channels.
    pub fn planes(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// Words from a pixel to the one below it.
    pub fn row_words(&self) -> usize {
        (self.width + self.pad) * self.block_words()
    }

    /// Words from a plane to the next.
    pub fn plane_words(&self) -> usize {
        let used = self.pad * self.block_words() + (self.height + 2 * self.pad) * self.row_words();
        let words = used.next_multiple_of(LINE_BYTES / size_of::<f32>());
        if (words * size_of::<f32>()).is_multiple_of(PAGE_BYTES) {
            words + (PAGE_BYTES / 4 + LINE_BYTES) / size_of::<f32>()
        } else {
            words
        }
    }

    /// Words of one image.
    pub fn image_words(&self) -> usize {
        self.planes() * self.plane_words()
    }

    /// Where pixel (y, x) of a plane lies, in words; `y` and `x` may lie in the padding.
    pub fn pixel_offset(&self, plane: usize, y: isize, x: isize) -> usize {
        let pad = self.pad as isize;
        let in_plane =
            (pad + x) * self.block_words() as isize + (pad + y) * self.row_words() as isize;
        plane * self.plane_words() + in_plane as usize
    }

    /// Pixels of one channel.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }
}

macro_rules! views {
    ($(#[$doc:meta])* $name:ident, $pointer:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            data: $pointer,
            layout: MapLayout,
            image_words: usize,
        }

        // SAFETY: a view is an address and extents; those who use it answer for what they read and write.
        unsafe impl Send for $name {}
        // SAFETY: sharing a view shares the address and the extents, which nobody changes.
        unsafe impl Sync for $name {}

        impl $name {
            /// A view of images that start at `data`, `image_words` apart.
            ///
            /// # Safety
            /// For as long as the view is used, every image's `layout.image_words()` words are valid, and
            /// `data` lies on a multiple of 64 bytes.
            pub unsafe fn new(data: $pointer, layout: MapLayout, image_words: usize) -> Self {
                $name { data, layout, image_words }
            }

            /// The part of `channels` channels that starts at plane `first_plane`.
            ///
            /// The part must lie within the view; that is the caller's to check.
            pub fn slice(self, first_plane: usize, channels: usize) -> Self {
                let layout = MapLayout { channels, ..self.layout };
                debug_assert!(first_plane + layout.planes() <= self.layout.planes());
                // `wrapping_add` keeps this safe; the offset lies within the map.
                let data = self.data.wrapping_add(first_plane * layout.plane_words());
                $name { data, layout, ..self }
            }

            /// The extents of one image of the view.
            pub fn layout(&self) -> &MapLayout {
                &self.layout
            }

            /// Pixel (y, x) of a plane of an image; `y` and `x` may lie in the padding.
            #[inline(always)]
            pub(crate) fn pixel(&self, image: usize, plane: usize, y: isize, x: isize) -> $pointer {
                let offset = image * self.image_words + self.layout.pixel_offset(plane, y, x);
                self.data.wrapping_add(offset)
            }
        }
    };
}

views!(
    /// A map, or planes of one, to be read: one image or several.
    MapView,
    *const f32
);
views!(
    /// A map, or planes of one, to be written.
    MapMut,
    *mut f32
);

impl MapMut {
    /// The same memory, to be read.
    pub fn view(self) -> MapView {
        MapView {
            data: self.data,
            layout: self.layout,
            image_words: self.image_words,
        }
    }

    /// Writes the zero padding that belongs to `rows` of a plane: right of each of them, and above the first and
    /// below the last row of the map where they are among them.
    ///
    /// # Safety
    /// The plane's memory is valid, and nobody else touches this padding now.
    pub(crate) unsafe fn zero_padding(
        &self,
        image: usize,
        plane: usize,
        rows: std::ops::Range<usize>,
    ) {
        let MapLayout {
            height, width, pad, ..
        } = self.layout;
        let block = self.layout.block_words();
        if pad == 0 {
            return;
        }
        let margin = pad as isize;
        // SAFETY: all of these pixels lie within the plane.
        unsafe {
            if rows.start == 0 {
                let above = pad * block + pad * self.layout.row_words();
                self.pixel(image, plane, -margin, -margin)
                    .write_bytes(0, above);
            }
            for y in rows.clone() {
                self.pixel(image, plane, y as isize, width as isize)
                    .write_bytes(0, pad * block);
            }
            if rows.end == height {
                let below = pad * self.layout.row_words();
                self.pixel(image, plane, height as isize, 0)
                    .write_bytes(0, below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_a_row_is_the_start_of_the_next() {
        let layout = MapLayout::new(20, 5, 7, 2);
        assert_eq!(layout.pixel_offset(0, -2, -2), 0);
        assert_eq!(layout.pixel_offset(1, 0, 7), layout.pixel_offset(1, 1, -2));
        let last = layout.pixel_offset(0, 6, 8);
        assert!(last + BLOCK <= layout.plane_words());
        assert_eq!(layout.planes(), 2);
    }

    #[test]
    fn planes_stay_on_lines_and_off_page_multiples() {
        for (height, width, pad) in [
            (80, 80, 0),
            (20, 20, 1),
            (1, 1, 0),
            (160, 160, 0),
            (31, 7, 3),
        ] {
            let bytes = MapLayout::new(64, height, width, pad).plane_words() * 4;
            assert!(bytes.is_multiple_of(LINE_BYTES) && !bytes.is_multiple_of(PAGE_BYTES));
        }
    }

    #[test]
    fn zero_padding_clears_all_but_the_pixels() {
        let layout = MapLayout::new(16, 3, 4, 1);
        let mut floats = vec![1.0f32; layout.image_words()];
        // SAFETY: the vector holds one image; this test reads no aligned vectors.
        let map = unsafe { MapMut::new(floats.as_mut_ptr(), layout, layout.image_words()) };
        for rows in [0..1, 1..3] {
            // SAFETY: nobody else uses the vector.
            unsafe { map.zero_padding(0, 0, rows) };
        }
        let used = (layout.pad + (layout.height + 2) * (layout.width + 1)) * BLOCK;
        let ones = floats[..used].iter().filter(|&&x| x == 1.0).count();
        assert_eq!(ones, layout.pixels() * BLOCK);
        assert_eq!(floats[layout.pixel_offset(0, 2, 3)], 1.0);
    }
}
