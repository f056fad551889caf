//! Floats and pairs of f16 values with their arithmetic.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{
    Bool, Builder, Compare, CompareAs, F16x2, F16x2Op, F32, Float, FloatUnary, Instruction, U32,
};

impl<'k> F32<'k> {
    /// The same float in every lane.
    pub fn constant(kernel: &'k Builder, value: f32) -> Self {
        U32::constant(kernel, value.to_bits()).as_f32()
    }

    fn binary(self, op: Float, other: Self) -> Self {
        let (a, b) = (self.operand, other.operand);
        let to = self.write(|to| Instruction::Float { op, to, a, b });
        Self::in_register(self.kernel, to)
    }

    pub(super) fn unary(self, op: FloatUnary) -> Self {
        let a = self.operand;
        let to = self.write(|to| Instruction::FloatUnary { op, to, a });
        Self::in_register(self.kernel, to)
    }

    /// `self * factor + summand`, rounded once.
    pub fn fused_multiply_add(self, factor: Self, summand: Self) -> Self {
        let (a, b, c) = (self.operand, factor.operand, summand.operand);
        let to = self.write(|to| Instruction::FusedMultiplyAdd { to, a, b, c });
        Self::in_register(self.kernel, to)
    }

    /// The smaller; a number wins over NaN.
    pub fn min(self, other: Self) -> Self {
        self.binary(Float::Min, other)
    }

    /// The larger; a number wins over NaN.
    pub fn max(self, other: Self) -> Self {
        self.binary(Float::Max, other)
    }

    /// The larger of it and 0.
    pub fn or_zero(self) -> Self {
        self.max(Self::constant(self.kernel, 0.0))
    }

    /// |self|.
    pub fn absolute(self) -> Self {
        self.unary(FloatUnary::Absolute)
    }

    /// The largest whole number not above.
    pub fn floor(self) -> Self {
        self.unary(FloatUnary::Floor)
    }

    /// 2^self, approximately.
    pub fn exp2(self) -> Self {
        self.unary(FloatUnary::Exp2)
    }

    /// Logarithm to base 2, approximately.
    pub fn log2(self) -> Self {
        self.unary(FloatUnary::Log2)
    }

    /// 1 / self, approximately.
    pub fn reciprocal(self) -> Self {
        self.unary(FloatUnary::Reciprocal)
    }

    /// Square root, approximately.
    pub fn square_root(self) -> Self {
        self.unary(FloatUnary::SquareRoot)
    }

    /// Hyperbolic tangent with a relative error of 2^-11.
    pub fn tanh(self) -> Self {
        self.unary(FloatUnary::Tanh)
    }

    /// The nearest unsigned number, ties to even.
    pub fn round_to_u32(self) -> U32<'k> {
        self.unary(FloatUnary::ToUnsigned).bits()
    }

    /// Two floats as f16 values, `self` the low one.
    pub fn pack(self, high: Self) -> F16x2<'k> {
        let (low, high) = (self.operand, high.operand);
        let to = self.write(|to| Instruction::PackF16x2 { to, low, high });
        F16x2::in_register(self.kernel, to)
    }

    fn compare(self, op: Compare, other: Self) -> Bool<'k> {
        self.bits().compare(op, CompareAs::Float, other.bits())
    }

    /// self < other.
    pub fn less(self, other: Self) -> Bool<'k> {
        self.compare(Compare::Less, other)
    }

    /// self > other.
    pub fn above(self, other: Self) -> Bool<'k> {
        self.compare(Compare::Greater, other)
    }

    /// self ≥ other.
    pub fn at_least(self, other: Self) -> Bool<'k> {
        self.compare(Compare::GreaterEqual, other)
    }

    /// self = other.
    pub fn equals(self, other: Self) -> Bool<'k> {
        self.compare(Compare::Equal, other)
    }
}

macro_rules! float_operator {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl<'k> $trait for F32<'k> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(Float::$op, other)
            }
        }

        impl<'k> $trait<f32> for F32<'k> {
            type Output = Self;
            fn $method(self, other: f32) -> Self {
                self.binary(Float::$op, Self::constant(self.kernel, other))
            }
        }
    )*};
}

float_operator!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl<'k> Neg for F32<'k> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(FloatUnary::Negate)
    }
}

impl<'k> F16x2<'k> {
    /// The same two f16 values, as bits, in every lane.
    pub fn constant(kernel: &'k Builder, bits: u32) -> Self {
        U32::constant(kernel, bits).as_f16x2()
    }

    fn binary(self, op: F16x2Op, other: Self) -> Self {
        let (a, b) = (self.operand, other.operand);
        let to = self.write(|to| Instruction::F16x2 { op, to, a, b });
        Self::in_register(self.kernel, to)
    }

    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        self.binary(F16x2Op::Max, other)
    }

    /// Both as floats, the low one first.
    pub fn unpack(self) -> [F32<'k>; 2] {
        [false, true].map(|high| {
            let from = self.operand;
            let to = self.write(|to| Instruction::UnpackF16 { to, from, high });
            F32::in_register(self.kernel, to)
        })
    }
}

impl<'k> Add for F16x2<'k> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.binary(F16x2Op::Add, other)
    }
}

impl<'k> Mul for F16x2<'k> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.binary(F16x2Op::Mul, other)
    }
}
