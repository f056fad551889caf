//! Whole networks, from planes to maps, against the reference executor.

use std::fmt;

use onelook_graph::{Graph, reference};
use onelook_types::Tensor;
use serde::Serialize;

use super::{CheckError, Checker, Run};
use crate::kernels::Element;

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
        let input = picture();
        let expected = reference::run(graph, &[&input])?;
        let run = Run {
            graph,
            head: None,
            batch: BATCH,
            size: SIZE,
            inputs: vec![input.data().iter().flat_map(|v| v.to_le_bytes()).collect()],
        };
        [(Element::F16, "f16", 2e-2), (Element::F32, "f32", 1e-4)]
            .into_iter()
            .map(|(element, name, tolerance)| {
                Ok(NetworkCheck {
                    element: name,
                    off: worst_deviation(&self.outputs(&run, element)?, &expected),
                    tolerance,
                })
            })
            .collect()
    }
}

/// NaN must not get lost.
fn worst_deviation(outputs: &[Vec<u8>], expected: &[Tensor]) -> f64 {
    let pairs = outputs.iter().zip(expected);
    pairs
        .map(|(bytes, tensor)| deviation(bytes, tensor))
        .fold(0.0, |worst, off| match off >= worst || off.is_nan() {
            true => off,
            false => worst,
        })
}

fn deviation(actual: &[u8], expected: &Tensor) -> f64 {
    let actual = Element::F32.decode(actual);
    let (mut off, mut all) = (0.0, 0.0);
    for (&actual, &expected) in actual.iter().zip(expected.data()) {
        off += (f64::from(actual) - f64::from(expected)).powi(2);
        all += f64::from(expected).powi(2);
    }
    (off / all).sqrt()
}

/// Soft shapes, another picture in each place of the batch, so that the network sees something.
fn picture() -> Tensor {
    let [height, width] = SIZE;
    Tensor::from_fn([BATCH, 3, height, width], |position| {
        let (x, y) = (position % width, position / width % height);
        let wave = |length: f32, at: usize| (at as f32 / length).sin();
        let plane = (position / width / height) as f32;
        0.5 + 0.25 * wave(7.0 + plane, x) + 0.25 * wave(11.0, y)
    })
}
