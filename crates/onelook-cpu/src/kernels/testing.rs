//! For tests alone: owned maps that notice stray writes, random values, and comparison with a plain f64 loop.

use super::element::{Element, Lanes, with_element};
use super::layout::{BLOCK, MapLayout, MapMut, MapView};
use super::{AlignedBuffer, reorder};

/// Random shapes that a property is tried on; in miri each takes seconds.
pub(crate) const CASES: u32 = if cfg!(miri) { 2 } else { 48 };

/// `count` values within ±1, the same for the same seed.
pub(crate) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// [`random`] as near as `element` comes.
pub(crate) fn random_of(element: Element, count: usize, seed: u64) -> Vec<f32> {
    let values = random(count, seed).into_iter();
    values.map(|value| element.rounded(value)).collect()
}

/// What [`check_close`] must allow values that were rounded to `element`: half of the distance to the next.
pub(crate) fn rounding(element: Element) -> f64 {
    match element {
        Element::F32 => 0.0,
        Element::Bf16 => 1.0 / 256.0,
    }
}

/// Either type.
pub(crate) fn elements() -> impl proptest::strategy::Strategy<Value = Element> {
    proptest::sample::select(vec![Element::F32, Element::Bf16])
}

/// A batch of maps with a guard behind it.
pub(crate) struct Map {
    buffer: AlignedBuffer,
    layout: MapLayout,
    batch: usize,
}

/// Fills memory that nobody may rely on.
const DIRT: f32 = 1e30;
const GUARD: usize = 64;

impl Map {
    /// A map full of dirt, as reused memory is.
    pub(crate) fn dirty(layout: MapLayout, batch: usize) -> Self {
        let mut buffer = AlignedBuffer::zeroed(layout.image_words() * batch + GUARD);
        buffer.fill(DIRT);
        Map {
            buffer,
            layout,
            batch,
        }
    }

    /// A map of these plain values.
    pub(crate) fn filled(layout: MapLayout, batch: usize, dense: &[f32]) -> Self {
        let mut map = Map::dirty(layout, batch);
        let image = layout.channels * layout.pixels();
        assert_eq!(dense.len(), image * batch);
        for task in 0..reorder::tasks(&layout, batch) {
            // SAFETY: the map owns its memory and the lengths agree.
            unsafe { reorder::run_to_blocked(dense.as_ptr(), image, map.view_mut(), task) }
        }
        map
    }

    pub(crate) fn view(&self) -> MapView {
        // SAFETY: the buffer holds the batch.
        unsafe { MapView::new(self.buffer.as_ptr(), self.layout, self.layout.image_words()) }
    }

    pub(crate) fn view_mut(&mut self) -> MapMut {
        // SAFETY: the buffer holds the batch.
        unsafe {
            MapMut::new(
                self.buffer.as_mut_ptr(),
                self.layout,
                self.layout.image_words(),
            )
        }
    }

    pub(crate) fn to_dense(&self) -> Vec<f32> {
        let image = self.layout.channels * self.layout.pixels();
        let mut dense = vec![0.0; image * self.batch];
        for task in 0..reorder::tasks(&self.layout, self.batch) {
            // SAFETY: the lengths agree.
            unsafe { reorder::run_to_dense(self.view(), dense.as_mut_ptr(), image, task) }
        }
        dense
    }

    /// Checks that all padding and unused channels are zero and that the guard is untouched.
    pub(crate) fn check_padding(&self) {
        let MapLayout {
            channels,
            height,
            width,
            pad,
            element,
        } = self.layout;
        let (pad, height, width) = (pad as isize, height as isize, width as isize);
        let view = self.view();
        for (image, plane) in
            (0..self.batch).flat_map(|b| (0..self.layout.planes()).map(move |p| (b, p)))
        {
            for (y, x) in
                (-pad..height + pad).flat_map(|y| (-pad..width + pad).map(move |x| (y, x)))
            {
                // The last row below has no right padding: nothing reads it.
                if y == height + pad - 1 && x >= width && pad > 0 {
                    continue;
                }
                let inside = (0..height).contains(&y) && (0..width).contains(&x);
                for lane in 0..BLOCK {
                    // SAFETY: the pixel lies within the map.
                    let value = unsafe {
                        let pixel = view.pixel(image, plane, y, x);
                        with_element!(element, |Values| Values::get(pixel, lane))
                    };
                    if !inside || plane * BLOCK + lane >= channels {
                        assert_eq!(
                            value, 0.0,
                            "image {image} plane {plane} pixel ({y}, {x}) lane {lane}"
                        );
                    }
                }
            }
        }
        assert!(
            self.buffer[self.buffer.len() - GUARD..]
                .iter()
                .all(|&x| x == DIRT),
            "written beyond the map"
        );
    }
}

/// What [`check_close`] may allow sums of `terms` products of numbers up to one. Rounding follows
/// the partial sums, which stay large where the sum or an activation makes the result small: a
/// quarter of an epsilon a term is the most that was seen, and a whole one is allowed.
pub(crate) fn sum_tolerance(terms: usize) -> f64 {
    2e-6 + terms as f64 * f64::from(f32::EPSILON)
}

/// Checks every value against the truth, within `tolerance` of the largest.
pub(crate) fn check_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1.0f64, |largest, x| largest.max(x.abs()));
    for (place, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(
            error <= tolerance * largest,
            "at {place}: {actual}, not {expected}"
        );
    }
}
