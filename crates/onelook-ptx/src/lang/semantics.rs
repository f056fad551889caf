//! The results of integer instructions and comparisons: used to fold constants, and by the
//! interpreter.

use super::{Compare, CompareAs, Integer};

impl Integer {
    /// `a op b`.
    ///
    /// # Panics
    /// On a division by 0.
    pub fn of(self, a: u32, b: u32) -> u32 {
        let signed = |pick: fn(i32, i32) -> i32| pick(a.cast_signed(), b.cast_signed());
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => a / b,
            Self::Rem => a % b,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::MinSigned => signed(i32::min).cast_unsigned(),
            Self::MaxSigned => signed(i32::max).cast_unsigned(),
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::ShiftLeft => a.checked_shl(b).unwrap_or(0),
            Self::ShiftRight => a.checked_shr(b).unwrap_or(0),
            Self::ShiftRightSigned => (a.cast_signed() >> b.min(31)).cast_unsigned(),
        }
    }

    /// The `b` for which `a op b` is `a`.
    pub(super) fn neutral_right(self) -> Option<u32> {
        match self {
            Self::Add | Self::Sub | Self::Or | Self::Xor | Self::Max => Some(0),
            Self::ShiftLeft | Self::ShiftRight | Self::ShiftRightSigned => Some(0),
            Self::Mul | Self::Div => Some(1),
            Self::And | Self::Min => Some(u32::MAX),
            Self::Rem | Self::MinSigned | Self::MaxSigned => None,
        }
    }

    /// Whether `a op b` is `b op a`.
    pub(super) fn commutes(self) -> bool {
        !matches!(
            self,
            Self::Sub
                | Self::Div
                | Self::Rem
                | Self::ShiftLeft
                | Self::ShiftRight
                | Self::ShiftRightSigned
        )
    }
}

impl Compare {
    /// Whether `a op b` holds.
    pub fn of(self, kind: CompareAs, a: u32, b: u32) -> bool {
        match kind {
            CompareAs::Unsigned => self.holds(&a, &b),
            CompareAs::Signed => self.holds(&a.cast_signed(), &b.cast_signed()),
            CompareAs::Float => self.holds(&f32::from_bits(a), &f32::from_bits(b)),
        }
    }

    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        }
    }
}
