//! Figures of GPUs from their data sheets, for choosing tiles and estimating times without a GPU.
//! Where there is one, its own properties replace them.

use onelook_ptx::lang::Target;

/// What a GPU can do per second and per clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// The device that the figures are of.
    pub name: &'static str,
    /// The target that code is generated for.
    pub target: Target,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Clock in GHz under load.
    pub clock_ghz: f64,
    /// Bytes per nanosecond from and to device memory.
    pub memory_gbps: f64,
    /// Bytes per clock from L2 to one multiprocessor.
    pub l2_bytes_per_clock: f64,
    /// Fused multiply-adds per clock and multiprocessor: f16 by `mma.sync`.
    pub f16_fma_per_clock: f64,
    /// The same for f32.
    pub f32_fma_per_clock: f64,
    /// Microseconds from one kernel's end to the start of the next in a graph of kernels.
    pub graph_gap_us: f64,
    /// The same where the next one is launched early and waits.
    pub dependent_gap_us: f64,
}

impl Gpu {
    /// A common device of each target.
    pub fn typical(target: Target) -> Self {
        let (name, multiprocessors, clock_ghz, memory_gbps, half, float, l2) = match target {
            Target::Sm75 => ("T4", 40, 1.35, 320.0, 512.0, 64.0, 48.0),
            Target::Sm80 => ("A100 80GB", 108, 1.35, 2039.0, 1024.0, 64.0, 40.0),
            Target::Sm86 => ("A10", 72, 1.5, 600.0, 256.0, 128.0, 32.0),
            Target::Sm89 => ("L4", 58, 1.8, 300.0, 512.0, 128.0, 40.0),
            Target::Sm90a => ("H100 SXM", 132, 1.7, 3350.0, 1280.0, 128.0, 42.0),
            Target::Sm100 => ("B200", 148, 1.8, 8000.0, 1024.0, 128.0, 48.0),
            Target::Sm120 => ("RTX PRO 6000", 188, 2.3, 1792.0, 512.0, 128.0, 40.0),
        };
        let early = target >= Target::Sm90a;
        Self {
            name,
            target,
            multiprocessors,
            clock_ghz,
            memory_gbps,
            l2_bytes_per_clock: l2,
            f16_fma_per_clock: half,
            f32_fma_per_clock: float,
            graph_gap_us: 1.3,
            dependent_gap_us: if early { 0.7 } else { 1.3 },
        }
    }

    /// Microseconds that so many clocks take.
    pub fn microseconds(&self, clocks: f64) -> f64 {
        clocks / self.clock_ghz / 1000.0
    }

    /// Microseconds below which no kernel with this work can end: the larger of arithmetic and
    /// traffic with device memory.
    pub fn floor_us(&self, flops: u64, bytes: u64, f16: bool) -> f64 {
        let per_clock = match f16 {
            true => self.f16_fma_per_clock,
            false => self.f32_fma_per_clock,
        };
        let clocks = flops as f64 / 2.0 / per_clock / f64::from(self.multiprocessors);
        let traffic = bytes as f64 / self.memory_gbps / 1000.0;
        self.microseconds(clocks).max(traffic)
    }
}
