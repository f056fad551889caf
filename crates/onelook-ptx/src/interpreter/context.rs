//! What instructions act on besides their warp: the state of the block and of the launch.

use super::global::{GrantedRanges, Memory};
use super::lanes::ThreadId;
use super::races::{BlockHistory, MemoryAccess, RaceDetector};
use super::report::Report;
use super::schedule::Random;
use super::shared_memory::Shared;
use super::traffic::TouchedSectors;
use super::value::Value;
use crate::lang::Target;

/// The state of a block that its warps share.
#[derive(Debug)]
pub(super) struct BlockContext<'a> {
    pub(super) index: [u32; 3],
    pub(super) shared: &'a mut Shared,
    pub(super) history: &'a mut BlockHistory,
    /// By warp: whether it is ordered after the end of the launches before this one.
    pub(super) grid_waited: &'a mut [bool],
}

/// The state of a launch that its blocks share.
#[derive(Debug)]
pub(super) struct LaunchContext<'a> {
    pub(super) target: Target,
    pub(super) memory: &'a mut Memory,
    pub(super) ranges: GrantedRanges,
    pub(super) grid: [u32; 3],
    pub(super) values: &'a [Value],
    pub(super) latest: usize,
    pub(super) report: Report,
    pub(super) read: TouchedSectors,
    pub(super) written: TouchedSectors,
    pub(super) random: Random,
    pub(super) races: RaceDetector,
}

impl BlockContext<'_> {
    pub(super) fn access(
        &mut self,
        thread: ThreadId,
        address: u64,
        bytes: u32,
    ) -> (&mut BlockHistory, MemoryAccess<'_>) {
        let access = MemoryAccess {
            thread,
            clocks: &self.shared.clocks,
            address,
            bytes,
        };
        (self.history, access)
    }
}
