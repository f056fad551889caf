//! How many bytes per second a kernel copies, from device memory and from L2.

use std::fmt;

use onelook_ptx::lang::{Builder, Cache, Special};
use serde::Serialize;

use super::{CheckError, Checker};
use crate::driver::{CudaError, DeviceBuffer, Function, Stream, Value};

/// Bytes that a thread copies: vectors of 16.
const VECTORS: u32 = 4;
const THREADS: u32 = 256;
const BLOCK_BYTES: usize = THREADS as usize * VECTORS as usize * 16;
/// Times per figure; the quickest counts.
const ROUNDS: usize = 20;
/// Copies of which one time is taken: the first alone waits for the CPU.
const IN_A_ROW: usize = 10;

/// Bytes per second from and to a memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Which.
    pub memory: &'static str,
    /// Bytes that were copied.
    pub bytes: usize,
    /// Read and written bytes per second, in 10^9.
    pub gigabytes_per_second: f64,
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        let rate = self.gigabytes_per_second;
        write!(f, "{:<28} {rate:.0} GB/s ({megabytes:.0} MB)", self.memory)
    }
}

impl Checker<'_> {
    /// Device memory, and L2 by a copy that fits there.
    ///
    /// # Errors
    /// The driver refused.
    pub fn bandwidths(&self) -> Result<Vec<Bandwidth>, CheckError> {
        let function = self.copy_kernel()?;
        let device = self.context.device();
        let most = usize::try_from(device.memory / 8).unwrap_or(usize::MAX);
        let far = self.options.copied_bytes.min(most);
        let l2 = (device.l2_bytes as usize / 4).clamp(1 << 20, 64 << 20);
        Ok(vec![
            self.copied("device memory", &function, far)?,
            self.copied("L2", &function, l2)?,
        ])
    }

    /// Each thread copies vectors of 16 bytes, neighbours next to each other.
    fn copy_kernel(&self) -> Result<Function, CudaError> {
        let k = Builder::new("bandwidth", self.gpu.target, THREADS);
        let (from, to) = (k.input("from"), k.output("to"));
        let vector = k.special(Special::BlockX) * (THREADS * VECTORS) + k.thread();
        let at = vector * 16;
        let places = (0..VECTORS).map(|number| number * THREADS * 16);
        let (from, to) = (from + at, to + at);
        let loaded: Vec<_> = places
            .clone()
            .map(|place| k.load::<4>(from + place, Cache::Default))
            .collect();
        for (place, values) in places.zip(loaded) {
            k.store(to + place, values);
        }
        self.load(&k.finish())
    }

    fn copied(
        &self,
        memory: &'static str,
        function: &Function,
        bytes: usize,
    ) -> Result<Bandwidth, CudaError> {
        let blocks = u32::try_from(bytes / BLOCK_BYTES).unwrap_or(1).max(1);
        let bytes = blocks as usize * BLOCK_BYTES;
        let mut from = DeviceBuffer::new(self.context, bytes, "a copy")?;
        let mut to = DeviceBuffer::new(self.context, bytes, "a copy")?;
        from.fill(1)?;
        to.fill(0)?;
        let stream = Stream::new(self.context)?;
        let values = [from.address(), to.address()].map(Value::Address);
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            // SAFETY: the grid's threads touch `bytes` bytes of both, which live until `timed`
            // has waited.
            let launch = |_| unsafe { function.launch(&stream, [blocks, 1, 1], &values, false) };
            let launches = || (0..IN_A_ROW).try_for_each(launch);
            best = best.min(self.timed(&stream, launches)?.seconds / IN_A_ROW as f64);
        }
        Ok(Bandwidth {
            memory,
            bytes,
            gigabytes_per_second: 2.0 * bytes as f64 / best.max(1e-9) / 1e9,
        })
    }
}
