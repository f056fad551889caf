//! A warp's registers: a value per lane, and which lanes were written. Reading a lane that was
//! never written is a fault.

use std::collections::BTreeMap;

use super::trap::Fault;
use crate::lang::{Operand, Reg, Reg64, RegP};

/// Lanes of a warp.
pub(super) const WARP: usize = 32;
/// All lanes.
pub(super) const ALL: u32 = u32::MAX;
/// A word per lane.
pub(super) type Lanes = [u32; WARP];

/// A thread of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadId {
    pub(super) warp: usize,
    pub(super) lane: usize,
}

/// Numbers of the lanes in a mask.
pub(super) fn lanes_of(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (lane < WARP).then_some(lane)
    })
}

/// A value per lane. A plain loop, which vectorises where `array::from_fn` does not.
#[inline]
pub(super) fn each<T: Copy + Default>(f: impl Fn(usize) -> T) -> [T; WARP] {
    let mut out = [T::default(); WARP];
    for (lane, out) in out.iter_mut().enumerate() {
        *out = f(lane);
    }
    out
}

/// All registers of one warp.
#[derive(Debug, Default)]
pub(super) struct Registers {
    words: Vec<Lanes>,
    words_written: Vec<u32>,
    longs: Vec<[u64; WARP]>,
    longs_written: Vec<u32>,
    predicates: Vec<u32>,
    predicates_written: Vec<u32>,
    /// The active lanes: those that execute the current instruction.
    pub(super) active: u32,
    /// Registers that an unfinished `wgmma` uses; nothing may change them.
    busy: BTreeMap<u32, Busy>,
    touched: Option<u32>,
    /// `wgmma.fence`s so far, and how many there were when each register was last changed.
    fences: u32,
    changed: Vec<u32>,
}

/// What `wgmma` does with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Sum,
    Factor,
}

impl Registers {
    pub(super) fn new(counts: [u32; 3]) -> Self {
        let [words, longs, predicates] = counts.map(|count| count as usize);
        Self {
            words: vec![[0xdead_beef; WARP]; words],
            words_written: vec![0; words],
            longs: vec![[0xdead_beef_dead_beef; WARP]; longs],
            longs_written: vec![0; longs],
            predicates: vec![0; predicates],
            predicates_written: vec![0; predicates],
            active: ALL,
            busy: BTreeMap::new(),
            touched: None,
            fences: 0,
            changed: vec![0; words],
        }
    }

    /// As new.
    pub(super) fn reset(&mut self) {
        self.words_written.fill(0);
        self.longs_written.fill(0);
        self.predicates_written.fill(0);
        self.active = ALL;
        self.busy.clear();
        self.fences = 0;
        self.changed.fill(0);
    }

    pub(super) fn word(&self, register: Reg) -> Result<&Lanes, Fault> {
        let index = register.0 as usize;
        self.written(self.words_written[index], || format!("{register:?}"))?;
        Ok(&self.words[index])
    }

    pub(super) fn operand(&self, operand: Operand) -> Result<Lanes, Fault> {
        match operand {
            Operand::Reg(register) => self.word(register).copied(),
            Operand::Constant(value) => Ok([value; WARP]),
        }
    }

    pub(super) fn long(&self, register: Reg64) -> Result<&[u64; WARP], Fault> {
        let index = register.0 as usize;
        self.written(self.longs_written[index], || format!("{register:?}"))?;
        Ok(&self.longs[index])
    }

    pub(super) fn predicate(&self, register: RegP) -> Result<u32, Fault> {
        let index = register.0 as usize;
        self.written(self.predicates_written[index], || format!("{register:?}"))?;
        Ok(self.predicates[index])
    }

    fn written(&self, written: u32, name: impl FnOnce() -> String) -> Result<(), Fault> {
        let missing = self.active & !written;
        if missing == 0 {
            return Ok(());
        }
        let lane = missing.trailing_zeros() as usize;
        let what = format!(
            "poison: {} was never written in this lane, or wgmma still is at it",
            name()
        );
        Err(Fault::lane(lane, what))
    }

