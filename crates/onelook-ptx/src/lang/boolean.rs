//! Booleans: results of comparisons, conditions of branches and loops.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{Builder, Compare, CompareAs, Instruction, Operand, Predicate, RegP};

/// A boolean in each lane.
#[derive(Debug, Clone, Copy)]
pub struct Bool<'k> {
    pub(super) kernel: &'k Builder,
    value: BoolValue,
}

/// A boolean that is known when the kernel is written, or one in a register.
#[derive(Debug, Clone, Copy)]
pub(super) enum BoolValue {
    /// Known.
    Known(bool),
    /// Computed by the kernel.
    Register(RegP),
}

impl<'k> Bool<'k> {
    /// The same in every lane.
    pub fn known(kernel: &'k Builder, value: bool) -> Self {
        let value = BoolValue::Known(value);
        Self { kernel, value }
    }

    /// The boolean in a predicate register.
    pub fn in_register(kernel: &'k Builder, register: RegP) -> Self {
        let value = BoolValue::Register(register);
        Self { kernel, value }
    }

    pub(super) fn value(self) -> BoolValue {
        self.value
    }

    /// The predicate register; a known value is compared into a fresh one.
    pub fn register(self) -> RegP {
        match self.value {
            BoolValue::Register(register) => register,
            BoolValue::Known(value) => {
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
        match (op, self.value, other.value) {
            (Predicate::And, BoolValue::Known(true), _)
            | (Predicate::Or, BoolValue::Known(false), _) => other,
            (Predicate::And, BoolValue::Known(false), _)
            | (Predicate::Or, BoolValue::Known(true), _) => self,
            (_, BoolValue::Register(_), BoolValue::Known(_)) if op != Predicate::Xor => {
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
        match self.value {
            BoolValue::Known(value) => Self::known(self.kernel, !value),
            BoolValue::Register(a) => {
                let to = self.kernel.predicate();
                self.kernel.emit(Instruction::Not { to, a });
                Self::in_register(self.kernel, to)
            }
        }
    }
}
