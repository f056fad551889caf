//! What a launch did, counted: the input of the cost model and of `explain`.

use std::fmt;
use std::ops::AddAssign;

/// Counts of one launch. Instructions are counted per warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Blocks that ran.
    pub blocks: u64,
    /// Warp instructions, jumps not among them.
    pub instructions: u64,
    /// Matrix products (`mma`); a `wgmma` counts as those that it stands for.
    pub mma: u64,
    /// Global bytes read, each 32-byte sector once per launch: what DRAM must give at least.
    pub read_bytes: u64,
    /// Global bytes written, each 32-byte sector once per launch.
    pub written_bytes: u64,
    /// Bytes of the 32-byte sectors that the warps' global loads, stores and copies ask of L2.
    pub requested_bytes: u64,
    /// Warp instructions that access shared memory.
    pub shared_accesses: u64,
    /// Wavefronts of shared memory beyond those that a conflict-free access needs.
    pub bank_conflicts: u64,
    /// Block barriers, counted per block.
    pub barriers: u64,
    /// Atomic operations on global memory, counted per lane.
    pub atomics: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.instructions += other.instructions;
        self.mma += other.mma;
        self.read_bytes += other.read_bytes;
        self.written_bytes += other.written_bytes;
        self.requested_bytes += other.requested_bytes;
        self.shared_accesses += other.shared_accesses;
        self.bank_conflicts += other.bank_conflicts;
        self.barriers += other.barriers;
        self.atomics += other.atomics;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} blocks, {} instructions, {} mma, {} B read, {} B written, {} B asked of L2, \
             {} shared accesses, {} bank conflicts, {} barriers",
            self.blocks,
            self.instructions,
            self.mma,
            self.read_bytes,
            self.written_bytes,
            self.requested_bytes,
            self.shared_accesses,
            self.bank_conflicts,
            self.barriers
        )
    }
}
