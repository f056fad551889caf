//! Asynchronous copies (`cp.async`): started, committed to a group, completed by the same thread's
//! wait. From start to wait the destination has no value.

use super::context::{BlockContext, LaunchContext};
use super::lanes::{ThreadId, WARP, lanes_of};
use super::pending::{OPEN, PendingCopy};
use super::trap::Fault;
use super::warp::Warp;
use crate::lang::{Address, Cache, RegP};

impl Warp {
    pub(super) fn async_copy(
        &mut self,
        to: Address,
        from: Address,
        (bytes, when): (u32, Option<RegP>),
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let (
            Address::Shared { base, offset },
            Address::Global {
                base: source,
                offset: beyond,
            },
        ) = (to, from)
        else {
            return Err(Fault::warp("cp.async goes from global to shared memory"));
        };
        let active = self.registers.active;
        let reading = match when {
            Some(holds) => active & self.registers.predicate(holds)?,
            None => active,
        };
        let (places, from) = (self.local(base, offset)?, self.global(source, beyond)?);
        device.count_shared(&places, active, bytes);
        device.count_global(&from, reading, bytes);
        let mut to = [0; WARP];
        for lane in lanes_of(active) {
            let thread = self.thread(lane);
            to[lane] = block.shared.place(thread, places[lane], bytes)?;
            block.shared.begin_copy(thread, to[lane], bytes as usize)?;
        }
        let mut copy = PendingCopy {
            lanes: active,
            group: [OPEN; WARP],
            to,
            from,
            reading,
            bytes: bytes as usize,
            values: None,
        };
        // The hardware may read the source any time between start and wait. Both extremes are
        // tried, by chance, so that a kernel that overwrites the source too early gives wrong
        // results.
        let values = copy.fetch(self.number, block, device)?;
        if device.random.coin() {
            copy.values = Some(Box::new(values));
        }
        self.copies.under_way.push(copy);
        Ok(())
    }

    pub(super) fn async_wait(
        &mut self,
        pending: u32,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let active = self.registers.active;
        let mut under_way = std::mem::take(&mut self.copies.under_way);
        for copy in &mut under_way {
            let over = |lane: &usize| {
                let group = copy.group[*lane];
                group != OPEN && group + pending < self.copies.closed[*lane]
            };
            let ended: u32 = lanes_of(copy.lanes & active)
                .filter(over)
                .fold(0, |mask, lane| mask | 1 << lane);
            if ended == 0 {
                continue;
            }
            let values = match &copy.values {
                Some(values) => **values,
                None => copy.fetch(self.number, block, device)?,
            };
            for lane in lanes_of(ended) {
                let values = &values[lane][..copy.bytes];
                block
                    .shared
                    .end_copy(self.thread(lane), copy.to[lane], values);
            }
            copy.lanes &= !ended;
        }
        under_way.retain(|copy| copy.lanes != 0);
        self.copies.under_way = under_way;
        Ok(())
    }
}

impl PendingCopy {
    /// The source bytes; zeros in the lanes that read nothing.
    fn fetch(
        &self,
        warp: usize,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<[[u8; 16]; WARP], Fault> {
        let mut values = [[0; 16]; WARP];
        for lane in lanes_of(self.reading & self.lanes) {
            let thread = ThreadId { warp, lane };
            let access = (self.from[lane], self.bytes as u32);
            values[lane] = device.load(block, thread, access, Cache::Default)?;
        }
        Ok(values)
    }
}
