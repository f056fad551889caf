//! Coefficients in, samples out: dequantisation and the inverse cosine transform.
//!
//! The scaled integer form of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 13 fractional
//! bits in the constants and 2 kept between the passes, rounding as libjpeg's "slow integer" one.

const CONSTANT_BITS: u32 = 13;
const KEPT_BITS: u32 = 2;
/// What the pass over columns, and then the one over rows, drops.
const FIRST_SHIFT: u32 = CONSTANT_BITS - KEPT_BITS;
const SECOND_SHIFT: u32 = CONSTANT_BITS + KEPT_BITS + 3;
/// Sums of cosines, ascending: 0.298, 0.390, 0.541, 0.765, 0.900, 1.176, 1.501, 1.848, 1.962, 2.053,
/// 2.563 and 3.073.
const CONSTANTS: [i32; 12] = [
    2446, 3196, 4433, 6270, 7373, 9633, 12299, 15137, 16069, 16819, 20995, 25172,
];

/// Fills `plane` with samples, `blocks_wide * 8` a row.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
pub(super) fn samples(
    coefficients: &[i16],
    quantisation: &[u16; 64],
    blocks_wide: usize,
    plane: &mut [u8],
) {
    let stride = blocks_wide * 8;
    let bands = plane.chunks_exact_mut(stride * 8);
    for (band, blocks) in bands.zip(coefficients.chunks_exact(stride * 8)) {
        for (across, block) in blocks.as_chunks::<64>().0.iter().enumerate() {
            let block = inverse(block, quantisation);
            for (row, samples) in block.as_chunks::<8>().0.iter().enumerate() {
                band[row * stride + across * 8..][..8].copy_from_slice(samples);
            }
        }
    }
}

#[inline(always)]
fn inverse(block: &[i16; 64], quantisation: &[u16; 64]) -> [u8; 64] {
    // Most blocks of smooth areas: the passes on the first coefficient alone.
    let mut others = *block;
    others[0] = 0;
    if others.iter().fold(0, |all, &value| all | value) == 0 {
        let value = i32::from(block[0]) * i32::from(quantisation[0]);
        let value = round(value.wrapping_shl(CONSTANT_BITS), FIRST_SHIFT);
        return [sample(round(value.wrapping_shl(CONSTANT_BITS), SECOND_SHIFT)); 64];
    }
    let mut work = [0i32; 64];
    for ((value, &coefficient), &step) in work.iter_mut().zip(block).zip(quantisation) {
        *value = i32::from(coefficient) * i32::from(step);
    }
    for column in 0..8 {
        let input = std::array::from_fn(|row| work[row * 8 + column]);
        let output = pass(input, FIRST_SHIFT);
        for (row, value) in output.into_iter().enumerate() {
            work[row * 8 + column] = value;
        }
    }
    let mut samples = [0; 64];
    for (row, out) in work.chunks_exact(8).zip(samples.chunks_exact_mut(8)) {
        let input = std::array::from_fn(|column| row[column]);
        let output = pass(input, SECOND_SHIFT);
        for (out, value) in out.iter_mut().zip(output) {
            *out = sample(value);
        }
    }
    samples
}

/// One dimension of eight; the result is rounded and shifted right by `shift`. Wraps where hostile
/// coefficients overflow.
#[inline(always)]
fn pass(x: [i32; 8], shift: u32) -> [i32; 8] {
    let times = |value: i32, constant: usize| value.wrapping_mul(CONSTANTS[constant]);
    let add = i32::wrapping_add;
    let sub = i32::wrapping_sub;

    let turn = times(add(x[2], x[6]), 2);
    let even2 = sub(turn, times(x[6], 7));
    let even3 = add(turn, times(x[2], 3));
    let even0 = add(x[0], x[4]).wrapping_shl(CONSTANT_BITS);
    let even1 = sub(x[0], x[4]).wrapping_shl(CONSTANT_BITS);
    let even = [
        add(even0, even3),
        add(even1, even2),
        sub(even1, even2),
        sub(even0, even3),
    ];

    let z1 = times(add(x[7], x[1]), 4).wrapping_neg();
    let z2 = times(add(x[5], x[3]), 10).wrapping_neg();
    let z3 = add(x[7], x[3]);
    let z4 = add(x[5], x[1]);
    let z5 = times(add(z3, z4), 5);
    let z3 = sub(z5, times(z3, 8));
    let z4 = sub(z5, times(z4, 1));
    let odd = [
        add(add(times(x[1], 6), z1), z4),
        add(add(times(x[3], 11), z2), z3),
        add(add(times(x[5], 9), z2), z4),
        add(add(times(x[7], 0), z1), z3),
    ];

    std::array::from_fn(|at| match at {
        0..4 => round(add(even[at], odd[at]), shift),
        _ => round(sub(even[7 - at], odd[7 - at]), shift),
    })
}

#[inline(always)]
fn round(value: i32, shift: u32) -> i32 {
    value.wrapping_add(1 << (shift - 1)) >> shift
}

#[inline(always)]
fn sample(value: i32) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}
