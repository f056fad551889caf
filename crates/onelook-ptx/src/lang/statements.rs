//! The builder's methods for parameters, constants, variables, conditions and loops.

use super::boolean::BoolValue;
use super::{
    Bool, Builder, F16x2, F32, Global, Instruction, ParameterKind, Special, Statement, U32, U32Like,
};

impl Builder {
    /// A parameter: memory that is only read.
    pub fn input(&self, name: &str) -> Global<'_> {
        self.pointer(name, ParameterKind::Input)
    }

    /// A parameter: memory that is written.
    pub fn output(&self, name: &str) -> Global<'_> {
        self.pointer(name, ParameterKind::Output)
    }

    fn pointer(&self, name: &str, kind: ParameterKind) -> Global<'_> {
        let index = self.parameter(name, kind);
        let to = self.reg64();
        self.emit(Instruction::LoadPointer { to, index });
        Global::at(self, to)
    }

    /// A parameter: an unsigned number.
    pub fn word(&self, name: &str) -> U32<'_> {
        let index = self.parameter(name, ParameterKind::Word);
        let to = self.reg();
        self.emit(Instruction::LoadParameter { to, index });
        U32::in_register(self, to)
    }

    /// A parameter: a float.
    pub fn float(&self, name: &str) -> F32<'_> {
        self.word(name).as_f32()
    }

    /// The same number in every lane.
    pub fn u32(&self, value: u32) -> U32<'_> {
        U32::constant(self, value)
    }

    /// The same float in every lane.
    pub fn f32(&self, value: f32) -> F32<'_> {
        F32::constant(self, value)
    }

    /// Two zeros.
    pub fn zero_f16x2(&self) -> F16x2<'_> {
        F16x2::constant(self, 0)
    }

    /// A boolean that is known when the kernel is written.
    pub fn bool(&self, value: bool) -> Bool<'_> {
        Bool::known(self, value)
    }

    /// A register that may be assigned again, with a first value.
    pub fn variable<'k>(&'k self, first: U32<'k>) -> U32<'k> {
        let variable = U32::in_register(self, self.reg());
        self.assign(variable, first);
        variable
    }

    /// A float register that may be assigned again, with a first value.
    pub fn float_variable(&self, first: f32) -> F32<'_> {
        self.variable(self.f32(first).bits()).as_f32()
    }

    /// Gives a variable another value in the active lanes.
    pub fn assign<'k>(&'k self, variable: impl Into<U32<'k>>, value: impl Into<U32<'k>>) {
        let to = variable.into().register();
        let a = value.into().operand();
        self.emit(Instruction::Move { to, a });
    }

    /// Thread in the block.
    pub fn thread(&self) -> U32<'_> {
        self.special(Special::Thread)
    }

    /// Lane in the warp.
    pub fn lane(&self) -> U32<'_> {
        self.special(Special::Lane)
    }

    /// Warp in the block, known to be the same in all its lanes.
    pub fn warp(&self) -> U32<'_> {
        self.special(Special::Warp)
    }

    /// A special register.
    pub fn special(&self, what: Special) -> U32<'_> {
        let to = self.reg();
        self.emit(Instruction::Special { to, what });
        U32::in_register(self, to)
    }

    /// Runs the closure's statements in the lanes where the condition holds.
    pub fn when<'k>(&'k self, condition: Bool<'k>, then: impl FnOnce()) {
        self.when_else(condition, then, || {});
    }

    /// Runs one closure's statements where the condition holds, the other's elsewhere.
    pub fn when_else<'k>(
        &'k self,
        condition: Bool<'k>,
        then: impl FnOnce(),
        otherwise: impl FnOnce(),
    ) {
        match condition.value() {
            BoolValue::Known(true) => then(),
            BoolValue::Known(false) => otherwise(),
            BoolValue::Register(condition) => {
                let then = self.block(then);
                let otherwise = self.block(otherwise);
                self.push(Statement::If {
                    condition,
                    then,
                    otherwise,
                });
            }
        }
    }

    /// While the first closure's condition holds in a lane, runs the second's statements there.
    pub fn repeat_while<'k>(&'k self, condition: impl FnOnce() -> Bool<'k>, body: impl FnOnce()) {
        let mut register = None;
        let head = self.block(|| register = Some(condition().register()));
        let body = self.block(body);
        let condition = register.expect("the closure has run");
        self.push(Statement::While {
            head,
            condition,
            body,
        });
    }

    /// Counts from `first` up to below `end` by `step`. A loop that is known to run at most once
    /// becomes straight code.
    pub fn count<'k>(
        &'k self,
        first: impl Into<U32Like<'k>>,
        end: impl Into<U32Like<'k>>,
        step: u32,
        body: impl FnOnce(U32<'k>),
    ) {
        let (first, end) = (first.into().on(self), end.into().on(self));
        if let (Some(first), Some(end)) = (first.known(), end.known()) {
            if first >= end {
                return;
            }
            if first.saturating_add(step) >= end {
                return body(self.u32(first));
            }
        }
        let variable = self.variable(first);
        self.repeat_while(
            || variable.less(end),
            || {
                body(variable);
                self.assign(variable, variable + step);
            },
        );
    }

    /// The address where shared memory starts.
    pub(super) fn shared_base(&self) -> U32<'_> {
        U32::in_register(self, self.shared_base)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn body(write: impl Fn(&Builder)) -> Vec<String> {
        let kernel = Builder::new("sample", Target::Sm80, 32);
        write(&kernel);
        let mut kernel = kernel.finish();
        kernel.body.remove(0);
        kernel.body.iter().map(|line| format!("{line:?}")).collect()
    }

    #[test]
    fn what_is_known_is_computed_at_once() {
        let lines = body(|k| {
            let seven = k.u32(3) * 2 + 1;
            assert_eq!(seven.known(), Some(7));
            assert_eq!((k.u32(9) % 4).known(), Some(1));
            k.when(seven.less(8), || k.barrier());
            k.when(seven.less(7), || panic!("never written"));
            k.count(0, 4, 4, |i| assert_eq!(i.known(), Some(0)));
        });
        assert_eq!(lines, ["Do(Barrier)"]);
    }

    #[test]
    fn division_by_a_power_of_two_is_a_shift() {
        let lines = body(|k| {
            let thread = k.thread();
            let _ = (thread / 8, thread % 8, thread * 1 + 0);
        });
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("ShiftRight") && lines[2].contains("And"));
    }

    #[test]
    fn a_loop_has_its_condition_and_its_step() {
        let kernel = Builder::new("sample", Target::Sm80, 32);
        kernel.count(0, 10, 2, |_| kernel.barrier());
        let kernel = kernel.finish();
        let Some(Statement::While { head, body, .. }) = kernel.body.last() else {
            panic!("a loop comes last");
        };
        assert_eq!((head.len(), body.len()), (1, 3));
    }
}
