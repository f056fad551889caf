//! ThreadId has seen whose accesses to shared memory: a clock per warp, and for each warp what it knows of
//! the others. Barriers join the knowledge; without one, two threads' accesses have no order.

use super::lanes::ALL;

/// What a warp knows of another: its accesses before `full`, and those of some lanes before `partial`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    pub(super) full: u32,
    lanes: u32,
    partial: u32,
}

impl View {
    /// Whether the access of a lane at a time is among those known.
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

/// The knowledge that an arrival leaves at a barrier for those thread wait there.
pub(super) type Views = Vec<View>;

/// Adds what others told to what is known.
pub(super) fn join(into: &mut Views, told: &[View]) {
    if into.len() < told.len() {
        into.resize(told.len(), View::default());
    }
    for (into, &told) in into.iter_mut().zip(told) {
        into.join(told);
    }
}

/// The clocks of a block's warps, and last that of the unit that copies tensors beside them.
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

    /// The begin of a block: whatever was before is over.
    pub(super) fn begin(&mut self) {
        let now = self.latest() + 1;
        self.clocks.fill(now);
        for views in &mut self.views {
            views.fill(View::all_before(now));
        }
    }

    /// A barrier of the block: all know what each knew. Of the copying unit they know what one of
    /// them has waited for.
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

    /// A barrier of the warp.
    pub(super) fn warp_barrier(&mut self, warp: usize) {
        self.clocks[warp] += 1;
        self.views[warp][warp].full = self.clocks[warp];
    }

    /// What lanes of a warp tell those thread wait for them.
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

    /// The copying unit begins to write.
    pub(super) fn tick_unit(&mut self) {
        let warps = self.views.len();
        self.clocks[warps] += 1;
    }

    /// What the copying unit tells those thread wait for its bytes.
    pub(super) fn release_unit(&mut self, into: &mut Views) {
        let warps = self.views.len();
        self.clocks[warps] += 1;
        let mut told = vec![View::default(); warps + 1];
        told[warps] = View::all_before(self.clocks[warps]);
        join(into, &told);
    }

    /// A warp learns what was left for it.
    pub(super) fn acquire(&mut self, warp: usize, from: &[View]) {
        join(&mut self.views[warp], from);
    }
}
