//! Softmax over the last axis of a plain tensor, `eˣ⁻ᵐᵃˣ` over its sum.

use super::activation::Constants;
use super::layout::BLOCK;
use crate::isa::{Isa, Vector16, kernel_name, per_isa};

/// The kernel's name in listings.
pub fn name(isa: Isa) -> &'static str {
    kernel_name!(isa, "softmax_f32_dense")
}

/// Replaces every row of `len` values by its softmax; `values` is a whole number of rows.
pub fn run(isa: Isa, values: &mut [f32], len: usize) {
    for row in values.chunks_exact_mut(len.max(1)) {
        // SAFETY: the row is valid; `isa` proves the level.
        unsafe { softmax_row(isa, row) }
    }
}

per_isa! {
    /// One row in place.
    fn softmax_row(row: &mut [f32]) = row_body
}

/// # Safety
/// The CPU has the level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(row: &mut [f32]) {
    let (blocks, rest) = row.as_chunks_mut::<BLOCK>();
    // Lanes that are not there weigh nothing.
    let mut last = [f32::NEG_INFINITY; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    // SAFETY: every block holds 16 floats; the caller guarantees the level.
    unsafe {
        let constants = Constants::<V>::new();
        let mut largest = V::load(last.as_ptr());
        for block in blocks.iter() {
            largest = largest.max(V::load(block.as_ptr()));
        }
        let largest = V::splat(largest.horizontal_max());
        let mut sum = V::splat(0.0);
        for block in blocks.iter_mut() {
            let value = constants.exp(V::load(block.as_ptr()).sub(largest));
            value.store(block.as_mut_ptr());
            sum = sum.add(value);
        }
        constants
            .exp(V::load(last.as_ptr()).sub(largest))
            .store(last.as_mut_ptr());
        last[rest.len()..].fill(0.0);
        let share = V::splat(1.0 / sum.add(V::load(last.as_ptr())).horizontal_sum());
        for block in blocks.iter_mut() {
            V::load(block.as_ptr()).mul(share).store(block.as_mut_ptr());
        }
        V::load(last.as_ptr()).mul(share).store(last.as_mut_ptr());
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_close, random};

    #[test]
    fn rows_of_any_length_agree_with_the_textbook() {
        for isa in Isa::available() {
            for len in [1, 2, 15, 16, 17, 33, 400] {
                let mut values: Vec<f32> =
                    random(3 * len, 5).iter().map(|x| x * 30.0 - 60.0).collect();
                let truth: Vec<f64> = values
                    .chunks(len)
                    .flat_map(|row| {
                        let largest = row.iter().fold(f32::MIN, |a, &b| a.max(b));
                        let powers: Vec<f64> =
                            row.iter().map(|&x| f64::from(x - largest).exp()).collect();
                        let sum: f64 = powers.iter().sum();
                        powers.into_iter().map(move |power| power / sum)
                    })
                    .collect();
                run(isa, &mut values, len);
                check_close(&values, &truth, 1e-6);
            }
        }
    }
}
