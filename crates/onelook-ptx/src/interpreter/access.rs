//! Loads, stores, atomics and `ldmatrix`: each lane's access is checked by itself.

use super::context::{BlockContext, LaunchContext};
use super::global::named;
use super::lanes::ThreadId;
use super::lanes::{Lanes, WARP, each};
use super::traffic::{conflicts, sectors};
use super::trap::Fault;
use super::warp::Warp;
use crate::lang::{Address, Atomic, Cache, Feature, Operand, Reg};

/// Up to four words of each lane.
type Words = [Lanes; 4];

impl Warp {
    pub(super) fn load(
        &mut self,
        to: &[Reg],
        from: Address,
        (bytes, cache): (u32, Cache),
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let all = bytes * to.len() as u32;
        let mut words = [[0; WARP]; 4];
        match from {
            Address::Global { base, offset } => {
                let addresses = self.global(base, offset)?;
                device.count_global(&addresses, self.registers.active, all);
                for lane in self.active() {
                    let value =
                        device.load(block, self.thread(lane), (addresses[lane], all), cache)?;
                    spread(&mut words, lane, &value, bytes);
                }
            }
            Address::Shared { base, offset } => {
                let addresses = self.local(base, offset)?;
                device.count_shared(&addresses, self.registers.active, all);
                for lane in self.active() {
                    let thread = self.thread(lane);
                    let at = block.shared.place(thread, addresses[lane], all)?;
                    block.shared.read(thread, at, all as usize)?;
                    let mut value = [0; 16];
                    let part = &block.shared.bytes[at..at + all as usize];
                    value[..part.len()].copy_from_slice(part);
                    spread(&mut words, lane, &value, bytes);
                }
            }
        }
        for (&register, lanes) in to.iter().zip(&words) {
            self.registers.set(register, lanes);
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        to: Address,
        from: &[Operand],
        bytes: u32,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let all = bytes * from.len() as u32;
        let mut words = [[0; WARP]; 4];
        for (lanes, &operand) in words.iter_mut().zip(from) {
            *lanes = self.registers.operand(operand)?;
        }
        match to {
            Address::Global { base, offset } => {
                let addresses = self.global(base, offset)?;
                device.count_global(&addresses, self.registers.active, all);
                for lane in self.active() {
                    let value = gather(&words, lane, bytes);
                    device.store(
                        block,
                        self.thread(lane),
                        addresses[lane],
                        &value[..all as usize],
                    )?;
                }
            }
            Address::Shared { base, offset } => {
                let addresses = self.local(base, offset)?;
                device.count_shared(&addresses, self.registers.active, all);
                for lane in self.active() {
                    let thread = self.thread(lane);
                    let at = block.shared.place(thread, addresses[lane], all)?;
                    let value = gather(&words, lane, bytes);
                    block.shared.write(thread, at, &value[..all as usize])?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn atomic(
        &mut self,
        op: Atomic,
        old: Reg,
        at: Address,
        value: Operand,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let value = self.registers.operand(value)?;
        let mut before = [0; WARP];
        match at {
            Address::Global { base, offset } => {
                let addresses = self.global(base, offset)?;
                device.count_global(&addresses, self.registers.active, 4);
                for lane in self.active() {
                    let change = |word| changed(op, word, value[lane]);
                    before[lane] =
                        device.change(block, self.thread(lane), addresses[lane], change)?;
                }
            }
            Address::Shared { base, offset } => {
                let addresses = self.local(base, offset)?;
                device.report.shared_accesses += 1;
                for lane in self.active() {
                    let thread = self.thread(lane);
                    let at = block.shared.place(thread, addresses[lane], 4)?;
                    let change = |word| changed(op, word, value[lane]);
                    before[lane] = block.shared.change(thread, at, change)?;
                }
            }
        }
        self.registers.set(old, &before);
        Ok(())
    }

    pub(super) fn load_matrix(
        &mut self,
        to: &[Reg],
        from: Address,
        transposed: bool,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        self.registers.converged("ldmatrix")?;
        let Address::Shared { base, offset } = from else {
            return Err(Fault::warp("ldmatrix reads shared memory only"));
        };
        let addresses = self.local(base, offset)?;
        if !device.target.has(Feature::PartialMatrixAddresses) {
            for (lane, &address) in addresses.iter().enumerate().skip(8 * to.len()) {
                let valid = block.shared.place(self.thread(lane), address, 16);
                valid.map_err(|fault| Fault {
                    what: format!(
                        "ldmatrix on {} needs a valid address in every lane: {}",
                        device.target, fault.what
                    ),
                    ..fault
                })?;
            }
        }
        let used = ((1u64 << (8 * to.len())) - 1) as u32;
        device.count_shared(&addresses, used, 16);
        for (matrix, &register) in to.iter().enumerate() {
            let mut rows = [[0; 16]; 8];
            for (row, values) in rows.iter_mut().enumerate() {
                let lane = 8 * matrix + row;
                let at = block.shared.place(self.thread(lane), addresses[lane], 16)?;
                block.shared.read(self.thread(lane), at, 16)?;
                values.copy_from_slice(&block.shared.bytes[at..at + 16]);
            }
            self.registers.set(register, &fragment(&rows, transposed));
        }
        Ok(())
    }
}

/// What each lane gets of an 8x8 matrix.
pub(super) fn fragment(rows: &[[u8; 16]; 8], transposed: bool) -> Lanes {
    let half = |row: usize, column: usize| {
        let at = 2 * column;
        u32::from(u16::from_le_bytes([rows[row][at], rows[row][at + 1]]))
    };
    each(|lane| {
        let (group, pair) = (lane / 4, 2 * (lane % 4));
        if transposed {
            half(pair, group) | half(pair + 1, group) << 16
        } else {
            half(group, pair) | half(group, pair + 1) << 16
        }
    })
}

fn changed(op: Atomic, word: u32, by: u32) -> u32 {
    match op {
        Atomic::Add => word.wrapping_add(by),
        Atomic::Max => word.max(by),
        Atomic::Or => word | by,
        Atomic::Exchange => by,
    }
}

/// A lane's bytes as words.
fn spread(words: &mut Words, lane: usize, value: &[u8; 16], bytes: u32) {
    let step = bytes as usize;
    for (word, part) in words.iter_mut().zip(value.chunks_exact(step)) {
        let mut whole = [0; 4];
        whole[..step].copy_from_slice(part);
        word[lane] = u32::from_le_bytes(whole);
    }
}

/// A lane's words as bytes.
fn gather(words: &Words, lane: usize, bytes: u32) -> [u8; 16] {
    let step = bytes as usize;
    let mut value = [0; 16];
    for (part, word) in value.chunks_exact_mut(step).zip(words) {
        part.copy_from_slice(&word[lane].to_le_bytes()[..step]);
    }
    value
}

impl LaunchContext<'_> {
    pub(super) fn count_global(&mut self, addresses: &[u64; WARP], active: u32, bytes: u32) {
        self.report.requested_bytes += 32 * sectors(addresses, active, bytes);
    }

    pub(super) fn count_shared(&mut self, addresses: &Lanes, active: u32, bytes: u32) {
        self.report.shared_accesses += 1;
        self.report.bank_conflicts += conflicts(addresses, active, bytes);
    }

    /// Up to 16 bytes of global memory, as one lane reads them.
    pub(super) fn load(
        &mut self,
        block: &mut BlockContext<'_>,
        thread: ThreadId,
        (address, bytes): (u64, u32),
        cache: Cache,
    ) -> Result<[u8; 16], Fault> {
        let range = self
            .ranges
            .find(&mut self.latest, thread.lane, (address, bytes), false)?;
        if range.tracked {
            let (history, access) = block.access(thread, address, bytes);
            self.races.read(history, &access, cache)?;
        }
        self.check_wait(block, thread, address, false)?;
        self.read.touch(address);
        let loaded = self.memory.load_some(address, bytes);
        loaded.map_err(|what| Fault::lane(thread.lane, what))
    }

    fn store(
        &mut self,
        block: &mut BlockContext<'_>,
        thread: ThreadId,
        address: u64,
        values: &[u8],
    ) -> Result<(), Fault> {
        let bytes = values.len() as u32;
        self.ranges
            .find(&mut self.latest, thread.lane, (address, bytes), true)?;
        let (history, access) = block.access(thread, address, bytes);
        self.races.write(history, &access)?;
        self.check_wait(block, thread, address, true)?;
        self.written.touch(address);
        self.memory.store(address, values);
        Ok(())
    }

    fn change(
        &mut self,
        block: &mut BlockContext<'_>,
        thread: ThreadId,
        address: u64,
        change: impl FnOnce(u32) -> u32,
    ) -> Result<u32, Fault> {
        self.ranges
            .find(&mut self.latest, thread.lane, (address, 4), true)?;
        let (history, access) = block.access(thread, address, 4);
        self.races.change(history, &access)?;
        self.check_wait(block, thread, address, true)?;
        self.report.atomics += 1;
        let old = self.memory.load::<4>(address);
        let old = u32::from_le_bytes(old.map_err(|what| Fault::lane(thread.lane, what))?);
        self.memory.store(address, &change(old).to_le_bytes());
        Ok(old)
    }

    /// Before `GridWait`, earlier launches may still be running: the kernel may not read what they
    /// write, and may not write anything.
    fn check_wait(
        &self,
        block: &BlockContext<'_>,
        thread: ThreadId,
        address: u64,
        write: bool,
    ) -> Result<(), Fault> {
        if block.grid_waited[thread.warp] || !(write || self.memory.is_written_by_launches(address))
        {
            return Ok(());
        }
        let what = if write { "writes" } else { "reads" };
        let place = named(address);
        Err(Fault::lane(
            thread.lane,
            format!("{what} {place} ahead of GridWait: launches before may still be at it"),
        ))
    }
}
