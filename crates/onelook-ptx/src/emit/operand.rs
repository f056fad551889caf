//! Registers, constants, addresses and parameters as PTX writes them.

use crate::lang::{Address, Kernel, Operand, Reg, Reg64, RegP};

/// The block's shared memory.
pub(super) const SHARED: &str = "shared_memory";

/// A 32-bit register.
pub(super) fn reg(register: Reg) -> String {
    format!("%r{}", register.0)
}

/// A 64-bit register.
pub(super) fn reg64(register: Reg64) -> String {
    format!("%d{}", register.0)
}

/// A predicate register.
pub(super) fn predicate(register: RegP) -> String {
    format!("%p{}", register.0)
}

/// A register, or a constant as an integer.
pub(super) fn word(operand: Operand) -> String {
    match operand {
        Operand::Reg(register) => reg(register),
        Operand::Constant(value @ 0..=0xffff) => value.to_string(),
        Operand::Constant(value) => format!("0x{value:x}"),
    }
}

/// A register, or a constant as a float.
pub(super) fn float(operand: Operand) -> String {
    match operand {
        Operand::Reg(register) => reg(register),
        Operand::Constant(value) => format!("0f{value:08X}"),
    }
}

/// An address in brackets.
pub(super) fn address(address: Address) -> String {
    let (base, offset) = match address {
        Address::Global { base, offset } => (reg64(base), offset),
        Address::Shared { base, offset } => (word(base), offset),
    };
    match offset {
        0 => format!("[{base}]"),
        offset => format!("[{base}{offset:+}]"),
    }
}

/// Values in braces; a single one stands alone.
pub(super) fn vector(values: &[String]) -> String {
    match values {
        [value] => value.clone(),
        values => braces(values),
    }
}

/// Values in braces.
pub(super) fn braces(values: &[String]) -> String {
    format!("{{{}}}", values.join(", "))
}

/// Registers in braces.
pub(super) fn braced(registers: &[Reg]) -> String {
    let names: Vec<String> = registers.iter().copied().map(reg).collect();
    braces(&names)
}

/// The parameter's name in PTX: its number makes it unique, its name readable.
pub(super) fn parameter(kernel: &Kernel, index: usize) -> String {
    let name = kernel.parameters.get(index).map_or("", |it| &it.name);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("param_{index}_{name}")
}
