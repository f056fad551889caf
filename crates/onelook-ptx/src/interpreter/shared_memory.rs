//! A block's shared memory: bytes, which of them were written, and which thread accessed them last.
//! Finds races: two threads at the same bytes, one of them writing, and nothing that orders them.

use std::collections::BTreeMap;

use super::clocks::VectorClocks;
use super::lanes::ThreadId;
use super::pending::{Mbarrier, TensorTransfer};
use super::trap::Fault;

/// Where shared memory starts; not 0, so that a forgotten base is found out.
pub(super) const BASE: u32 = 1024;
/// Bytes that share one access record.
const GRANULE: u32 = 2;
/// A record's lane when several lanes of a warp read at the same time.
const SEVERAL: u32 = 32;
/// A record's lane while an asynchronous copy is under way.
const UNDER_WAY: u64 = 0xff;
/// A reader's record while `wgmma` reads.
const READING: u32 = u32::MAX;

/// One block's memory.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bytes: Vec<u8>,
    written: Vec<u8>,
    /// Per granule: clock << 32 | atomic << 16 | warp << 8 | lane.
    writes: Vec<u64>,
    /// Per warp and granule: clock << 6 | lane.
    reads: Vec<Vec<u32>>,
    pub(super) clocks: VectorClocks,
    pub(super) mbarriers: BTreeMap<usize, Mbarrier>,
    /// Tensor copies under way.
    pub(super) transfers: Vec<TensorTransfer>,
    /// Per granule, where async units read too: written by threads, and no proxy fence since.
    unfenced: Vec<bool>,
}

impl Shared {
    pub(super) fn new(bytes: u32, warps: usize, has_units: bool) -> Self {
        let granules = bytes.div_ceil(GRANULE) as usize;
        Self {
            bytes: vec![0; bytes as usize],
            written: vec![0; bytes as usize],
            writes: vec![0; granules],
            reads: vec![vec![0; granules]; warps],
            clocks: VectorClocks::new(warps),
            mbarriers: BTreeMap::new(),
            transfers: Vec::new(),
            unfenced: vec![false; if has_units { granules } else { 0 }],
        }
    }

    /// As for a new block.
    pub(super) fn reset(&mut self) {
        self.bytes.fill(0xcd);
        self.written.fill(0);
        if self.clocks.latest() > 1 << 24 {
            self.writes.fill(0);
            self.reads.iter_mut().for_each(|reads| reads.fill(0));
            self.clocks = VectorClocks::new(self.reads.len());
        }
        self.clocks.begin();
        self.mbarriers.clear();
        self.transfers.clear();
        self.unfenced.fill(false);
        for write in &mut self.writes {
            if *write as u32 & 0xff == UNDER_WAY as u32 {
                *write = 0;
            }
        }
    }

    /// The byte's place, if the access is aligned and inside.
    pub(super) fn place(&self, thread: ThreadId, address: u32, bytes: u32) -> Result<usize, Fault> {
        let at = address.wrapping_sub(BASE);
        let size = self.bytes.len() as u64;
        if u64::from(at) + u64::from(bytes) > size {
            let what = format!(
                "out of bounds: {bytes} bytes at {} of {size} bytes of shared memory",
                at.cast_signed()
            );
            return Err(Fault::lane(thread.lane, what));
        }
        if !address.is_multiple_of(bytes) {
            let what = format!("misaligned: {bytes} bytes at byte {at} of shared memory");
            return Err(Fault::lane(thread.lane, what));
        }
        Ok(at as usize)
    }

    /// Notes and checks a read of bytes that must have values.
    pub(super) fn read(&mut self, thread: ThreadId, at: usize, bytes: usize) -> Result<(), Fault> {
        self.note_read(thread, at, bytes)?;
        let written = &self.written[at..at + bytes];
        if written.iter().fold(1, |all, &written| all & written) == 1 {
            return Ok(());
        }
        match written.iter().position(|&w| w != 1) {
            None => Ok(()),
            Some(first) => {
                let at = at + first;
                let what = format!("poison: byte {at} of shared memory has no value");
                Err(Fault::lane(thread.lane, what))
            }
        }
    }

