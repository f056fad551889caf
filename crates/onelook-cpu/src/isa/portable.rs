//! Sixteen lanes in four quads of the target's baseline, which every CPU of the target has.

use super::quad::Quad;
use super::{Vector16, narrow, widen};

/// A vector of the portable level.
#[derive(Clone, Copy)]
pub(crate) struct Portable(Quad, Quad, Quad, Quad);

/// Applies one method to all four quads.
macro_rules! quads {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        Portable(
            $self.0.$method($($argument.0),*),
            $self.1.$method($($argument.1),*),
            $self.2.$method($($argument.2),*),
            $self.3.$method($($argument.3),*),
        )
    };
}

impl Portable {
    #[inline(always)]
    fn same(value: f32) -> Self {
        let quad = Quad::splat(value);
        Portable(quad, quad, quad, quad)
    }

    #[inline(always)]
    fn lanes(self) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        // SAFETY: the array holds 16 floats.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }
}

impl Vector16 for Portable {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable::same(value)
    }

    #[inline(always)]
    unsafe fn load(source: *const f32) -> Self {
        // SAFETY: the caller guarantees 16 readable floats.
        unsafe {
            let quad = |index: usize| Quad::load(source.add(4 * index));
            Portable(quad(0), quad(1), quad(2), quad(3))
        }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees 16 writable floats.
        unsafe {
            self.0.store(target);
            self.1.store(target.add(4));
            self.2.store(target.add(8));
            self.3.store(target.add(12));
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(source: *const u16) -> Self {
        // SAFETY: the caller guarantees 16 readable halves; the array holds 16 floats.
        unsafe {
            let lanes = source.cast::<[u16; 16]>().read().map(widen);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, target: *mut u16) {
        // SAFETY: the caller guarantees 16 writable halves.
        unsafe { target.cast::<[u16; 16]>().write(self.lanes().map(narrow)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        quads!(self.mul_add(factor, addend))
    }

    #[inline(always)]
    fn mul_sub(self, factor: Self, subtrahend: Self) -> Self {
        let negated = Portable::same(0.0).sub(subtrahend);
        quads!(self.mul_add(factor, negated))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        quads!(self.add(other))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        quads!(self.sub(other))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        quads!(self.mul(other))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        quads!(self.div(other))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        quads!(self.max(other))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        quads!(self.min(other))
    }

    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 · 2²³ leaves no room for a fraction.
        let shift = Portable::same(12_582_912.0);
        self.add(shift).sub(shift)
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        self.mul(quads!(exponent.power_of_two()))
    }

    #[inline(always)]
    fn reciprocal(self) -> Self {
        Portable::same(1.0).div(self)
    }

    #[inline(always)]
    fn horizontal_max(self) -> f32 {
        self.lanes().into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn horizontal_sum(self) -> f32 {
        self.lanes().into_iter().sum()
    }
}
