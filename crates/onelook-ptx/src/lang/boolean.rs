//! Truths: what comparisons give, what conditions take.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{
    Builder, Compare, CompareAs, F16x2, F32, Global, Instruction, Operand, Predicate, RegP, U32,
};

/// A truth in each lane.
#[derive(Debug, Clone, Copy)]
pub struct Bool<'k> {
    kernel: &'k Builder,
    truth: Truth,
}

/// A truth that is known when the kernel is written, or not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Truth {
    /// Known.
    Known(bool),
    /// Known in the kernel.
    Register(RegP),
}

impl<'k> Bool<'k> {
    /// The same in every lane.
    pub fn known(kernel: &'k Builder, value: bool) -> Self {
        let truth = Truth::Known(value);
        Self { kernel, truth }
    }

    /// The truth in a predicate register.
    pub fn in_register(kernel: &'k Builder, register: RegP) -> Self {
        let truth = Truth::Register(register);
        Self { kernel, truth }
    }

    pub(super) fn truth(self) -> Truth {
        self.truth
    }

    /// The truth's register; what is known is compared into a fresh one.
    pub fn register(self) -> RegP {
        match self.truth {
            Truth::Register(register) => register,
            Truth::Known(value) => {
                let to = self.kernel.predicate();
                self.kernel.emit(Instruction::Compare {
                    op: Compare::Equal,
                    kind: CompareAs::Unsigned,
                    to,
                    a: Operand::Constant(u32::from(value)),
                    b: Operand::Constant(1),
                });
                to
            }
        }
    }

    fn logic(self, op: Predicate, other: Self) -> Self {
        match (op, self.truth, other.truth) {
            (Predicate::And, Truth::Known(true), _) | (Predicate::Or, Truth::Known(false), _) => {
                other
            }
            (Predicate::And, Truth::Known(false), _) | (Predicate::Or, Truth::Known(true), _) => {
                self
            }
            (_, Truth::Register(_), Truth::Known(_)) if op != Predicate::Xor => {
                other.logic(op, self)
            }
            _ => {
                let to = self.kernel.predicate();
                let (a, b) = (self.register(), other.register());
                self.kernel.emit(Instruction::Predicate { op, to, a, b });
                Self::in_register(self.kernel, to)
            }
        }
    }

    /// One value where it holds, another elsewhere.
    pub fn select<V>(self, yes: V, no: V) -> V
    where
        V: Into<U32<'k>> + Copy + Selectable<'k>,
    {
        match self.truth {
            Truth::Known(true) => yes,
            Truth::Known(false) => no,
            Truth::Register(condition) => {
                let to = self.kernel.reg();
                let (yes, no) = (yes.into().operand, no.into().operand);
                self.kernel.emit(Instruction::Select {
                    to,
                    condition,
                    yes,
                    no,
                });
                V::from_bits(U32::in_register(self.kernel, to))
            }
        }
    }

    /// One address where it holds, another elsewhere.
    pub fn select_address(self, yes: Global<'k>, no: Global<'k>) -> Global<'k> {
        match self.truth {
            Truth::Known(true) => yes,
            Truth::Known(false) => no,
            Truth::Register(condition) => {
                let to = self.kernel.reg64();
                let (yes, no) = (yes.settled(), no.settled());
                self.kernel.emit(Instruction::Select64 {
                    to,
                    condition,
                    yes,
                    no,
                });
                Global::at(self.kernel, to)
            }
        }
    }
}

/// Words that [`Bool::select`] chooses between.
pub trait Selectable<'k> {
    /// The value with these bits.
    fn from_bits(bits: U32<'k>) -> Self;
}

impl<'k> Selectable<'k> for U32<'k> {
    fn from_bits(bits: U32<'k>) -> Self {
        bits
    }
}

impl<'k> Selectable<'k> for F32<'k> {
    fn from_bits(bits: U32<'k>) -> Self {
        bits.as_f32()
    }
}

impl<'k> Selectable<'k> for F16x2<'k> {
    fn from_bits(bits: U32<'k>) -> Self {
        bits.as_f16x2()
    }
}

impl<'k> BitAnd for Bool<'k> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.logic(Predicate::And, other)
    }
}

impl<'k> BitOr for Bool<'k> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.logic(Predicate::Or, other)
    }
}

impl<'k> BitXor for Bool<'k> {
    type Output = Self;
    fn bitxor(self, other: Self) -> Self {
        self.logic(Predicate::Xor, other)
    }
}

impl<'k> Not for Bool<'k> {
    type Output = Self;
    fn not(self) -> Self {
        match self.truth {
            Truth::Known(value) => Self::known(self.kernel, !value),
            Truth::Register(a) => {
                let to = self.kernel.predicate();
                self.kernel.emit(Instruction::Not { to, a });
                Self::in_register(self.kernel, to)
            }
        }
    }
}
