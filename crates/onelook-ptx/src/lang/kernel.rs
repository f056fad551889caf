//! A finished kernel: parameters, registers, shared memory and statements.

use super::{Instruction, Statement, Target};

/// A kernel for one target, ready to be printed as PTX or interpreted.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The entry's name: letters, digits and underscores.
    pub name: String,
    /// The target that it was written for.
    pub target: Target,
    /// What a launch must bring, in order.
    pub parameters: Vec<Parameter>,
    /// Threads of a block, a multiple of 32.
    pub threads: u32,
    /// Blocks that should fit one multiprocessor at a time; limits the registers.
    pub blocks_per_multiprocessor: u32,
    /// Bytes of shared memory.
    pub shared_bytes: u32,
    /// Numbers of 32-bit, 64-bit and predicate registers.
    pub registers: [u32; 3],
    /// The statements.
    pub body: Vec<Statement>,
}

impl Kernel {
    /// Whether it waits for the kernels before it, so that it may start before they have ended.
    pub fn waits_for_grid(&self) -> bool {
        any(&self.body, &|instruction| {
            matches!(instruction, Instruction::GridWait)
        })
    }

    /// Whether it lets the kernels behind it start before it has ended.
    pub fn launches_dependents(&self) -> bool {
        any(&self.body, &|instruction| {
            matches!(instruction, Instruction::GridLaunch)
        })
    }
}

fn any(body: &[Statement], what: &impl Fn(&Instruction) -> bool) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Do(instruction) => what(instruction),
        Statement::If {
            then, otherwise, ..
        } => any(then, what) || any(otherwise, what),
        Statement::While { head, body, .. } => any(head, what) || any(body, what),
        Statement::Comment(_) => false,
    })
}

/// What a launch brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: ParameterKind,
}

/// The kinds of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// An address that is only read from.
    Input,
    /// An address that is written to, and may be read from.
    Output,
    /// 32 bits.
    Word,
    /// A tensor map for TMA, 128 bytes.
    TensorMap,
}
