//! Instructions on registers, lane by lane.

use half::f16;

use super::lanes::{Lanes, Registers, WARP, each, lanes_of};
use super::trap::Fault;
use crate::lang::{
    Compare, CompareAs, F16x2Op, Float, FloatUnary, Integer, Meaning, Operand, Predicate, Reg,
    RegP, ShuffleBy, Vote,
};

fn map(a: &Lanes, f: impl Fn(u32) -> u32) -> Lanes {
    each(|lane| f(a[lane]))
}

fn zip(a: &Lanes, b: &Lanes, f: impl Fn(u32, u32) -> u32) -> Lanes {
    each(|lane| f(a[lane], b[lane]))
}

fn floats(a: &Lanes, b: &Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    zip(a, b, |a, b| {
        f(f32::from_bits(a), f32::from_bits(b)).to_bits()
    })
}

/// The two f16 values of a word, the low one first.
pub(super) fn f16_pair(word: u32) -> [f16; 2] {
    [word as u16, (word >> 16) as u16].map(f16::from_bits)
}

/// A word of two f16 values.
pub(super) fn word_of([low, high]: [f16; 2]) -> u32 {
    u32::from(low.to_bits()) | u32::from(high.to_bits()) << 16
}

impl Registers {
    pub(super) fn integer(
        &mut self,
        op: Integer,
        to: Reg,
        a: Operand,
        b: Operand,
    ) -> Result<(), Fault> {
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        let out = match op {
            Integer::Add => zip(&a, &b, u32::wrapping_add),
            Integer::Sub => zip(&a, &b, u32::wrapping_sub),
            Integer::Mul => zip(&a, &b, u32::wrapping_mul),
            Integer::And => zip(&a, &b, |a, b| a & b),
            Integer::Or => zip(&a, &b, |a, b| a | b),
            Integer::Xor => zip(&a, &b, |a, b| a ^ b),
            Integer::Div | Integer::Rem => {
                if let Some(lane) = lanes_of(self.active).find(|&lane| b[lane] == 0) {
                    return Err(Fault::lane(lane, "division by 0"));
                }
                if let Some(lane) = lanes_of(self.active).find(|&lane| a[lane] >> 31 == 1) {
                    return Err(Fault::lane(lane, "a dividend of 2^31 or more"));
                }
                zip(&a, &b, |a, b| op.of(a, b.max(1)))
            }
            _ => zip(&a, &b, |a, b| op.of(a, b)),
        };
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn multiply_add(&mut self, to: Reg, [a, b, c]: [Operand; 3]) -> Result<(), Fault> {
        let (a, b, c) = (self.operand(a)?, self.operand(b)?, self.operand(c)?);
        let product = zip(&a, &b, u32::wrapping_mul);
        self.set(to, &zip(&product, &c, u32::wrapping_add));
        Ok(())
    }

    pub(super) fn permute(&mut self, to: Reg, [a, b, s]: [Operand; 3]) -> Result<(), Fault> {
        let (a, b, selector) = (self.operand(a)?, self.operand(b)?, self.operand(s)?);
        let out = each(|lane| {
            let all = u64::from(a[lane]) | u64::from(b[lane]) << 32;
            let bytes = all.to_le_bytes();
            let pick = |i: u32| bytes[(selector[lane] >> (4 * i) & 7) as usize];
            u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)])
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn float(
        &mut self,
        op: Float,
        to: Reg,
        a: Operand,
        b: Operand,
    ) -> Result<(), Fault> {
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        let out = match op {
            Float::Add => floats(&a, &b, |a, b| a + b),
            Float::Sub => floats(&a, &b, |a, b| a - b),
            Float::Mul => floats(&a, &b, |a, b| a * b),
            Float::Div => floats(&a, &b, |a, b| a / b),
            Float::Min => floats(&a, &b, smaller),
            Float::Max => floats(&a, &b, larger),
        };
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn fused_multiply_add(
        &mut self,
        to: Reg,
        [a, b, c]: [Operand; 3],
    ) -> Result<(), Fault> {
        let (a, b, c) = (self.operand(a)?, self.operand(b)?, self.operand(c)?);
        let out = each(|lane| {
            let [a, b, c] = [a[lane], b[lane], c[lane]].map(f32::from_bits);
            fused(a, b, c).to_bits()
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn float_unary(&mut self, op: FloatUnary, to: Reg, a: Operand) -> Result<(), Fault> {
        let a = self.operand(a)?;
        let mut out = [0; WARP];
        for lane in lanes_of(self.active) {
            out[lane] = unary(op, a[lane]);
        }
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn f16x2(
        &mut self,
        op: F16x2Op,
        to: Reg,
        a: Operand,
        b: Operand,
    ) -> Result<(), Fault> {
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        let one = |a: f16, b: f16| {
            let (a, b) = (a.to_f32(), b.to_f32());
            f16::from_f32(match op {
                F16x2Op::Add => a + b,
                F16x2Op::Mul => a * b,
                F16x2Op::Max => larger(a, b),
            })
        };
        let both = |a: u32, b: u32| {
            let ([a0, a1], [b0, b1]) = (f16_pair(a), f16_pair(b));
            word_of([one(a0, b0), one(a1, b1)])
        };
        self.set(to, &zip(&a, &b, both));
        Ok(())
    }

    pub(super) fn pack(&mut self, to: Reg, low: Operand, high: Operand) -> Result<(), Fault> {
        let (low, high) = (self.operand(low)?, self.operand(high)?);
        let out = zip(&low, &high, |low, high| {
            word_of([low, high].map(|bits| f16::from_f32(f32::from_bits(bits))))
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn unpack(&mut self, to: Reg, from: Operand, high: bool) -> Result<(), Fault> {
        let from = self.operand(from)?;
        let shift = if high { 16 } else { 0 };
        let out = map(&from, |word| {
            f16::from_bits((word >> shift) as u16).to_f32().to_bits()
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn compare(
        &mut self,
        (op, kind): (Compare, CompareAs),
        to: RegP,
        a: Operand,
        b: Operand,
    ) -> Result<(), Fault> {
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        let holds = (0..WARP).fold(0, |holds, lane| {
            holds | u32::from(op.of(kind, a[lane], b[lane])) << lane
        });
        self.set_predicate(to, holds);
        Ok(())
    }

    pub(super) fn logic(&mut self, op: Predicate, to: RegP, a: RegP, b: RegP) -> Result<(), Fault> {
        let (a, b) = (self.predicate(a)?, self.predicate(b)?);
        let holds = match op {
            Predicate::And => a & b,
            Predicate::Or => a | b,
            Predicate::Xor => a ^ b,
        };
        self.set_predicate(to, holds);
        Ok(())
    }

    pub(super) fn not(&mut self, to: RegP, a: RegP) -> Result<(), Fault> {
        let holds = !self.predicate(a)?;
        self.set_predicate(to, holds);
        Ok(())
    }

    pub(super) fn select(
        &mut self,
        to: Reg,
        condition: RegP,
        yes: Operand,
        no: Operand,
    ) -> Result<(), Fault> {
        let holds = self.predicate(condition)?;
        let (yes, no) = (self.operand(yes)?, self.operand(no)?);
        let out = each(|lane| {
            let here = holds >> lane & 1 == 1;
            if here { yes[lane] } else { no[lane] }
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn on_bits(&mut self, to: Reg, a: Operand, f: fn(u32) -> u32) -> Result<(), Fault> {
        let out = map(&self.operand(a)?, f);
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn shuffle(&mut self, to: Reg, from: Operand, by: ShuffleBy) -> Result<(), Fault> {
        self.converged("a shuffle")?;
        let from = self.operand(from)?;
        let chosen = match by {
            ShuffleBy::Lane(lane) => self.operand(lane)?,
            _ => [0; WARP],
        };
        let out = each(|lane| {
            let source = match by {
                ShuffleBy::Xor(bits) => lane ^ bits as usize,
                ShuffleBy::Up(by) => lane.checked_sub(by as usize).unwrap_or(lane),
                ShuffleBy::Down(by) => lane + by as usize,
                ShuffleBy::Lane(_) => chosen[lane] as usize % WARP,
            };
            from[if source < WARP { source } else { lane }]
        });
        self.set(to, &out);
        Ok(())
    }

    pub(super) fn vote(&mut self, what: Vote, to: Reg, from: RegP) -> Result<(), Fault> {
        self.converged("a vote")?;
        let Vote::Ballot = what;
        let ballot = self.predicate(from)?;
        self.set(to, &[ballot; WARP]);
        Ok(())
    }

    pub(super) fn raw(
        &mut self,
        outputs: &[Reg],
        inputs: &[Operand],
        meaning: &Meaning,
    ) -> Result<(), Fault> {
        let given: Vec<Lanes> = inputs
            .iter()
            .map(|&input| self.operand(input))
            .collect::<Result<_, _>>()?;
        let mut out = vec![[0; WARP]; outputs.len()];
        for lane in lanes_of(self.active) {
            let bits: Vec<u32> = given.iter().map(|lanes| lanes[lane]).collect();
            let results = (meaning.0)(&bits);
            if results.len() != outputs.len() {
                let what = format!("gives {} values for {}", results.len(), outputs.len());
                return Err(Fault::lane(lane, format!("the meaning of raw PTX {what}")));
            }
            for (out, result) in out.iter_mut().zip(results) {
                out[lane] = result;
            }
        }
        for (&to, out) in outputs.iter().zip(&out) {
            self.set(to, out);
        }
        Ok(())
    }
}

/// Rounded once: in f64 the product is exact and the sum nearly so.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

fn unary(op: FloatUnary, bits: u32) -> u32 {
    let x = f32::from_bits(bits);
    match op {
        FloatUnary::Negate => bits ^ 0x8000_0000,
        FloatUnary::Absolute => bits & 0x7fff_ffff,
        FloatUnary::Floor => x.floor().to_bits(),
        FloatUnary::Exp2 => flushed(flushed(x).exp2()).to_bits(),
        FloatUnary::Log2 => flushed(flushed(x).log2()).to_bits(),
        FloatUnary::Reciprocal => flushed(flushed(x).recip()).to_bits(),
        FloatUnary::SquareRoot => flushed(flushed(x).sqrt()).to_bits(),
        FloatUnary::Tanh => coarse(x.tanh()).to_bits(),
        FloatUnary::FromUnsigned => (bits as f32).to_bits(),
        FloatUnary::ToUnsigned => x.round_ties_even() as u32,
    }
}

/// What `.ftz` makes of an operand and of a result: subnormal numbers become zero of the same sign.
fn flushed(x: f32) -> f32 {
    match x.is_subnormal() {
        true => 0f32.copysign(x),
        false => x,
    }
}

/// `min` as PTX defines it: a number wins over NaN, and -0 is below +0.
fn smaller(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f32::from_bits(CANONICAL_NAN),
        (true, false) => b,
        (false, true) => a,
        (false, false) if a.total_cmp(&b).is_le() => a,
        (false, false) => b,
    }
}

/// `max`, likewise.
fn larger(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f32::from_bits(CANONICAL_NAN),
        (true, false) => b,
        (false, true) => a,
        (false, false) if a.total_cmp(&b).is_ge() => a,
        (false, false) => b,
    }
}

/// The NaN that instructions with only NaN operands give.
const CANONICAL_NAN: u32 = 0x7fff_ffff;

/// Rounded to the 11 bits that `tanh.approx` promises.
fn coarse(x: f32) -> f32 {
    const KEPT: u32 = 12;
    let drop = 23 - KEPT;
    let rounded = x.to_bits().wrapping_add(1 << (drop - 1)) & !((1 << drop) - 1);
    if x.is_finite() {
        f32::from_bits(rounded)
    } else {
        x
    }
}
