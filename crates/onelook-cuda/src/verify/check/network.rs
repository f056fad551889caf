//! Whole networks, from planes to maps, against the reference executor.

use std::fmt;

use onelook_graph::{Graph, reference};
use onelook_types::Tensor;
use serde::Serialize;

use super::{CheckError, Checker, Run};
use crate::kernels::Element;
use crate::verify::conformance::worse;

/// Height and width: small, for the reference executor is slow.
const SIZE: [usize; 2] = [160, 224];
const BATCH: usize = 2;

/// How far off a network's maps are: `‖actual - expected‖ / ‖expected‖`, the worst of its outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkCheck {
    /// `f16` or `f32`.
    pub element: &'static str,
    /// NaN where an output was not written.
    pub off: f64,
    /// How far off it may be: deviations of the layers add up.
    pub tolerance: f64,
}

impl NetworkCheck {
    /// Whether it did what it should.
    pub fn passed(&self) -> bool {
        self.off <= self.tolerance
    }
}

impl fmt::Display for NetworkCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "ok    " } else { "WRONG " };
        write!(f, "{verdict} {:.1e}  {}", self.off, self.element)
    }
}

impl Checker<'_> {
    /// The network in both formats.
    ///
    /// # Errors
    /// There is no plan, or the driver refused.
    pub fn networks(&self, graph: &Graph) -> Result<Vec<NetworkCheck>, CheckError> {
        let input = image();
        let expected = reference::run(graph, &[&input])?;
        let run = Run {
            graph,
            head: None,
            batch: BATCH,
            size: SIZE,
            inputs: vec![input.data().iter().flat_map(|v| v.to_le_bytes()).collect()],
        };
        self.maps(&run, &expected)
    }

    /// A network's maps in both formats beside those expected.
    ///
    /// # Errors
    /// There is no plan, or the driver refused.
    pub fn maps(
        &self,
        run: &Run<'_>,
        expected: &[Tensor],
    ) -> Result<Vec<NetworkCheck>, CheckError> {
        let check = |(element, tolerance): (Element, f64)| {
            Ok(NetworkCheck {
                element: element.name(),
                off: deviation(&self.outputs(run, element)?, expected),
                tolerance,
            })
        };
        let formats = [(Element::F16, 2e-2), (Element::F32, 1e-4)];
        formats.into_iter().map(check).collect()
    }
}

/// The worst of the outputs; NaN where any value is not a number, or there are not as many.
fn deviation(actual: &[Vec<u8>], expected: &[Tensor]) -> f64 {
    if actual.len() != expected.len() {
        return f64::NAN;
    }
    let of = |(actual, expected): (&Vec<u8>, &Tensor)| {
        let (actual, expected) = (Element::F32.decode(actual), expected.data());
        if actual.len() != expected.len() {
            return f64::NAN;
        }
        let (mut off, mut all) = (0.0, 0.0);
        for (&actual, &expected) in actual.iter().zip(expected) {
            off += (f64::from(actual) - f64::from(expected)).powi(2);
            all += f64::from(expected).powi(2);
        }
        (off / all).sqrt()
    };
    actual.iter().zip(expected).map(of).fold(0.0, worse)
}

/// Soft shapes, another image in each place of the batch, so that the network sees something.
fn image() -> Tensor {
    let [height, width] = SIZE;
    Tensor::from_fn([BATCH, 3, height, width], |position| {
        let (x, y) = (position % width, position / width % height);
        let wave = |length: f32, at: usize| (at as f32 / length).sin();
        let plane = (position / width / height) as f32;
        0.5 + 0.25 * wave(7.0 + plane, x) + 0.25 * wave(11.0, y)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_or_not_there_never_passes() {
        let tensor = |values: &[f32]| Tensor::new([values.len()], values.to_vec()).unwrap();
        let expected = [tensor(&[3.0, 4.0]), tensor(&[1.0])];
        let bytes = |values: &[f32]| Element::F32.encode(values.iter().copied());
        let off = |outputs: &[&[f32]]| {
            let outputs: Vec<Vec<u8>> = outputs.iter().map(|values| bytes(values)).collect();
            deviation(&outputs, &expected)
        };
        assert!((off(&[&[3.0, 4.5], &[1.0]]) - 0.1).abs() < 1e-6);
        let wrong: [&[&[f32]]; 4] = [
            &[&[f32::NAN, 4.0], &[1.0]],
            &[&[3.0], &[1.0]],
            &[&[3.0, 4.0]],
            &[],
        ];
        for outputs in wrong {
            let check = NetworkCheck {
                element: "f16",
                off: off(outputs),
                tolerance: 1.0,
            };
            assert!(!check.passed(), "{outputs:?}");
        }
    }
}
