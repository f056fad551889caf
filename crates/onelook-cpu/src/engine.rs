//! The CPU as a device: which instructions, how many threads, and from a graph to an executable.

use std::sync::Arc;

use onelook_graph::{Backend, CompileError, CompileOptions, Executable, Graph, Op};
use onelook_types::Precision;

use crate::executable::CpuExecutable;
use crate::isa::{Isa, IsaError};
use crate::threads::ThreadPool;

/// Bytes of values that one executable may hold, unless told otherwise.
const DEFAULT_MEMORY_LIMIT: usize = 8 << 30;

/// The CPU as a device.
#[derive(Clone)]
pub struct Cpu {
    isa: Isa,
    threads: Arc<ThreadPool>,
    /// Whether half precision may be emulated: for tests, and where a level was asked for.
    emulates: bool,
}

/// Why the CPU engine could not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The forced instruction set is unknown or missing.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// No thread was asked for.
    #[error("the CPU engine needs at least one thread; leave --threads out to use all cores")]
    NoThreads,
}

impl Cpu {
    /// The engine with this many threads, all cores by default, and the widest instructions of this
    /// CPU or those that `ONELOOK_ISA` names.
    pub fn new(threads: Option<usize>) -> Result<Self, CpuError> {
        let cpu = Self::with_isa(Isa::detect()?, threads_or_cores(threads)?);
        Ok(Self {
            emulates: Isa::is_forced(),
            ..cpu
        })
    }

    /// The engine with given instructions and number of threads; half precision is emulated where the level has no
    /// instructions for it.
    pub fn with_isa(isa: Isa, threads: usize) -> Self {
        Self {
            isa,
            threads: Arc::new(ThreadPool::new(threads)),
            emulates: true,
        }
    }

    /// What the engine computes in: half precision where it is faster than f32, or was asked for with a level.
    fn precisions(&self) -> &'static [Precision] {
        match self.isa.multiplies_bf16() || self.emulates {
            true => &[Precision::F32, Precision::F16],
            false => &[Precision::F32],
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.threads()
    }
}

fn threads_or_cores(threads: Option<usize>) -> Result<usize, CpuError> {
    match threads {
        Some(0) => Err(CpuError::NoThreads),
        Some(threads) => Ok(threads),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        let threads = self.threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("cpu, {threads} thread{plural}, {}", self.isa.name())
    }

    fn compile(
        &self,
        graph: &Graph,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        CompileError::check_precision(&self.describe(), options.precision, self.precisions())?;
        let operators: Vec<String> = graph.nodes.iter().filter_map(missing_kernel).collect();
        if !operators.is_empty() {
            return Err(CompileError::Unsupported {
                device: self.describe(),
                operators,
            });
        }
        let threads = Arc::clone(&self.threads);
        let name = self.describe();
        Ok(Box::new(CpuExecutable::new(
            graph.clone(),
            self.isa,
            options.precision,
            threads,
            options.limits.memory_bytes.unwrap_or(DEFAULT_MEMORY_LIMIT),
            name,
        )))
    }
}

/// What the engine has no kernel for, in words.
fn missing_kernel(node: &onelook_graph::Node) -> Option<String> {
    let reason = match &node.op {
        // The passes leave none.
        Op::BatchNorm(_) => "of a graph that was not optimised",
        _ => return None,
    };
    let attributes = node.op.as_operator().attributes();
    Some(format!(
        "{} {attributes} ({reason}, '{}')",
        node.op.name(),
        node.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_that_would_be_emulated_is_refused_unless_a_level_was_asked_for() {
        let options = CompileOptions {
            precision: Precision::F16,
            ..CompileOptions::default()
        };
        let forced = Cpu::with_isa(Isa::Portable, 1);
        assert!(forced.compile(&Graph::new(), &options).is_ok());
        let found = Cpu {
            emulates: false,
            ..forced
        };
        let error = found.compile(&Graph::new(), &options).err();
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("use f32"), "{message}");
    }
}
