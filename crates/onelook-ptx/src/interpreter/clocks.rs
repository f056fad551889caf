//! Vector clocks: which accesses of other warps a warp is ordered after.
//!
//! Each warp has a clock, and for every other warp the time up to which that warp's accesses
//! happened before its own next one. Barriers join these views. Two accesses without such an order
//! race.

use super::lanes::ALL;

/// How far a warp is ordered after another: after all its accesses before `full`, and after those
/// of some lanes before `partial` (lanes can arrive at an mbarrier one by one).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    pub(super) full: u32,
    lanes: u32,
    partial: u32,
}

impl View {
    /// Whether the access of a lane at a time happened before.
    pub(super) fn knows(self, lane: u32, clock: u32) -> bool {
        clock < self.full || (clock < self.partial && self.lanes >> lane & 1 == 1)
    }

    fn all_before(clock: u32) -> Self {
        Self {
            full: clock,
            lanes: 0,
            partial: 0,
        }
    }

    fn join(&mut self, other: Self) {
        self.full = self.full.max(other.full);
        if other.partial > self.full {
            self.lanes |= other.lanes;
            self.partial = self.partial.max(other.partial);
        }
    }
}

/// The views that an arrival releases at a barrier, for the threads that wait there.
pub(super) type Views = Vec<View>;

/// Joins released views into those of a waiter.
pub(super) fn join(into: &mut Views, told: &[View]) {
    if into.len() < told.len() {
        into.resize(told.len(), View::default());
    }
    for (into, &told) in into.iter_mut().zip(told) {
        into.join(told);
    }
}

/// The clocks of a block's warps, and last that of the unit that copies tensors asynchronously.
#[derive(Debug)]
pub(super) struct VectorClocks {
    clocks: Vec<u32>,
    views: Vec<Views>,
}

impl VectorClocks {
    pub(super) fn new(warps: usize) -> Self {
        let mut order = Self {
            clocks: vec![0; warps + 1],
            views: vec![vec![View::default(); warps + 1]; warps],
        };
        order.begin();
        order
    }

    pub(super) fn clock(&self, warp: usize) -> u32 {
        self.clocks[warp]
    }

    pub(super) fn latest(&self) -> u32 {
        self.clocks.iter().copied().max().unwrap_or(0)
    }

    pub(super) fn views(&self, warp: usize) -> &[View] {
        &self.views[warp]
    }

    /// A new block begins: everything before happened before it.
    pub(super) fn begin(&mut self) {
        let now = self.latest() + 1;
        self.clocks.fill(now);
        for views in &mut self.views {
            views.fill(View::all_before(now));
        }
    }

    /// A barrier of the block: every warp is now ordered after everything that any of them was
    /// ordered after. The copy unit takes no part in it, so only what some warp has waited for
    /// counts.
    pub(super) fn block_barrier(&mut self) {
        let now = self.latest() + 1;
        let warps = self.views.len();
        let mut unit = View::default();
        for views in &self.views {
            unit.join(views[warps]);
        }
        self.clocks[..warps].fill(now);
        for views in &mut self.views {
            views[..warps].fill(View::all_before(now));
            views[warps] = unit;
        }
    }

    /// A barrier of the warp (`bar.warp.sync`).
    pub(super) fn warp_barrier(&mut self, warp: usize) {
        self.clocks[warp] += 1;
        self.views[warp][warp].full = self.clocks[warp];
    }

    /// What lanes of a warp release to the threads that wait for them.
    pub(super) fn release(&mut self, warp: usize, lanes: u32) -> Views {
        self.clocks[warp] += 1;
        let now = self.clocks[warp];
        let mut told = self.views[warp].clone();
        if lanes == ALL {
            told[warp].full = now;
        } else {
            told[warp].join(View {
                full: 0,
                lanes,
                partial: now,
            });
        }
        told
    }

    /// The copy unit begins to write.
    pub(super) fn tick_unit(&mut self) {
        let warps = self.views.len();
        self.clocks[warps] += 1;
    }

    /// What the copy unit releases to the threads that wait for its bytes.
    pub(super) fn release_unit(&mut self, into: &mut Views) {
        let warps = self.views.len();
        self.clocks[warps] += 1;
        let mut told = vec![View::default(); warps + 1];
        told[warps] = View::all_before(self.clocks[warps]);
        join(into, &told);
    }

    /// A warp acquires released views.
    pub(super) fn acquire(&mut self, warp: usize, from: &[View]) {
        join(&mut self.views[warp], from);
    }
}
