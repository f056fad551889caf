//! What the tests of kernels share: random values, functions in f64, how far results are off.

use onelook_graph::op::Activation;

use super::Element;
use crate::interpreter::Schedule;

/// Schedules that every kernel has to stand: five that look for trouble.
pub fn schedules() -> impl Iterator<Item = Schedule> {
    (1..=5).map(Schedule::adversarial)
}

/// Values from `-scale` to `scale`, the same for the same seed.
pub fn random(count: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..count).map(|_| next()).collect()
}

/// The activation's value in f64.
pub fn apply_f64(activation: Option<Activation>, x: f64) -> f64 {
    match activation {
        None => x,
        Some(Activation::Silu) => x / (1.0 + (-x).exp()),
        Some(Activation::Sigmoid) => 1.0 / (1.0 + (-x).exp()),
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Exp) => x.exp(),
    }
}

/// How far results are off: `‖actual - expected‖ / ‖expected‖`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deviation {
    difference: f64,
    expected: f64,
}

impl Deviation {
    /// Takes some results in.
    pub fn add(&mut self, actual: &[f32], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (&actual, &expected) in actual.iter().zip(expected) {
            self.difference += (f64::from(actual) - expected).powi(2);
            self.expected += expected.powi(2);
        }
    }

    /// The ratio; NaN when a result is no number.
    pub fn ratio(&self) -> f64 {
        (self.difference / self.expected).sqrt()
    }

    /// Fails unless results are as close as their format allows.
    pub fn assert_within(&self, element: Element, what: &str) {
        let most = match element {
            Element::F16 => 2e-3,
            Element::F32 => 1e-5,
        };
        let ratio = self.ratio();
        assert!(ratio <= most, "{what}: off by {ratio:e}");
    }
}
