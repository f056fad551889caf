//! One warp: its position in the program, its active lanes and registers, and what it waits for.

use super::lanes::{Registers, ThreadId, WARP, each, lanes_of};
use super::pending::{PendingCopies, PendingProducts};
use super::trap::Fault;
use crate::lang::{Operand, Reg64};

/// Whether a warp can run, and what it waits for if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WarpState {
    Ready,
    AtBarrier,
    AtMbarrier { at: usize, parity: u32 },
    Ended,
}

/// Active lanes that are restored at the end of an `If` or a loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaskFrame {
    /// Lanes that were active before.
    pub(super) before: u32,
    /// Lanes that take the other branch of an `If`.
    pub(super) others: u32,
}

/// A warp of a block.
#[derive(Debug)]
pub(super) struct Warp {
    pub(super) number: usize,
    pub(super) at: usize,
    pub(super) state: WarpState,
    pub(super) registers: Registers,
    pub(super) copies: PendingCopies,
    pub(super) products: PendingProducts,
    pub(super) frames: Vec<MaskFrame>,
    /// Steps so far in this block.
    pub(super) steps: u64,
}

impl Warp {
    pub(super) fn new(number: usize, registers: [u32; 3]) -> Self {
        Self {
            number,
            at: 0,
            state: WarpState::Ready,
            registers: Registers::new(registers),
            copies: PendingCopies::default(),
            products: PendingProducts::default(),
            frames: Vec::new(),
            steps: 0,
        }
    }

    /// Prepares it for a new block.
    pub(super) fn reset(&mut self) {
        self.at = 0;
        self.state = WarpState::Ready;
        self.registers.reset();
        self.copies.reset();
        self.products.reset();
        self.frames.clear();
        self.steps = 0;
    }

    pub(super) fn thread(&self, lane: usize) -> ThreadId {
        let warp = self.number;
        ThreadId { warp, lane }
    }

    /// Addresses in global memory, per lane.
    pub(super) fn global(&self, base: Reg64, offset: i32) -> Result<[u64; WARP], Fault> {
        let base = self.registers.long(base)?;
        Ok(each(|lane| {
            base[lane].wrapping_add_signed(i64::from(offset))
        }))
    }

    /// Addresses in shared memory, per lane.
    pub(super) fn local(&self, base: Operand, offset: i32) -> Result<[u32; WARP], Fault> {
        let base = self.registers.operand(base)?;
        Ok(each(|lane| base[lane].wrapping_add_signed(offset)))
    }

    pub(super) fn active(&self) -> impl Iterator<Item = usize> + use<> {
        lanes_of(self.registers.active)
    }
}
