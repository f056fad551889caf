//! The kernel language: a kernel is a Rust function that writes down its instructions.
//!
//! [`Builder`] hands out values ([`U32`], [`F32`], [`F16x2`], [`Bool`], [`Global`]) that are
//! registers or constants; operators on them append instructions and fold constants. Loops and
//! conditions of the kernel are methods that take closures; Rust loops unroll. The result is a
//! [`Kernel`], the same for the PTX emitter and the interpreter.

mod boolean;
mod builder;
mod float;
mod instruction;
mod kernel;
mod liveness;
mod matrix;
mod memory;
mod operation;
mod select;
mod semantics;
mod statements;
mod target;
mod value;

pub use boolean::Bool;
pub use builder::Builder;
pub use instruction::{Instruction, Statement};
pub use kernel::{Kernel, Parameter, ParameterKind};
pub use liveness::live_registers;
pub use matrix::{Descriptor, Swizzle};
pub use memory::SharedAddress;
pub use operation::{
    Address, Atomic, Cache, Compare, CompareAs, F16x2Op, Float, FloatUnary, Integer, MatrixA,
    Meaning, MmaShape, OnBits, Operand, Predicate, Reg, Reg64, RegP, ShuffleBy, Space, Special,
    Vote,
};
pub use select::Selectable;
pub use target::{Feature, Target, UnknownTarget};
pub use value::{F16x2, F32, Global, U32, U32Like};
