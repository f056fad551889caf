//! Trials of kernels in tests: run in the interpreter under hostile schedules, compared with sums in
//! f64.

use super::{Element, Map, Tiled};
pub(crate) use crate::conformance::Given;
use crate::conformance::{Results, Trial};
use crate::interpreter::Schedule;

/// Runs the kernel in order and under five hostile schedules; hands the bytes of every room, those
/// never written as 0, to the closure each time.
pub(crate) fn run(tiled: &Tiled, given: &[Given], mut check: impl FnMut(&[Vec<u8>])) {
    let trial = Trial {
        given: given.to_vec(),
        results: Results::Rows(Vec::new()),
    };
    let schedules = (0..5).map(|seed| Schedule::adversarial(seed + 7));
    for schedule in schedules.chain([Schedule::in_order()]) {
        let outcome = trial.interpret(tiled, &schedule);
        check(&outcome.unwrap_or_else(|trap| panic!("{trap}")));
    }
}

/// Values of about -2 to 2, the same for the same seed, each exact in halves.
pub(crate) fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            half::f16::from_f32((state % 4001) as f32 / 1000.0 - 2.0).to_f32()
        })
        .collect()
}

/// Values of a map laid out with its pitch, from and to values pixel by pixel without gaps.
pub(crate) fn spread(values: &[f32], map: &Map) -> Vec<f32> {
    let pixels = values.chunks_exact(map.channels as usize);
    let mut spread = vec![0.0; pixels.len() * map.pitch as usize];
    for (to, pixel) in spread.chunks_exact_mut(map.pitch as usize).zip(pixels) {
        to[..pixel.len()].copy_from_slice(pixel);
    }
    spread
}

/// The opposite of [`spread`].
pub(crate) fn gather(values: &[f32], channels: u32, pitch: u32) -> Vec<f32> {
    let pixels = values.chunks(pitch as usize);
    pixels
        .flat_map(|pixel| &pixel[..channels as usize])
        .copied()
        .collect()
}

/// ‖a - b‖ / ‖b‖ must be as small as the format allows.
pub(crate) fn assert_near(element: Element, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    let pairs = actual.iter().zip(expected);
    let difference: f64 = pairs.map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
    let norm: f64 = expected.iter().map(|b| b * b).sum();
    let distance = (difference / norm.max(1e-30)).sqrt();
    let tolerance = match element {
        Element::F16 => 2e-3,
        Element::F32 => 1e-5,
    };
    assert!(distance <= tolerance, "{distance} > {tolerance}");
}
