//! The engine's door: a GPU that is open, and the way from a graph to something that runs there.
//!
//! Planes of floats go in and come out, in the order of the graph's inputs and outputs, or pictures
//! go in and boxes come out. Never runs a part of a network on the CPU instead: what has no kernel is
//! an error when the model is compiled.

mod detector;
mod executable;
mod explain;

use std::path::PathBuf;
use std::sync::Arc;

use onelook_graph::{Backend, CompileError, Executable, Graph};
use onelook_types::{DetectHead, Precision};

use crate::driver::{Context, CubinCache, CudaError, DeviceInfo, Driver};
use crate::kernels::Element;
use crate::lower::gpu::Gpu;
use crate::lower::{Options, reads_boxes, unsupported};
use executable::CudaExecutable;

/// How a GPU is to be used.
#[derive(Debug, Clone, Default)]
pub struct CudaOptions {
    /// Bytes of its memory that buffers may take at most.
    pub memory_limit: Option<u64>,
    /// Where compiled kernels are kept; nowhere when absent.
    pub cache: Option<PathBuf>,
    /// Number format of maps and weights; 8 bits are not there yet.
    pub precision: Precision,
}

/// A GPU as a device.
#[derive(Clone)]
pub struct Cuda {
    context: Arc<Context>,
    cache: Option<Arc<CubinCache>>,
    element: Element,
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
            element: match options.precision {
                Precision::F32 => Element::F32,
                Precision::F16 | Precision::Int8 => Element::F16,
            },
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

    fn precision(&self) -> Precision {
        match self.element {
            Element::F16 => Precision::F16,
            Element::F32 => Precision::F32,
        }
    }

    /// What plans are made for: the figures of the GPU's kind, with what this one has.
    fn lowering(&self) -> Result<Options<'static>, CudaError> {
        let device = self.device();
        let mut gpu = Gpu::typical(device.target()?);
        gpu.multiprocessors = device.multiprocessors;
        Ok(Options {
            gpu,
            element: self.element,
            detect: None,
        })
    }

    fn executable(
        &self,
        graph: &Graph,
        head: Option<&DetectHead>,
    ) -> Result<Box<dyn Executable>, CompileError> {
        let refuse = |operators| CompileError::Unsupported {
            device: self.describe(),
            operators,
        };
        let lowering = self
            .lowering()
            .map_err(|error| refuse(vec![error.to_string()]))?;
        let operators = unsupported(graph, &lowering);
        if !operators.is_empty() {
            return Err(refuse(operators));
        }
        let head = head.filter(|head| reads_boxes(graph, head, &lowering));
        Ok(Box::new(CudaExecutable::new(
            self.clone(),
            graph.clone(),
            lowering,
            head.cloned(),
        )))
    }
}

impl Backend for Cuda {
    fn describe(&self) -> String {
        let device = self.device();
        format!(
            "cuda:{}, {}, {}",
            device.number,
            device.name,
            self.precision()
        )
    }

    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, CompileError> {
        self.executable(graph, None)
    }

    fn compile_detector(
        &self,
        graph: &Graph,
        head: &DetectHead,
    ) -> Result<Box<dyn Executable>, CompileError> {
        self.executable(graph, Some(head))
    }
}
