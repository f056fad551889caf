//! What is in flight: asynchronous copies and matrix products of a warp, tensor copies and mbarriers
//! of a block.

use super::clocks::Views;
use super::lanes::{Lanes, WARP, lanes_of};
use super::trap::Fault;
use crate::lang::Reg;

/// The group of a copy that has not been committed yet.
pub(super) const OPEN: u32 = u32::MAX;

/// A warp's copies that have not completed.
#[derive(Debug)]
pub(super) struct PendingCopies {
    pub(super) under_way: Vec<PendingCopy>,
    /// Groups that each lane has committed.
    pub(super) closed: Lanes,
}

/// One instruction's copies.
#[derive(Debug)]
pub(super) struct PendingCopy {
    pub(super) lanes: u32,
    pub(super) group: Lanes,
    pub(super) to: [usize; WARP],
    pub(super) from: [u64; WARP],
    /// Lanes that read; the others get zeros.
    pub(super) reading: u32,
    pub(super) bytes: usize,
    /// The source bytes, if they were read when the copy started; else they are read at the wait.
    pub(super) values: Option<Box<[[u8; 16]; WARP]>>,
}

impl Default for PendingCopies {
    fn default() -> Self {
        Self {
            under_way: Vec::new(),
            closed: [0; WARP],
        }
    }
}

impl PendingCopies {
    pub(super) fn reset(&mut self) {
        self.under_way.clear();
        self.closed = [0; WARP];
    }

    pub(super) fn commit(&mut self, active: u32) {
        for copy in self.under_way.iter_mut().rev() {
            let mut open = 0;
            for lane in lanes_of(copy.lanes & active) {
                if copy.group[lane] == OPEN {
                    copy.group[lane] = self.closed[lane];
                    open += 1;
                }
            }
            if open == 0 {
                break;
            }
        }
        for lane in lanes_of(active) {
            self.closed[lane] += 1;
        }
    }
}

/// A warp's products that have not been waited for.
#[derive(Debug, Default)]
pub(super) struct PendingProducts {
    pub(super) under_way: Vec<PendingProduct>,
    /// Groups closed.
    pub(super) closed: u32,
}

/// One product.
#[derive(Debug)]
pub(super) struct PendingProduct {
    pub(super) group: Option<u32>,
    /// Places of 16 bytes that it reads.
    pub(super) reads: Vec<usize>,
    pub(super) sums: Vec<Reg>,
    pub(super) factors: Vec<Reg>,
}

impl PendingProducts {
    pub(super) fn reset(&mut self) {
        self.under_way.clear();
        self.closed = 0;
    }

    pub(super) fn any(&self) -> bool {
        !self.under_way.is_empty()
    }

    pub(super) fn commit(&mut self) {
        for product in &mut self.under_way {
            product.group.get_or_insert(self.closed);
        }
        self.closed += 1;
    }
}

/// A copy under way.
#[derive(Debug)]
pub(super) struct TensorTransfer {
    pub(super) to: Vec<usize>,
    pub(super) rows: Vec<u8>,
    pub(super) row_bytes: usize,
    pub(super) barrier: usize,
}

/// One barrier.
#[derive(Debug, Default)]
pub(super) struct Mbarrier {
    /// Arrivals that complete a phase.
    pub(super) count: u32,
    /// Arrivals that this phase still lacks.
    pub(super) missing: u32,
    /// Bytes that this phase still lacks; negative while more have come than were announced yet.
    pub(super) bytes: i64,
    /// Phases completed.
    pub(super) phases: u64,
    /// The views released by the arrivals of the current phase.
    pub(super) gathering: Views,
    /// The views released by the arrivals of the latest completed phase, which waiters acquire.
    pub(super) released: Views,
}

impl Mbarrier {
    /// Completes the phase if nothing is missing.
    pub(super) fn settle(&mut self) {
        // Both counts must be zero: bytes can arrive before the thread that announces them, which
        // leaves the count negative, so zero bytes alone do not complete a phase.
        if self.missing == 0 && self.bytes == 0 {
            self.phases += 1;
            self.missing = self.count;
            self.released = std::mem::take(&mut self.gathering);
        }
    }

    pub(super) fn arrive(&mut self, lane: usize) -> Result<(), Fault> {
        if self.missing == 0 {
            let what = format!(
                "arrives at an mbarrier whose {} arrivals are there",
                self.count
            );
            return Err(Fault::lane(lane, what));
        }
        self.missing -= 1;
        Ok(())
    }

    /// Whether the phase of this parity has completed. A barrier has one bit for its phase, so a
    /// wait names the parity of the phase that it waits for: with the current phase's parity it
    /// blocks, with the other one it passes.
    pub(super) fn passes(&self, parity: u32) -> bool {
        self.phases & 1 != u64::from(parity & 1)
    }

    /// What it waits for, in words.
    pub(super) fn describe(&self) -> String {
        format!(
            "phase {} lacks {} of {} arrivals and {} bytes",
            self.phases, self.missing, self.count, self.bytes
        )
    }
}
