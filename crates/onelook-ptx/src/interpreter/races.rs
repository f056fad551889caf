//! Races in global memory, among the bytes that a launch may write.
//!
//! Threads of one block need a barrier between conflicting accesses. Blocks need a release (a
//! fence, then an atomic operation) and an acquire (an atomic operation on the same word). Without,
//! it is a race.

use std::collections::HashMap;
use std::ops::Range;

use super::clocks::VectorClocks;
use super::global::{GrantedRange, named};
use super::lanes::ThreadId;
use super::trap::Fault;
use crate::lang::Cache;

/// A stamp: block + 1 (24 bits), clock (27), atomic (1), warp (6), lane (6).
type Stamp = u64;

const LANE_BITS: u32 = 6;
const ATOMIC: Stamp = 1 << 12;
const CLOCK_AT: u32 = 13;
const BLOCK_AT: u32 = 40;
const BLOCK_MASK: u64 = (1 << 24) - 1;
/// The lane or warp of a record that stands for several readers of one time.
const SEVERAL: u64 = 63;
/// The block of a record that stands for readers of several blocks.
const SEVERAL_BLOCKS: u64 = BLOCK_MASK;

/// The records of a launch.
#[derive(Debug, Default)]
pub(super) struct RaceDetector {
    areas: Vec<Area>,
    /// What was released at each word that atomic operations changed: clocks by block.
    released: HashMap<u64, HashMap<u64, u64>>,
    /// Bytes per record as a power of two.
    shift: u32,
}

/// Bytes next to each other that are written.
#[derive(Debug)]
struct Area {
    first: u64,
    end: u64,
    writes: Vec<Stamp>,
    reads: Vec<Stamp>,
}

/// A block as the records know it.
#[derive(Debug, Default)]
pub(super) struct BlockHistory {
    /// Its number, from 1 on.
    number: u64,
    /// Other blocks' clocks that it has acquired.
    acquired: HashMap<u64, u64>,
    /// Whether it has written since the last fence.
    unfenced: bool,
}

/// An access.
pub(super) struct MemoryAccess<'a> {
    pub(super) thread: ThreadId,
    pub(super) clocks: &'a VectorClocks,
    pub(super) address: u64,
    pub(super) bytes: u32,
}

impl BlockHistory {
    pub(super) fn begin(&mut self, number: u64) {
        self.number = (number + 1) % (BLOCK_MASK - 1);
        self.acquired.clear();
        self.unfenced = false;
    }

    pub(super) fn fence(&mut self) {
        self.unfenced = false;
    }

    fn stamp(&self, thread: ThreadId, clocks: &VectorClocks) -> Stamp {
        let clock = u64::from(clocks.clock(thread.warp));
        let thread = (thread.warp as u64) << LANE_BITS | thread.lane as u64;
        self.number << BLOCK_AT | clock << CLOCK_AT | thread
    }

    /// Whether what the stamp says happened before what the thread does now.
    fn knows(&self, stamp: Stamp, thread: ThreadId, clocks: &VectorClocks) -> bool {
        let (block, clock, warp, lane) = parts(stamp);
        if block != self.number {
            return self
                .acquired
                .get(&block)
                .is_some_and(|&acquired| clock <= acquired);
        }
        let (own, clock) = ((thread.warp as u64, thread.lane as u64), clock as u32);
        let views = clocks.views(thread.warp);
        (warp, lane) == own
            || match (warp, lane) {
                (SEVERAL, _) => views.iter().all(|view| clock < view.full),
                (_, SEVERAL) => clock < views[warp as usize].full,
                _ => views[warp as usize].knows(lane as u32, clock),
            }
    }
}

fn parts(stamp: Stamp) -> (u64, u64, u64, u64) {
    let clock = stamp >> CLOCK_AT & ((1 << (BLOCK_AT - CLOCK_AT)) - 1);
    let warp = stamp >> LANE_BITS & 63;
    (stamp >> BLOCK_AT, clock, warp, stamp & 63)
}