    pub(super) fn set(&mut self, register: Reg, values: &Lanes) {
        let index = register.0 as usize;
        if !self.busy.is_empty() && self.busy.contains_key(&register.0) {
            self.touched = Some(register.0);
        }
        self.words_written[index] |= self.active;
        self.changed[index] = self.fences;
        let word = &mut self.words[index];
        if self.active == ALL {
            *word = *values;
            return;
        }
        for lane in lanes_of(self.active) {
            word[lane] = values[lane];
        }
    }

    pub(super) fn set_long(&mut self, register: Reg64, values: &[u64; WARP]) {
        let index = register.0 as usize;
        self.longs_written[index] |= self.active;
        for lane in lanes_of(self.active) {
            self.longs[index][lane] = values[lane];
        }
    }

    pub(super) fn set_predicate(&mut self, register: RegP, values: u32) {
        let index = register.0 as usize;
        self.predicates_written[index] |= self.active;
        let holds = &mut self.predicates[index];
        *holds = (*holds & !self.active) | (values & self.active);
    }

    /// `wgmma.fence`.
    pub(super) fn fence(&mut self) {
        self.fences += 1;
    }

    /// Fails if one of them has changed since the last `wgmma.fence`.
    pub(super) fn check_fenced(&self, registers: &[Reg]) -> Result<(), Fault> {
        let fresh = |register: &&Reg| {
            !self.busy.contains_key(&register.0) && self.changed[register.0 as usize] >= self.fences
        };
        match registers.iter().find(fresh) {
            None => Ok(()),
            Some(register) => Err(Fault::warp(format!(
                "wgmma uses {register:?}, which has changed, or no WgmmaFence came yet"
            ))),
        }
    }

    /// The accumulators as `wgmma` reads them: those of an earlier `wgmma` need no wait in between.
    pub(super) fn sums(&self, registers: [Reg; 4], accumulate: bool) -> Result<[Lanes; 4], Fault> {
        let mut sums = [[0; WARP]; 4];
        if !accumulate {
            return Ok(sums);
        }
        for (sum, register) in sums.iter_mut().zip(registers) {
            *sum = match self.busy.get(&register.0) {
                Some(Busy::Sum) => self.words[register.0 as usize],
                _ => *self.word(register)?,
            };
        }
        Ok(sums)
    }

    /// Writes an accumulator that may not be read before the wait.
    pub(super) fn begin_sum(&mut self, register: Reg, lanes: &Lanes) {
        self.words[register.0 as usize] = *lanes;
        self.keep_sums(&[register]);
    }

    pub(super) fn keep_sums(&mut self, registers: &[Reg]) {
        for register in registers {
            self.words_written[register.0 as usize] = 0;
            self.busy.insert(register.0, Busy::Sum);
        }
    }

    /// The accumulators may be read from now on.
    pub(super) fn end_sums(&mut self, registers: &[Reg]) {
        for register in registers {
            self.words_written[register.0 as usize] = ALL;
            self.busy.remove(&register.0);
        }
    }

    /// These may not be changed until they are released.
    pub(super) fn keep(&mut self, registers: &[Reg]) {
        for register in registers {
            self.busy.entry(register.0).or_insert(Busy::Factor);
        }
    }

    pub(super) fn release(&mut self, registers: &[Reg]) {
        for register in registers {
            self.busy.remove(&register.0);
        }
    }

    /// Fails if the latest instruction changed a register that `wgmma` uses.
    pub(super) fn check_touched(&mut self) -> Result<(), Fault> {
        match self.touched.take() {
            None => Ok(()),
            Some(register) => Err(Fault::warp(format!(
                "changes Reg({register}) while wgmma under way uses it"
            ))),
        }
    }

    /// Fails unless all lanes are active.
    pub(super) fn converged(&self, what: &str) -> Result<(), Fault> {
        if self.active == ALL {
            return Ok(());
        }
        Err(Fault::warp(format!(
            "{what} needs all 32 lanes, but only {:#010x} are active",
            self.active
        )))
    }
}
