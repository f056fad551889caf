//! The blocks of a GPU's memory that this process has, and the user's limit.
//!
//! Blocks that were given back are kept and reused, because freeing memory waits for the whole GPU.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::DevicePointer;

/// Memory of the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub pointer: DevicePointer,
    pub bytes: usize,
}

/// What we have and what we may have.
pub(super) struct Pool {
    pub(super) limit: Option<u64>,
    state: Mutex<PoolState>,
}

#[derive(Default)]
pub(super) struct PoolState {
    /// Bytes of all blocks, kept ones included.
    pub(super) taken: u64,
    pub(super) kept: Vec<Block>,
}

impl PoolState {
    /// The smallest kept block that fits and wastes at most a quarter of itself.
    pub(super) fn reuse(&mut self, bytes: usize) -> Option<Block> {
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
    pub(super) fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn allows(&self, taken: u64, more: usize) -> bool {
        self.limit
            .is_none_or(|limit| taken.saturating_add(more as u64) <= limit)
    }

    /// Keeps a block for the next request.
    pub fn give_back(&self, block: Block) {
        self.lock().kept.push(block);
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