    fn note_read(&mut self, thread: ThreadId, at: usize, bytes: usize) -> Result<(), Fault> {
        let granules = granules(at, bytes);
        let mut last = 0;
        for granule in granules.clone() {
            let write = self.writes[granule];
            if write != last {
                self.check_write(thread, granule, false, "reads")?;
                last = write;
            }
        }
        let now = self.clocks.clock(thread.warp) << 6;
        for read in &mut self.reads[thread.warp][granules] {
            if *read == READING {
                continue;
            }
            let other = *read >> 6 == now >> 6 && *read != now | thread.lane as u32;
            *read = now | if other { SEVERAL } else { thread.lane as u32 };
        }
        Ok(())
    }

    /// Notes and checks a write; the bytes have values from now on.
    pub(super) fn write(
        &mut self,
        thread: ThreadId,
        at: usize,
        values: &[u8],
    ) -> Result<(), Fault> {
        self.note_write(thread, at, values.len(), false)?;
        self.bytes[at..at + values.len()].copy_from_slice(values);
        self.written[at..at + values.len()].fill(1);
        Ok(())
    }

    /// Changes a word as one; such changes have no order among themselves and need none.
    pub(super) fn change(
        &mut self,
        thread: ThreadId,
        at: usize,
        f: impl FnOnce(u32) -> u32,
    ) -> Result<u32, Fault> {
        self.note_write(thread, at, 4, true)?;
        if self.written[at..at + 4] != [1; 4] {
            let what = format!("poison: byte {at} of shared memory has no value");
            return Err(Fault::lane(thread.lane, what));
        }
        let old = self.word(at);
        self.bytes[at..at + 4].copy_from_slice(&f(old).to_le_bytes());
        Ok(old)
    }

    pub(super) fn word(&self, at: usize) -> u32 {
        let bytes = &self.bytes[at..at + 4];
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }

    fn note_write(
        &mut self,
        thread: ThreadId,
        at: usize,
        bytes: usize,
        atomic: bool,
    ) -> Result<(), Fault> {
        let granules = granules(at, bytes);
        self.check_free(thread, granules.clone(), atomic)?;
        let clock = u64::from(self.clocks.clock(thread.warp));
        let stamp = clock << 32 | u64::from(atomic) << 16 | stamp_of(thread);
        self.mark_unfenced(granules.clone());
        self.writes[granules].fill(stamp);
        Ok(())
    }

    fn mark_unfenced(&mut self, granules: std::ops::Range<usize>) {
        if !self.unfenced.is_empty() {
            self.unfenced[granules].fill(true);
        }
    }

    /// Async units may see what these lanes wrote or know of from now on.
    pub(super) fn proxy_fence(&mut self, warp: usize, lanes: u32) {
        let views = self.clocks.views(warp);
        for (unfenced, &write) in self.unfenced.iter_mut().zip(&self.writes) {
            let (by, lane) = ((write >> 8 & 0xff) as usize, (write & 0xff) as u32);
            if !*unfenced || u64::from(lane) == UNDER_WAY {
                continue;
            }
            let own = by == warp && lanes >> lane & 1 == 1;
            *unfenced = !(own || views[by].knows(lane, (write >> 32) as u32));
        }
    }

    /// Fails when threads wrote there and no proxy fence came since.
    pub(super) fn check_fenced(
        &self,
        thread: ThreadId,
        at: usize,
        bytes: usize,
        what: &str,
    ) -> Result<(), Fault> {
        if self
            .unfenced
            .get(granules(at, bytes))
            .is_some_and(|all| all.contains(&true))
        {
            let what = format!(
                "{what} byte {at} of shared memory, which threads wrote with no ProxyFence since"
            );
            return Err(Fault::lane(thread.lane, what));
        }
        Ok(())
    }

    /// A unit beside the threads of a warp reads from now on.
    pub(super) fn keep_reading(&mut self, thread: ThreadId, at: usize, bytes: usize) {
        self.reads[thread.warp][granules(at, bytes)].fill(READING);
    }

    /// It has read, and its warp knows.
    pub(super) fn end_reading(&mut self, thread: ThreadId, at: usize, bytes: usize) {
        let now = self.clocks.clock(thread.warp) << 6 | SEVERAL;
        self.reads[thread.warp][granules(at, bytes)].fill(now);
    }

    /// The bytes have no values.
    pub(super) fn forget(&mut self, at: usize, bytes: usize) {
        self.written[at..at + bytes].fill(0);
    }

