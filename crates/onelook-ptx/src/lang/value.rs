//! Values of a kernel: registers and constants with operators that write instructions; whole
//! numbers and addresses.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Rem, Shl, Shr, Sub};

use super::{
    Bool, Builder, Compare, CompareAs, FloatUnary, Instruction, Integer, Operand, Reg, Reg64,
};

macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name<'k> {
            pub(super) kernel: &'k Builder,
            pub(super) operand: Operand,
        }

        impl<'k> $name<'k> {
            /// The value in a register.
            pub fn in_register(kernel: &'k Builder, register: Reg) -> Self {
                Self { kernel, operand: Operand::Reg(register) }
            }

            /// The value as instructions read it.
            pub fn operand(self) -> Operand {
                self.operand
            }

            /// The value's register; a constant is moved to a fresh one.
            pub fn register(self) -> Reg {
                match self.operand {
                    Operand::Reg(register) => register,
                    a @ Operand::Constant(_) => {
                        let to = self.kernel.reg();
                        self.kernel.emit(Instruction::Move { to, a });
                        to
                    }
                }
            }

            /// The same bits, taken for a number.
            pub fn bits(self) -> U32<'k> {
                U32 { kernel: self.kernel, operand: self.operand }
            }

            pub(super) fn write(self, instruction: impl FnOnce(Reg) -> Instruction) -> Reg {
                let to = self.kernel.reg();
                self.kernel.emit(instruction(to));
                to
            }
        }
    };
}

word! {
    /// 32 bits in each lane, an unsigned number unless said otherwise.
    U32
}
word! {
    /// A float in each lane.
    F32
}
word! {
    /// Two f16 values in each lane, the low one first in memory.
    F16x2
}

impl<'k> From<F32<'k>> for U32<'k> {
    fn from(value: F32<'k>) -> Self {
        value.bits()
    }
}

impl<'k> From<F16x2<'k>> for U32<'k> {
    fn from(value: F16x2<'k>) -> Self {
        value.bits()
    }
}

impl<'k> U32<'k> {
    /// The same number in every lane.
    pub fn constant(kernel: &'k Builder, value: u32) -> Self {
        let operand = Operand::Constant(value);
        Self { kernel, operand }
    }

    /// The number if it is known when the kernel is written.
    pub fn known(self) -> Option<u32> {
        self.operand.known()
    }

    /// The same bits, taken for a float.
    pub fn as_f32(self) -> F32<'k> {
        F32 {
            kernel: self.kernel,
            operand: self.operand,
        }
    }

    /// The same bits, taken for two f16 values.
    pub fn as_f16x2(self) -> F16x2<'k> {
        F16x2 {
            kernel: self.kernel,
            operand: self.operand,
        }
    }

    fn integer(self, op: Integer, other: Self) -> Self {
        if let (Some(a), Some(b)) = (self.known(), other.known()) {
            return Self::constant(self.kernel, op.of(a, b));
        }
        if other.known().is_some() && op.neutral_right() == other.known() {
            return self;
        }
        if op.commutes() && self.known().is_some() {
            return other.integer(op, self);
        }
        match (op, other.known()) {
            (Integer::Mul | Integer::And, Some(0)) => Self::constant(self.kernel, 0),
            (Integer::Rem, Some(1)) => Self::constant(self.kernel, 0),
            (Integer::Mul, Some(b)) if b.is_power_of_two() => self << b.trailing_zeros(),
            (Integer::Div, Some(b)) if b.is_power_of_two() => self >> b.trailing_zeros(),
            (Integer::Rem, Some(b)) if b.is_power_of_two() => self & (b - 1),
            _ => {
                let (a, b) = (self.operand, other.operand);
                let to = self.write(|to| Instruction::Integer { op, to, a, b });
                Self::in_register(self.kernel, to)
            }
        }
    }

    /// The smaller.
    pub fn min(self, other: impl Into<U32Like<'k>>) -> Self {
        self.integer(Integer::Min, other.into().on(self.kernel))
    }

    /// The larger.
    pub fn max(self, other: impl Into<U32Like<'k>>) -> Self {
        self.integer(Integer::Max, other.into().on(self.kernel))
    }

    /// The larger, both taken for signed numbers.
    pub fn max_signed(self, other: impl Into<U32Like<'k>>) -> Self {
        self.integer(Integer::MaxSigned, other.into().on(self.kernel))
    }

    /// The smaller, both taken for signed numbers.
    pub fn min_signed(self, other: impl Into<U32Like<'k>>) -> Self {
        self.integer(Integer::MinSigned, other.into().on(self.kernel))
    }

    /// Shifted right with the sign.
    pub fn shift_right_signed(self, by: u32) -> Self {
        self.integer(Integer::ShiftRightSigned, Self::constant(self.kernel, by))
    }

    /// `self * factor + summand`.
    pub fn multiply_add(self, factor: u32, summand: Self) -> Self {
        if self.known().is_some() || factor.is_power_of_two() || summand.known() == Some(0) {
            return self * factor + summand;
        }
        let (a, b, c) = (self.operand, Operand::Constant(factor), summand.operand);
        let to = self.write(|to| Instruction::MultiplyAdd { to, a, b, c });
        Self::in_register(self.kernel, to)
    }

    /// Number of bits that are 1.
    pub fn count_ones(self) -> Self {
        let a = self.operand;
        let to = self.write(|to| Instruction::CountOnes { to, a });
        Self::in_register(self.kernel, to)
    }

    /// Number of the highest bit that is 1; all ones if there is none.
    pub fn highest_one(self) -> Self {
        let a = self.operand;
        let to = self.write(|to| Instruction::HighestOne { to, a });
        Self::in_register(self.kernel, to)
    }

    /// The bits in opposite order.
    pub fn reverse_bits(self) -> Self {
        let a = self.operand;
        let to = self.write(|to| Instruction::ReverseBits { to, a });
        Self::in_register(self.kernel, to)
    }

    /// The number as a float.
    pub fn to_f32(self) -> F32<'k> {
        self.as_f32().unary(FloatUnary::FromUnsigned)
    }

    pub(super) fn compare(self, op: Compare, kind: CompareAs, other: Self) -> Bool<'k> {
        if let (Some(a), Some(b)) = (self.known(), other.known()) {
            return Bool::known(self.kernel, op.of(kind, a, b));
        }
        let to = self.kernel.predicate();
        let (a, b) = (self.operand, other.operand);
        self.kernel
            .emit(Instruction::Compare { op, kind, to, a, b });
        Bool::in_register(self.kernel, to)
    }

    fn unsigned(self, op: Compare, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.compare(op, CompareAs::Unsigned, other.into().on(self.kernel))
    }

    /// self < other.
    pub fn less(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::Less, other)
    }

    /// self ≤ other.
    pub fn less_equal(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::LessEqual, other)
    }

    /// self ≥ other.
    pub fn at_least(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::GreaterEqual, other)
    }

    /// self > other.
    pub fn above(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::Greater, other)
    }

    /// self = other.
    pub fn equals(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::Equal, other)
    }

    /// self ≠ other.
    pub fn differs(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        self.unsigned(Compare::NotEqual, other)
    }

    /// self < other, both taken for signed numbers.
    pub fn less_signed(self, other: impl Into<U32Like<'k>>) -> Bool<'k> {
        let other = other.into().on(self.kernel);
        self.compare(Compare::Less, CompareAs::Signed, other)
    }
}