impl RaceDetector {
    pub(super) fn new(ranges: &[GrantedRange], bytes_alone: bool) -> Self {
        let mut written: Vec<(u64, u64)> = ranges
            .iter()
            .filter(|range| range.writable && range.first < range.end)
            .map(|range| (range.first & !15, range.end.next_multiple_of(16)))
            .collect();
        written.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, end) in written {
            match joined.last_mut() {
                Some(last) if first <= last.1 => last.1 = last.1.max(end),
                _ => joined.push((first, end)),
            }
        }
        let shift = u32::from(!bytes_alone);
        let area = |(first, end): (u64, u64)| Area {
            first,
            end,
            writes: vec![0; ((end - first) >> shift) as usize],
            reads: vec![0; ((end - first) >> shift) as usize],
        };
        Self {
            areas: joined.into_iter().map(area).collect(),
            released: HashMap::new(),
            shift,
        }
    }

    fn records(&mut self, address: u64, bytes: u32) -> Option<(&mut Area, Range<usize>)> {
        let shift = self.shift;
        let holds = |area: &&mut Area| area.first <= address && address < area.end;
        let area = self.areas.iter_mut().find(holds)?;
        let first = ((address - area.first) >> shift) as usize;
        let count = (bytes >> shift).max(1) as usize;
        Some((area, first..first + count))
    }

    /// Notes and checks a read.
    pub(super) fn read(
        &mut self,
        history: &mut BlockHistory,
        access: &MemoryAccess<'_>,
        cache: Cache,
    ) -> Result<(), Fault> {
        let MemoryAccess { thread, clocks, .. } = *access;
        let Some((area, records)) = self.records(access.address, access.bytes) else {
            return Ok(());
        };
        let mut polled = false;
        let mut last = 0;
        for &write in &area.writes[records.clone()] {
            if write == last || write == 0 {
                continue;
            }
            last = write;
            if cache == Cache::ReadOnly {
                let what = "reads through the read-only cache what this launch writes, at";
                return Err(fault(access, what, write));
            }
            if cache == Cache::L2 && write & ATOMIC != 0 {
                polled = true;
            } else if !history.knows(write, thread, clocks) {
                return Err(fault(access, "race: reads without order", write));
            }
        }
        if polled {
            self.acquire(history, access.address);
            return Ok(());
        }
        let now = history.stamp(thread, clocks);
        for read in &mut area.reads[records] {
            *read = with_reader(*read, now, history, clocks);
        }
        Ok(())
    }

    /// Notes and checks a write.
    pub(super) fn write(
        &mut self,
        history: &mut BlockHistory,
        access: &MemoryAccess<'_>,
    ) -> Result<(), Fault> {
        history.unfenced = true;
        self.note_write(history, access, 0)
    }

    fn note_write(
        &mut self,
        history: &BlockHistory,
        access: &MemoryAccess<'_>,
        atomic: Stamp,
    ) -> Result<(), Fault> {
        let MemoryAccess { thread, clocks, .. } = *access;
        let Some((area, records)) = self.records(access.address, access.bytes) else {
            return Ok(());
        };
        let mut last = 0;
        for &write in &area.writes[records.clone()] {
            let fine = write == last || write == 0 || atomic & write != 0;
            if !fine && !history.knows(write, thread, clocks) {
                return Err(fault(access, "race: writes without order", write));
            }
            last = write;
        }
        for &read in &area.reads[records.clone()] {
            if read != 0 && !history.knows(read, thread, clocks) {
                return Err(fault(
                    access,
                    "race: writes, without order, what is read",
                    read,
                ));
            }
        }
        let stamp = history.stamp(thread, clocks) | atomic;
        area.writes[records].fill(stamp);
        Ok(())
    }

    /// Notes a change made as one: tells others what this block did before its last fence, and
    /// hears what they released here.
    pub(super) fn change(
        &mut self,
        history: &mut BlockHistory,
        access: &MemoryAccess<'_>,
    ) -> Result<(), Fault> {
        self.note_write(history, access, ATOMIC)?;
        self.acquire(history, access.address);
        if !history.unfenced {
            let mut known = history.acquired.clone();
            known.insert(history.number, u64::from(access.clocks.latest()));
            let released = self.released.entry(access.address).or_default();
            for (block, clock) in known {
                let own = released.entry(block).or_insert(0);
                *own = clock.max(*own);
            }
        }
        Ok(())
    }

    fn acquire(&self, history: &mut BlockHistory, address: u64) {
        for (&block, &clock) in self.released.get(&address).into_iter().flatten() {
            let own = history.acquired.entry(block).or_insert(0);
            *own = clock.max(*own);
        }
    }
}

/// The record of readers with one more.
fn with_reader(before: Stamp, now: Stamp, history: &BlockHistory, clocks: &VectorClocks) -> Stamp {
    let (block, clock, warp, lane) = parts(before);
    let (_, _, own_warp, own_lane) = parts(now);
    if before == 0 {
        return now;
    }
    if block != history.number {
        let acquired = history
            .acquired
            .get(&block)
            .is_some_and(|&acquired| clock <= acquired);
        return if acquired {
            now
        } else {
            SEVERAL_BLOCKS << BLOCK_AT | now & ((1 << BLOCK_AT) - 1)
        };
    }
    let own = ThreadId {
        warp: own_warp as usize,
        lane: own_lane as usize,
    };
    if history.knows(before, own, clocks) {
        return now;
    }
    let warp = if warp == own_warp { warp } else { SEVERAL };
    let lane = if lane == own_lane { lane } else { SEVERAL };
    now & !0xfff | warp << LANE_BITS | lane
}

fn fault(access: &MemoryAccess<'_>, what: &str, other: Stamp) -> Fault {
    let (block, _, warp, lane) = parts(other);
    let by = match (block, warp, lane) {
        (SEVERAL_BLOCKS, ..) => "several blocks".to_owned(),
        (_, SEVERAL, _) => format!("several warps of block number {}", block - 1),
        (_, _, SEVERAL) => format!("several lanes of warp {warp} of block number {}", block - 1),
        _ => format!("lane {lane} of warp {warp} of block number {}", block - 1),
    };
    let place = named(access.address);
    Fault::lane(
        access.thread.lane,
        format!("{what} {place}, touched by {by} in this launch"),
    )
}