    /// The unit that copies tensors, as one thread accesses.
    pub(super) fn unit(&self) -> ThreadId {
        ThreadId {
            warp: self.reads.len(),
            lane: 0,
        }
    }

    fn check_free(
        &self,
        thread: ThreadId,
        granules: std::ops::Range<usize>,
        atomic: bool,
    ) -> Result<(), Fault> {
        let mut last = 0;
        for granule in granules.clone() {
            let write = self.writes[granule];
            if write != last {
                self.check_write(thread, granule, atomic, "writes")?;
                last = write;
            }
        }
        let views = self.clocks.views(thread.warp);
        for (warp, (reads, view)) in self.reads.iter().zip(views).enumerate() {
            let own = |lane: u32| warp == thread.warp && lane == thread.lane as u32;
            let reads = &reads[granules.clone()];
            let latest = reads.iter().fold(0, |latest, &read| read.max(latest));
            if latest >> 6 < view.full {
                continue;
            }
            for (at, &read) in reads.iter().enumerate() {
                let (clock, lane) = (read >> 6, read & 63);
                if !view.knows(lane & 31, clock) && !own(lane) {
                    let byte = (granules.start + at) * GRANULE as usize;
                    if read == READING {
                        let what = format!(
                            "writes byte {byte} of shared memory while wgmma of warp {warp} reads it"
                        );
                        return Err(Fault::lane(thread.lane, what));
                    }
                    let who_else = if lane == SEVERAL {
                        format!("several lanes of warp {warp}")
                    } else {
                        format!("lane {lane} of warp {warp}")
                    };
                    return Err(race(thread, byte, "writes", &who_else, "read"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_write(
        &self,
        thread: ThreadId,
        granule: usize,
        atomic: bool,
        verb: &str,
    ) -> Result<(), Fault> {
        let write = self.writes[granule];
        let (warp, lane) = ((write >> 8 & 0xff) as usize, (write & 0xff) as u32);
        let byte = granule * GRANULE as usize;
        if u64::from(lane) == UNDER_WAY {
            let what = format!(
                "{verb} byte {byte} of shared memory while an asynchronous copy to it is under way"
            );
            return Err(Fault::lane(thread.lane, what));
        }
        let own = warp == thread.warp && lane as usize == thread.lane;
        let both_atomic = atomic && write >> 16 & 1 == 1;
        let known = self.clocks.views(thread.warp)[warp].knows(lane, (write >> 32) as u32);
        if own || both_atomic || known {
            return Ok(());
        }
        let other = format!("lane {lane} of warp {warp}");
        Err(race(thread, byte, verb, &other, "wrote"))
    }

    /// An asynchronous copy begins: the bytes have no value, and nobody may touch them.
    pub(super) fn begin_copy(
        &mut self,
        thread: ThreadId,
        at: usize,
        bytes: usize,
    ) -> Result<(), Fault> {
        let granules = granules(at, bytes);
        self.check_free(thread, granules.clone(), false)?;
        self.writes[granules].fill(u64::MAX << 32 | (thread.warp as u64) << 8 | UNDER_WAY);
        self.written[at..at + bytes].fill(0);
        Ok(())
    }

    /// The copy has ended, and its thread knows.
    pub(super) fn end_copy(&mut self, thread: ThreadId, at: usize, values: &[u8]) {
        let clock = u64::from(self.clocks.clock(thread.warp));
        if thread.warp < self.reads.len() {
            self.mark_unfenced(granules(at, values.len()));
        }
        self.writes[granules(at, values.len())].fill(clock << 32 | stamp_of(thread));
        self.bytes[at..at + values.len()].copy_from_slice(values);
        self.written[at..at + values.len()].fill(1);
    }
}

fn stamp_of(thread: ThreadId) -> u64 {
    (thread.warp as u64) << 8 | thread.lane as u64
}

fn granules(at: usize, bytes: usize) -> std::ops::Range<usize> {
    at / GRANULE as usize..(at + bytes).div_ceil(GRANULE as usize)
}

fn race(thread: ThreadId, byte: usize, verb: &str, other: &str, did: &str) -> Fault {
    let what = format!(
        "race: {verb} byte {byte} of shared memory, which {other} {did} with no barrier between"
    );
    Fault::lane(thread.lane, what)
}
