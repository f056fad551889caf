//! A GPU that is open, and from a graph to something that runs there.
//!
//! Tensors go in and come out, in the order of the graph's inputs and outputs, or images go in and
//! predictions come out. Never runs a part of a network on the CPU instead: what has no kernel is
//! an error when the model is compiled.

mod executable;
mod explain;
mod image_batch;
mod plan_cache;
mod tensor_batch;

use std::path::PathBuf;
use std::sync::Arc;

use onelook_graph::{Backend, CompileError, CompileOptions, Executable, Graph};
use onelook_types::{DetectHead, Head, Precision, Shape};

use crate::driver::{Context, CubinCache, CudaError, DeviceInfo, Driver};
use crate::kernels::Element;
use crate::lower::gpu::Gpu;
use crate::lower::{LowerError, Options, lower, reads_boxes, unsupported};
use executable::CudaExecutable;

/// How a GPU is to be used.
#[derive(Debug, Clone, Default)]
pub struct CudaOptions {
    /// Bytes of its memory that buffers may take at most.
    pub memory_limit: Option<u64>,
    /// Where compiled kernels are kept; nowhere when absent.
    pub cache: Option<PathBuf>,
    /// Bytes that the plans of one model may take together, those in use and the one used last aside:
    /// device memory and pinned memory. Half of what may be taken and is free when absent.
    pub plan_bytes: Option<usize>,
}

/// A GPU as a device.
#[derive(Clone)]
pub struct Cuda {
    context: Arc<Context>,
    cache: Option<Arc<CubinCache>>,
    options: CudaOptions,
}

impl Cuda {
    /// Opens the GPU of this number.
    ///
    /// # Errors
    /// There is no such GPU, it is too old, or it has no memory left.
    pub fn open(
        driver: &Arc<Driver>,
        number: usize,
        options: &CudaOptions,
    ) -> Result<Self, CudaError> {
        let context = Context::open(driver, number, options.memory_limit)?;
        let cache = options.cache.as_ref().map(CubinCache::new);
        cache.iter().for_each(CubinCache::try_out);
        Ok(Self {
            context,
            cache: cache.map(Arc::new),
            options: options.clone(),
        })
    }

    /// What the GPU is.
    pub fn device(&self) -> &DeviceInfo {
        self.context.device()
    }

    /// Why compiled kernels cannot be kept, if so: known from the start where their folder cannot
    /// be written.
    pub fn cache_problem(&self) -> Option<&str> {
        self.cache.as_ref()?.problem()
    }

    /// Bytes that the plans of one model may take together.
    fn plan_bytes(&self) -> usize {
        let half = || {
            let free = self
                .context
                .memory()
                .map_or(self.device().memory, |it| it.free);
            let free = self
                .options
                .memory_limit
                .map_or(free, |limit| limit.min(free));
            usize::try_from(free / 2).unwrap_or(usize::MAX)
        };
        self.options.plan_bytes.unwrap_or_else(half)
    }

    /// What plans are made for: the figures of the GPU's kind, with what this one has.
    fn lowering(&self, element: Element) -> Result<Options<'static>, CudaError> {
        let device = self.device();
        let mut gpu = Gpu::typical(device.target()?);
        gpu.multiprocessors = device.multiprocessors;
        Ok(Options {
            gpu,
            element,
            detect: None,
        })
    }
}

impl Backend for Cuda {
    fn describe(&self) -> String {
        let device = self.device();
        format!("cuda:{}, {}", device.number, device.name)
    }

    fn compile(
        &self,
        graph: &Graph,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        let element = match options.precision {
            Precision::F16 => Element::F16,
            other => {
                let available = [Precision::F32, Precision::F16];
                CompileError::check_precision(&self.describe(), other, &available)?;
                Element::F32
            }
        };
        let refuse = |operators| CompileError::Unsupported {
            device: self.describe(),
            operators,
        };
        let lowering = self
            .lowering(element)
            .map_err(|error| refuse(vec![error.to_string()]))?;
        let operators = unsupported(graph, &lowering);
        if !operators.is_empty() {
            return Err(refuse(operators));
        }
        let head = match &options.head {
            Some(Head::Detect(detect)) if has_image_plan(graph, detect, &lowering) => Some(detect),
            _ => None,
        };
        Ok(Box::new(CudaExecutable::new(
            self.clone(),
            graph.clone(),
            lowering,
            head.cloned(),
        )))
    }
}

/// Whether there are kernels from images to predictions. A head may have more classes than its
/// kernel takes on this GPU, which shows when a plan is made: one for a small input is tried.
fn has_image_plan(graph: &Graph, detect: &DetectHead, lowering: &Options<'_>) -> bool {
    let side = 2 * detect.strides.iter().copied().max().unwrap_or(32);
    let options = Options {
        detect: Some(detect),
        ..*lowering
    };
    reads_boxes(graph, detect, lowering)
        && !matches!(
            lower(graph, &Shape::from([1, 3, side, side]), &options),
            Err(LowerError::Unsupported(_))
        )
}
