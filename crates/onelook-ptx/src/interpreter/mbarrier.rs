//! Barriers in shared memory (`mbarrier`). A phase completes when all expected threads have arrived
//! and all expected bytes of tensor copies have been written; then the next phase begins.

use super::context::BlockContext;
use super::lanes::{Lanes, ThreadId, lanes_of};
use super::pending::Mbarrier;
use super::shared_memory::Shared;
use super::trap::Fault;
use super::warp::{Warp, WarpState};
use crate::lang::{Address, Operand};

/// Bytes of a barrier.
const BYTES: u32 = 8;

impl Shared {
    /// Makes a barrier; its bytes can no longer be read as values.
    fn mbarrier_init(&mut self, thread: ThreadId, address: u32, count: u32) -> Result<(), Fault> {
        let at = self.place(thread, address, BYTES)?;
        if count == 0 {
            return Err(Fault::lane(thread.lane, "an mbarrier of no arrivals"));
        }
        self.write(thread, at, &[0; BYTES as usize])?;
        self.forget(at, BYTES as usize);
        let barrier = Mbarrier {
            count,
            missing: count,
            ..Mbarrier::default()
        };
        self.mbarriers.insert(at, barrier);
        Ok(())
    }

    /// The barrier at an address; its initialisation must have happened before.
    fn mbarrier(&mut self, thread: ThreadId, address: u32) -> Result<usize, Fault> {
        let at = self.place(thread, address, BYTES)?;
        if !self.mbarriers.contains_key(&at) {
            let what = format!("there is no mbarrier at byte {at} of shared memory");
            return Err(Fault::lane(thread.lane, what));
        }
        self.check_write(thread, at / 2, true, "uses the mbarrier at")?;
        Ok(at)
    }

    /// Whether a wait for the phase of a parity would return.
    pub(super) fn mbarrier_passes(&self, at: usize, parity: u32) -> bool {
        self.mbarriers
            .get(&at)
            .is_some_and(|barrier| barrier.passes(parity))
    }

    pub(super) fn mbarrier_state(&self, at: usize) -> String {
        self.mbarriers
            .get(&at)
            .map(Mbarrier::describe)
            .unwrap_or_default()
    }

    /// The barrier that a tensor copy signals; a proxy fence must have made it visible to async
    /// units.
    pub(super) fn mbarrier_for_copy(
        &mut self,
        thread: ThreadId,
        address: u32,
    ) -> Result<usize, Fault> {
        let at = self.mbarrier(thread, address)?;
        self.check_fenced(
            thread,
            at,
            BYTES as usize,
            "a tensor copy uses the mbarrier at",
        )?;
        Ok(at)
    }

    /// Bytes of tensor copies have been written.
    pub(super) fn mbarrier_complete(&mut self, at: usize, bytes: u32) {
        if let Some(barrier) = self.mbarriers.get_mut(&at) {
            self.clocks.release_unit(&mut barrier.gathering);
            barrier.bytes -= i64::from(bytes);
            barrier.settle();
        }
    }
}

impl Warp {
    pub(super) fn mbarrier_init(
        &mut self,
        at: Address,
        count: u32,
        block: &mut BlockContext<'_>,
    ) -> Result<(), Fault> {
        let addresses = self.barrier_addresses(at)?;
        for lane in self.active() {
            block
                .shared
                .mbarrier_init(self.thread(lane), addresses[lane], count)?;
        }
        Ok(())
    }

    /// Arrives in every active lane; with `bytes`, announces that many first (`expect_tx`).
    pub(super) fn mbarrier_arrive(
        &mut self,
        at: Address,
        bytes: Option<Operand>,
        block: &mut BlockContext<'_>,
    ) -> Result<(), Fault> {
        let addresses = self.barrier_addresses(at)?;
        let bytes = match bytes {
            Some(bytes) => self.registers.operand(bytes)?,
            None => [0; 32],
        };
        let active = self.registers.active;
        let shared = &mut *block.shared;
        let released = shared.clocks.release(self.number, active);
        for lane in lanes_of(active) {
            let at = shared.mbarrier(self.thread(lane), addresses[lane])?;
            let barrier = shared.mbarriers.entry(at).or_default();
            super::clocks::join(&mut barrier.gathering, &released);
            barrier.bytes += i64::from(bytes[lane]);
            barrier.arrive(lane)?;
            barrier.settle();
        }
        Ok(())
    }

    /// Waits for the completion of the phase of a parity; the warp stays at this instruction until
    /// then.
    pub(super) fn mbarrier_wait(
        &mut self,
        at: Address,
        parity: Operand,
        block: &mut BlockContext<'_>,
    ) -> Result<(), Fault> {
        let addresses = self.barrier_addresses(at)?;
        let parities = self.registers.operand(parity)?;
        let mut lanes = self.active();
        let Some(first) = lanes.next() else {
            return Ok(());
        };
        let same =
            |lane: usize| (addresses[lane], parities[lane]) == (addresses[first], parities[first]);
        if !lanes.all(same) {
            return Err(Fault::warp(
                "lanes of a warp wait for different phases or mbarriers",
            ));
        }
        let at = block
            .shared
            .mbarrier(self.thread(first), addresses[first])?;
        let parity = parities[first];
        if !block.shared.mbarrier_passes(at, parity) {
            self.state = WarpState::AtMbarrier { at, parity };
            return Ok(());
        }
        let shared = &mut *block.shared;
        if let Some(barrier) = shared.mbarriers.get(&at) {
            shared.clocks.acquire(self.number, &barrier.released);
        }
        block.grid_waited[self.number] |= block.grid_waited.contains(&true);
        Ok(())
    }

    fn barrier_addresses(&self, at: Address) -> Result<Lanes, Fault> {
        match at {
            Address::Shared { base, offset } => self.local(base, offset),
            Address::Global { .. } => Err(Fault::warp("an mbarrier lies in shared memory")),
        }
    }
}
