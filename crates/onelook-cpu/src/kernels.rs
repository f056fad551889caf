//! The kernels, one file each: plain loops over blocked maps, cut into tasks that any thread may run.
//!
//! Comes in: an [`Isa`](crate::isa::Isa), shapes and weights when a kernel is built; views of memory when a task
//! runs. Goes out: the task's part of the output, with the zero padding around it. Tasks of one run write disjoint
//! memory, and the result has the same bits for any batch, task split and thread count.
//! A kernel never allocates, never starts a thread and never checks shapes while it runs.

pub mod activation;
pub mod attention;
pub mod broadcast;
pub mod buffer;
pub mod channels;
pub mod conv;
pub mod copy;
pub mod depth_to_space;
pub mod depthwise;
pub mod element;
pub mod elementwise;
pub mod gemm;
pub mod layout;
pub mod pool;
pub mod reduce;
pub mod reorder;
pub mod softmax;
pub mod stem;
pub mod strided_copy;
#[cfg(test)]
pub(crate) mod testing;
pub mod upsample;

pub use activation::Activation;
pub use buffer::AlignedBuffer;
pub use element::Element;
pub use layout::{BLOCK, MapLayout, MapMut, MapView};

/// A kernel was asked for a shape that it cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kernel}: {reason}")]
pub struct KernelError {
    /// The kernel's stem, such as `conv_f32_blocked`.
    pub kernel: &'static str,
    /// What does not fit, and what would.
    pub reason: String,
}

impl KernelError {
    pub(crate) fn new(kernel: &'static str, reason: impl Into<String>) -> Self {
        KernelError {
            kernel,
            reason: reason.into(),
        }
    }
}

/// The part `index` of `count` nearly equal parts of `0..total`.
pub(crate) fn share(total: usize, count: usize, index: usize) -> std::ops::Range<usize> {
    let (size, longer) = (total / count, total % count);
    let start = index * size + index.min(longer);
    start..start + size + usize::from(index < longer)
}
