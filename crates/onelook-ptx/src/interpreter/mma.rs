//! Matrix products by one warp, as plain sums over fragments that lie as the PTX ISA says.
//!
//! A fragment register of 32 lanes, taken for 64 f16 values in a row, is an 8x8 matrix row by row;
//! of the second factor, column by column. Sums are kept with the even columns first, which is how
//! the two registers of a row lie.

use super::lanes::{Lanes, Registers, WARP, each};
use super::trap::Fault;
use crate::lang::{MmaShape, Reg};

/// The f16 values of a fragment as floats: the low ones of all lanes, then the high ones.
pub(super) fn unpacked(words: &Lanes) -> [[f32; WARP]; 2] {
    [0, 16].map(|shift| each(|lane| half_to_float(words[lane] >> shift & 0xffff)))
}

/// Exact, without branches and without subnormal floats, so that it vectorises.
fn half_to_float(half: u32) -> f32 {
    let magnitude = (half & 0x7fff) << 13;
    let smallest = 113 << 23;
    let normal = magnitude.wrapping_add(112 << 23);
    let small = (f32::from_bits(magnitude | smallest) - f32::from_bits(smallest)).to_bits();
    let infinite = magnitude | 0x7f80_0000;
    let bits = match magnitude >> 23 {
        0 => small,
        31 => infinite,
        _ => normal,
    };
    f32::from_bits(bits | (half & 0x8000) << 16)
}

/// `rows[k][n]` of an 8x8 second factor, even columns first.
fn columns(fragment: &Lanes) -> [[f32; 8]; 8] {
    let parts = unpacked(fragment);
    let mut rows = [[0.0; 8]; 8];
    for (k, row) in rows.iter_mut().enumerate() {
        let part = &parts[k % 2];
        for (n, value) in row.iter_mut().enumerate() {
            *value = part[4 * column(n) + k / 2];
        }
    }
    rows
}

/// Which column stands at place `n`.
fn column(n: usize) -> usize {
    if n < 4 { 2 * n } else { 2 * n - 7 }
}

/// `sums[8][8] += a[8][8] · b[8][8]`, the sums in two registers.
fn multiply(
    even: &mut [f32; WARP],
    odd: &mut [f32; WARP],
    a: &[[f32; WARP]; 2],
    b: &[[f32; 8]; 8],
) {
    for row in 0..8 {
        let mut sums = [0.0; 8];
        sums[..4].copy_from_slice(&even[4 * row..4 * row + 4]);
        sums[4..].copy_from_slice(&odd[4 * row..4 * row + 4]);
        for (k, b) in b.iter().enumerate() {
            let factor = a[k % 2][4 * row + k / 2];
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += factor * b;
            }
        }
        even[4 * row..4 * row + 4].copy_from_slice(&sums[..4]);
        odd[4 * row..4 * row + 4].copy_from_slice(&sums[4..]);
    }
}

/// `d += a · b` for 16 rows and 8 columns; `a` has two registers per 8 of k, `b` one.
pub(super) fn multiply_f16(d: [&Lanes; 4], a: &[&Lanes], b: &[&Lanes]) -> [Lanes; 4] {
    let mut d = d.map(|lanes| each(|lane| f32::from_bits(lanes[lane])));
    let b = [columns(b[0]), columns(b[b.len() - 1])];
    let [d0, d1, d2, d3] = &mut d;
    for (a, b) in a.chunks_exact(2).zip(&b) {
        multiply(d0, d1, &unpacked(a[0]), b);
        multiply(d2, d3, &unpacked(a[1]), b);
    }
    d.map(|lanes| each(|lane| lanes[lane].to_bits()))
}

/// `d += a · b` for signed bytes: four of k in each register and lane.
fn multiply_bytes(d: [&Lanes; 4], a: &[&Lanes], b: &[&Lanes]) -> [Lanes; 4] {
    let mut out = d.map(|lanes| *lanes);
    for (register, sums) in out.iter_mut().enumerate() {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let (group, thread) = (lane / 4, lane % 4);
            let column = 2 * thread + register % 2;
            for k in 0..8 {
                let a = a[register / 2 + 2 * (k / 4)][4 * group + k % 4];
                let b = b[k / 4][4 * column + k % 4];
                *sum = sum.wrapping_add(dot_bytes(a, b));
            }
        }
    }
    out
}

fn dot_bytes(a: u32, b: u32) -> u32 {
    let signed = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
    let products = signed(a).into_iter().zip(signed(b)).map(|(a, b)| a * b);
    products.sum::<i32>().cast_unsigned()
}

impl Registers {
    pub(super) fn mma(
        &mut self,
        shape: MmaShape,
        d: [Reg; 4],
        a: &[Reg],
        b: &[Reg],
    ) -> Result<(), Fault> {
        self.converged("mma")?;
        let sums = [
            self.word(d[0])?,
            self.word(d[1])?,
            self.word(d[2])?,
            self.word(d[3])?,
        ];
        let mut left = [sums[0]; 4];
        for (place, &register) in left.iter_mut().zip(a) {
            *place = self.word(register)?;
        }
        let mut right = [sums[0]; 2];
        for (place, &register) in right.iter_mut().zip(b) {
            *place = self.word(register)?;
        }
        let (left, right) = (&left[..a.len()], &right[..b.len()]);
        let out = match shape {
            MmaShape::M16N8K8 | MmaShape::M16N8K16 => multiply_f16(sums, left, right),
            MmaShape::M16N8K32Bytes => multiply_bytes(sums, left, right),
        };
        for (register, lanes) in d.into_iter().zip(&out) {
            self.set(register, lanes);
        }
        Ok(())
    }
}
