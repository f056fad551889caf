//! Booleans: results of comparisons, conditions of branches and loops.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{Builder, Compare, CompareAs, Instruction, Operand, Predicate, RegP};

/// A boolean in each lane.
#[derive(Debug, Clone, Copy)]
pub struct Bool<'k> {
    pub(super) kernel: &'k Builder,
    truth: Truth,
}

/// A boolean that is known when the kernel is written, or one in a register.
#[derive(Debug, Clone, Copy)]
pub(super) enum Truth {
    /// Known.
    Known(bool),
    /// Computed by the kernel.
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