/// A number known when the kernel is written, or one of its values.
#[derive(Debug, Clone, Copy)]
pub enum U32Like<'k> {
    /// Known.
    Known(u32),
    /// A value.
    Value(U32<'k>),
}

impl<'k> U32Like<'k> {
    pub(super) fn on(self, kernel: &'k Builder) -> U32<'k> {
        match self {
            Self::Known(value) => kernel.u32(value),
            Self::Value(value) => value,
        }
    }
}

impl From<u32> for U32Like<'_> {
    fn from(value: u32) -> Self {
        Self::Known(value)
    }
}

impl<'k> From<U32<'k>> for U32Like<'k> {
    fn from(value: U32<'k>) -> Self {
        Self::Value(value)
    }
}

macro_rules! integer_operator {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl<'k> $trait for U32<'k> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.integer(Integer::$op, other)
            }
        }

        impl<'k> $trait<u32> for U32<'k> {
            type Output = Self;
            fn $method(self, other: u32) -> Self {
                self.integer(Integer::$op, Self::constant(self.kernel, other))
            }
        }
    )*};
}

integer_operator!(
    Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Rem, BitAnd bitand And,
    BitOr bitor Or, BitXor bitxor Xor, Shl shl ShiftLeft, Shr shr ShiftRight
);

/// A global address: a register and a constant distance in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Global<'k> {
    pub(super) kernel: &'k Builder,
    pub(super) base: Reg64,
    pub(super) offset: i32,
}

impl<'k> Global<'k> {
    /// The address in a register.
    pub fn at(kernel: &'k Builder, base: Reg64) -> Self {
        let offset = 0;
        Self {
            kernel,
            base,
            offset,
        }
    }

    /// The address in one register, distance included.
    pub(super) fn settled(self) -> Reg64 {
        match u32::try_from(self.offset) {
            Ok(0) => self.base,
            offset => {
                let offset = offset.expect("distances are added up from unsigned ones");
                let to = self.kernel.reg64();
                self.kernel.emit(Instruction::Advance {
                    to,
                    base: self.base,
                    offset: Operand::Constant(offset),
                });
                to
            }
        }
    }
}

impl<'k> Add<u32> for Global<'k> {
    type Output = Self;
    /// So many bytes further.
    fn add(self, bytes: u32) -> Self {
        let bytes = i32::try_from(bytes).expect("constant distances stay below 2 GiB");
        Self {
            offset: self.offset + bytes,
            ..self
        }
    }
}

impl<'k> Add<U32<'k>> for Global<'k> {
    type Output = Self;
    /// So many bytes further.
    fn add(self, bytes: U32<'k>) -> Self {
        if let Some(bytes) = bytes.known().filter(|&bytes| bytes <= 0xf_ffff) {
            return self + bytes;
        }
        let to = self.kernel.reg64();
        self.kernel.emit(Instruction::Advance {
            to,
            base: self.base,
            offset: bytes.operand,
        });
        Self { base: to, ..self }
    }
}
