//! A warp's registers: a value per lane, and which lanes have one. Reading a lane that was never
//! written is a fault.

use super::trap::Fault;
use crate::lang::{Operand, Reg, Reg64, RegP};

/// Lanes of a warp.
pub(super) const WARP: usize = 32;
/// All lanes.
pub(super) const ALL: u32 = u32::MAX;
/// A word per lane.
pub(super) type Lanes = [u32; WARP];

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
    truths: Vec<u32>,
    truths_written: Vec<u32>,
    /// Lanes that take part in instructions now.
    pub(super) active: u32,
}

impl Registers {
    pub(super) fn new(counts: [u32; 3]) -> Self {
        let [words, longs, truths] = counts.map(|count| count as usize);
        Self {
            words: vec![[0xdead_beef; WARP]; words],
            words_written: vec![0; words],
            longs: vec![[0xdead_beef_dead_beef; WARP]; longs],
            longs_written: vec![0; longs],
            truths: vec![0; truths],
            truths_written: vec![0; truths],
            active: ALL,
        }
    }

    /// As new.
    pub(super) fn reset(&mut self) {
        self.words_written.fill(0);
        self.longs_written.fill(0);
        self.truths_written.fill(0);
        self.active = ALL;
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

    pub(super) fn truth(&self, register: RegP) -> Result<u32, Fault> {
        let index = register.0 as usize;
        self.written(self.truths_written[index], || format!("{register:?}"))?;
        Ok(self.truths[index])
    }

    fn written(&self, written: u32, name: impl FnOnce() -> String) -> Result<(), Fault> {
        let missing = self.active & !written;
        if missing == 0 {
            return Ok(());
        }
        let lane = missing.trailing_zeros() as usize;
        let what = format!("poison: {} was never written in this lane", name());
        Err(Fault::lane(lane, what))
    }

    pub(super) fn set(&mut self, register: Reg, values: &Lanes) {
        let index = register.0 as usize;
        self.words_written[index] |= self.active;
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

    pub(super) fn set_truth(&mut self, register: RegP, values: u32) {
        let index = register.0 as usize;
        self.truths_written[index] |= self.active;
        let truth = &mut self.truths[index];
        *truth = (*truth & !self.active) | (values & self.active);
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
