//! How much of a GPU's memory we have: requests in, blocks or an error with figures out.
//!
//! Blocks that were given back are kept and handed out again, because giving memory back to the
//! driver waits for the whole GPU. Never takes more than the user's limit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::{DevicePointer, status};
use super::error::OutOfMemory;
use super::{Context, CudaError};

/// Blocks are multiples of this: addresses stay aligned for every load and for TMA.
const GRAIN: usize = 512;

/// Memory of the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub pointer: DevicePointer,
    pub bytes: usize,
}

/// What we have and what we may have.
pub(super) struct Pool {
    limit: Option<u64>,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// Bytes of all blocks, kept ones included.
    taken: u64,
    kept: Vec<Block>,
}

impl PoolState {
    /// The smallest kept block that fits and wastes at most a quarter of itself.
    fn reuse(&mut self, bytes: usize) -> Option<Block> {
        let fits = |block: &Block| block.bytes >= bytes && block.bytes - bytes <= block.bytes / 4;
        let candidates = self.kept.iter().enumerate().filter(|(_, b)| fits(b));
        let (index, _) = candidates.min_by_key(|(_, block)| block.bytes)?;
        Some(self.kept.swap_remove(index))
    }
}

impl Pool {
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            state: Mutex::default(),
        }
    }

    /// A panic elsewhere leaves the figures whole: they are changed only after calls.
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allows(&self, taken: u64, more: usize) -> bool {
        self.limit
            .is_none_or(|limit| taken.saturating_add(more as u64) <= limit)
    }

    /// Keeps a block for the next request.
    pub fn give_back(&self, block: Block) {
        self.lock().kept.push(block);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_kept_block_that_wastes_little_is_reused() {
        let block = |pointer, bytes| Block { pointer, bytes };
        let mut state = PoolState {
            taken: 0,
            kept: vec![block(1, 4096), block(2, 1024), block(3, 1536)],
        };
        assert_eq!(state.reuse(2048), None);
        assert_eq!(state.reuse(1024), Some(block(2, 1024)));
        assert_eq!(state.reuse(1200), Some(block(3, 1536)));
        assert_eq!(state.kept, [block(1, 4096)]);
    }

    #[test]
    fn a_limit_counts_what_is_taken_already() {
        let pool = Pool::new(Some(1000));
        assert!(pool.allows(488, 512));
        assert!(!pool.allows(489, 512));
        assert!(!pool.allows(u64::MAX, 512));
        assert!(Pool::new(None).allows(1 << 40, 512));
    }
}
