//! Whether the GPU at hand computes what it should, and how quickly: kernels against f64 and the
//! interpreter, networks against the CPU engine, times.

use std::fmt;
use std::sync::Arc;

use onelook_cpu::Cpu;
use onelook_cuda::check::{CheckOptions, CheckReport, Checker};
use onelook_cuda::driver::{Context, CubinCache, Driver};
use onelook_cuda::engine::{Cuda, CudaOptions};
use onelook_graph::read::ModelFile;
use onelook_graph::{Backend, Graph, pass};
use onelook_types::{HeadOutputs, Precision, Tensor};
use serde::Serialize;

use crate::device::random;
use crate::{Error, registry};

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct GpuCheck {
    /// By the engine itself.
    #[serde(flatten)]
    pub report: CheckReport,
    /// The network against the CPU engine, by number format.
    pub engines: Vec<EngineCheck>,
}

/// How far off the network's outputs are from the CPU engine's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineCheck {
    /// The GPU's number format.
    pub precision: String,
    /// `‖gpu - cpu‖ / ‖cpu‖`, the worst of the outputs.
    pub off: f64,
    /// How far off it may be.
    pub tolerance: f64,
}

impl GpuCheck {
    /// Whether everything is as it should be.
    pub fn passed(&self) -> bool {
        self.report.passed() && self.engines.iter().all(EngineCheck::passed)
    }
}

impl EngineCheck {
    /// Whether the outputs are near enough; never where one is no number.
    pub fn passed(&self) -> bool {
        self.off <= self.tolerance
    }
}

impl fmt::Display for GpuCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.report)?;
        writeln!(f, "network against the CPU engine")?;
        for engine in &self.engines {
            let verdict = if engine.passed() { "ok    " } else { "WRONG " };
            writeln!(f, "{verdict} {:.1e}  {}", engine.off, engine.precision)?;
        }
        Ok(())
    }
}

/// Checks and times the GPU of this number with a model, telling `progress` what is next.
///
/// # Errors
/// There is no such GPU, or it cannot take the model. Wrong results are no error but in the report.
pub fn check_gpu(
    number: usize,
    model: ModelFile,
    mut progress: impl FnMut(&str),
) -> Result<GpuCheck, Error> {
    let refused = |reason: String| Error::Device {
        device: format!("cuda:{number}"),
        reason,
    };
    let ModelFile {
        mut graph,
        metadata,
    } = model;
    pass::optimise(&mut graph);
    let driver = Driver::open().map_err(|error| refused(error.to_string()))?;
    let context = Context::open(&driver, number, None);
    let context = context.map_err(|error| refused(error.to_string()))?;
    let cache = registry::kernels_directory().map(CubinCache::new);
    let checker = Checker::new(&context, cache.as_ref(), CheckOptions::default());
    let checker = checker.map_err(|error| refused(error.to_string()))?;
    let head = (metadata.head.outputs == HeadOutputs::Maps).then_some(&metadata.head);
    let report = checker
        .run(&graph, head, &mut progress)
        .map_err(|error| refused(error.to_string()))?;
    progress("the network against the CPU engine");
    let engines = against_cpu(&driver, number, &graph)?;
    Ok(GpuCheck { report, engines })
}

fn against_cpu(
    driver: &Arc<Driver>,
    number: usize,
    graph: &Graph,
) -> Result<Vec<EngineCheck>, Error> {
    let input = random([2, 3, 640, 640], 1.0);
    let cpu = Cpu::new(None).map_err(|error| Error::Device {
        device: "cpu".to_owned(),
        reason: error.to_string(),
    })?;
    let expected = outputs(&cpu, graph, &input)?;
    let formats = [(Precision::F16, 2e-2), (Precision::F32, 1e-4)];
    formats
        .into_iter()
        .map(|(precision, tolerance)| {
            let options = CudaOptions {
                memory_limit: None,
                cache: registry::kernels_directory(),
                precision,
            };
            let gpu = Cuda::open(driver, number, &options).map_err(|error| Error::Device {
                device: format!("cuda:{number}"),
                reason: error.to_string(),
            })?;
            Ok(EngineCheck {
                precision: precision.to_string(),
                off: deviation(&outputs(&gpu, graph, &input)?, &expected),
                tolerance,
            })
        })
        .collect()
}

fn outputs(backend: &dyn Backend, graph: &Graph, input: &Tensor) -> Result<Vec<Tensor>, Error> {
    let executable = backend.compile(graph).map_err(|source| Error::Compile {
        name: "the model".to_owned(),
        source,
    })?;
    Ok(executable.run(&[input])?)
}

/// The worst of the outputs; NaN if any value is no number.
fn deviation(actual: &[Tensor], expected: &[Tensor]) -> f64 {
    let of = |(actual, expected): (&Tensor, &Tensor)| {
        let pairs = actual.data().iter().zip(expected.data());
        let off: f64 = pairs
            .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
            .sum();
        let all: f64 = expected.data().iter().map(|&b| f64::from(b).powi(2)).sum();
        (off / all).sqrt()
    };
    let each = actual.iter().zip(expected).map(of);
    each.fold(0.0, |worst, off| {
        if off > worst || off.is_nan() {
            off
        } else {
            worst
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_never_passes() {
        let tensor = |values: &[f32]| Tensor::new([values.len()], values.to_vec()).unwrap();
        let expected = [tensor(&[3.0, 4.0]), tensor(&[1.0])];
        let off = deviation(&[tensor(&[3.0, 4.5]), tensor(&[1.0])], &expected);
        assert!((off - 0.1).abs() < 1e-6);
        let off = deviation(&[tensor(&[f32::NAN, 4.0]), tensor(&[1.0])], &expected);
        let check = EngineCheck {
            precision: "f16".to_owned(),
            off,
            tolerance: 1.0,
        };
        assert!(!check.passed());
    }
}
