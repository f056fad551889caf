//! Choosing one of two values by a boolean.

use super::boolean::BoolValue;
use super::{Bool, F16x2, F32, Global, Instruction, U32};

impl<'k> Bool<'k> {
    /// One value where it holds, another elsewhere.
    pub fn select<V>(self, yes: V, no: V) -> V
    where
        V: Into<U32<'k>> + Copy + Selectable<'k>,
    {
        match self.value() {
            BoolValue::Known(true) => yes,
            BoolValue::Known(false) => no,
            BoolValue::Register(condition) => {
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
        match self.value() {
            BoolValue::Known(true) => yes,
            BoolValue::Known(false) => no,
            BoolValue::Register(condition) => {
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
