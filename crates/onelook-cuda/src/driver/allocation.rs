//! Allocation of a GPU's memory: requests in, blocks or an error with figures out. Never takes more
//! than the user's limit.

use super::abi::{DevicePointer, status};
use super::error::OutOfMemory;
use super::pool::{Block, PoolState};
use super::{Context, CudaError};

/// Blocks are multiples of this: addresses stay aligned for every load and for TMA.
const GRAIN: usize = 512;

impl Context {
    /// Bytes of the GPU that its buffers have, those kept for reuse included.
    pub fn memory_taken(&self) -> u64 {
        self.pool.lock().taken
    }

    /// Gives memory that is kept for reuse back to the driver.
    pub fn trim(&self) {
        let Ok(_bound) = self.bind() else { return };
        self.free_kept(&mut self.pool.lock());
    }

    /// A block of at least so many bytes; `purpose` is for the error.
    pub(super) fn take(&self, bytes: usize, purpose: &str) -> Result<Block, CudaError> {
        let Some(rounded) = bytes.max(1).checked_next_multiple_of(GRAIN) else {
            return Err(self.out_of_memory(0, bytes, purpose));
        };
        let mut state = self.pool.lock();
        if let Some(block) = state.reuse(rounded) {
            return Ok(block);
        }
        let _bound = self.bind()?;
        if !self.pool.allows(state.taken, rounded) {
            self.free_kept(&mut state);
        }
        if !self.pool.allows(state.taken, rounded) {
            return Err(self.out_of_memory(state.taken, bytes, purpose));
        }
        let first = self.allocate(rounded);
        let pointer = match first {
            Err(CudaError::Call { code, .. }) if code == status::OUT_OF_MEMORY => {
                self.free_kept(&mut state);
                match self.allocate(rounded) {
                    Err(CudaError::Call { code, .. }) if code == status::OUT_OF_MEMORY => {
                        return Err(self.out_of_memory(state.taken, bytes, purpose));
                    }
                    second => second?,
                }
            }
            first => first?,
        };
        state.taken += rounded as u64;
        Ok(Block {
            pointer,
            bytes: rounded,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<DevicePointer, CudaError> {
        let mut pointer = 0;
        // SAFETY: the pointer is to a live address; the context is current.
        let code = unsafe { (self.driver().table().cuMemAlloc_v2)(&raw mut pointer, bytes) };
        self.driver().check("cuMemAlloc", code)?;
        Ok(pointer)
    }

    /// The context must be current.
    fn free_kept(&self, state: &mut PoolState) {
        for block in state.kept.drain(..) {
            // SAFETY: the block is the driver's and nobody else has it; the call waits for work
            // that uses it.
            unsafe { (self.driver().table().cuMemFree_v2)(block.pointer) };
            state.taken = state.taken.saturating_sub(block.bytes as u64);
        }
    }

    fn out_of_memory(&self, used: u64, wanted: usize, purpose: &str) -> CudaError {
        let memory = self.memory().ok();
        CudaError::OutOfMemory(Box::new(OutOfMemory {
            device: self.device().to_string(),
            purpose: purpose.to_owned(),
            wanted: wanted as u64,
            limit: self.pool.limit,
            used,
            free: memory.map_or(0, |memory| memory.free),
            total: memory.map_or(self.device().memory, |memory| memory.total),
        }))
    }
}
