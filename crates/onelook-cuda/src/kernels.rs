//! The kernels, a file each: what a layer needs is known when its kernel is written, so extents are
//! numbers of Rust and only addresses and the batch are left for the launch.
//!
//! Maps lie in memory pixel by pixel: value (n, y, x, c) of a map is at element
//! `((n * height + y) * width + x) * pitch + c`. A kernel waits for the kernels before it ahead of
//! its first read of what they wrote, and lets the next one start early.

pub mod attention;
pub mod conv;
pub mod depthwise;
pub mod gemm;
pub mod head;
pub mod nms;
pub mod pool;
pub mod reorder;
mod spec;
pub mod stem;
pub mod window;

use onelook_graph::op::{Activation, Operator};
use onelook_types::Precision;

use onelook_ptx::lang::{F32, Kernel};
pub use spec::KernelSpec;

/// Bytes of a vector: what one thread copies at once. Rows of tiles consist of whole vectors.
pub const VECTOR_BYTES: u32 = 16;

/// The number format of maps and weights. Sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// Half precision, multiplied by the matrix units.
    F16,
    /// Single precision, without matrix units: the reference for the other.
    F32,
}

impl Element {
    /// The precision that computes in it.
    pub fn precision(self) -> Precision {
        match self {
            Self::F16 => Precision::F16,
            Self::F32 => Precision::F32,
        }
    }

    /// Bytes of a value.
    pub fn bytes(self) -> u32 {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// Values of a vector of 16 bytes; channels of maps are padded to a multiple of it.
    pub fn per_vector(self) -> u32 {
        VECTOR_BYTES / self.bytes()
    }

    /// As names of kernels have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }

    /// The values' bytes in this format.
    pub fn encode(self, values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        let values = values.into_iter();
        match self {
            Self::F16 => values
                .flat_map(|value| half::f16::from_f32(value).to_le_bytes())
                .collect(),
            Self::F32 => values.flat_map(f32::to_le_bytes).collect(),
        }
    }

    /// The values with these bytes.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| half::f16::from_le_bytes(bytes).to_f32())
                .collect(),
            Self::F32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect(),
        }
    }
}

/// The extents of a map in memory; its address includes the first channel's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Map {
    /// Rows.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Channels, a multiple of a vector's values.
    pub channels: u32,
    /// Channels from one pixel to the next: those of the whole buffer.
    pub pitch: u32,
}

impl Map {
    /// Pixels of one image.
    pub fn pixels(&self) -> u32 {
        self.height * self.width
    }

    /// Bytes from the first channel of the first pixel to the end of the last one's.
    pub fn reach_bytes(&self, element: Element, batch: u32) -> usize {
        let pixels = self.pixels() as usize * batch as usize;
        let values = (pixels - 1) * self.pitch as usize + self.channels as usize;
        values * element.bytes() as usize
    }
}

/// A kernel with the blocks that cover the work of one batch.
#[derive(Debug, Clone)]
pub struct Tiled {
    /// The kernel.
    pub kernel: Kernel,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// The tiles in words.
    pub choice: String,
}

/// The activation of a sum. SiLU takes two approximate functions and not the one of `tanh.approx`,
/// whose eleven bits leave nothing of 1 + tanh(x/2) where x is well below 0: boxes would be off by
/// eight times as much.
pub fn activate(activation: Option<Activation>, x: F32<'_>) -> F32<'_> {
    match activation {
        None => x,
        Some(Activation::Silu) => x * sigmoid(x),
        Some(Activation::Sigmoid) => sigmoid(x),
        Some(Activation::Relu) => x.or_zero(),
        Some(other) => unreachable!("lowering refuses the activation {}", other.name()),
    }
}

/// 1 / (1 + e^-x), to about two units in the last place.
pub fn sigmoid(x: F32<'_>) -> F32<'_> {
    let exponential = (x * -std::f32::consts::LOG2_E).exp2();
    (exponential + 1.0).reciprocal()
}
