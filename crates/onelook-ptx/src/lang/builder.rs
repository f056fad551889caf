//! The builder: collects the statements, registers, parameters and shared memory of a kernel.

use std::cell::{Cell, RefCell};

use super::{
    Instruction, Kernel, Parameter, ParameterKind, Reg, Reg64, RegP, Special, Statement, Target,
};

/// A kernel being written. Values borrow it, so they cannot end up in another kernel.
#[derive(Debug)]
pub struct Builder {
    name: String,
    target: Target,
    threads: u32,
    blocks_per_multiprocessor: u32,
    parameters: RefCell<Vec<Parameter>>,
    /// Statements of every block that is open, the innermost last.
    open: RefCell<Vec<Vec<Statement>>>,
    registers: [Cell<u32>; 3],
    shared_bytes: Cell<u32>,
    pub(super) shared_base: Reg,
}

impl Builder {
    /// Begins a kernel with this name for blocks of so many threads.
    ///
    /// # Panics
    /// When the name has other than letters, digits and underscores, or threads are no multiple
    /// of 32 up to 1024.
    pub fn new(name: &str, target: Target, threads: u32) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.chars().all(plain), "'{name}' cannot name a kernel");
        assert!(threads.is_multiple_of(32) && (32..=1024).contains(&threads));
        let builder = Self {
            name: name.to_owned(),
            target,
            threads,
            blocks_per_multiprocessor: 1,
            parameters: RefCell::default(),
            open: RefCell::new(vec![Vec::new()]),
            registers: Default::default(),
            shared_bytes: Cell::new(0),
            shared_base: Reg(0),
        };
        let to = builder.reg();
        let what = Special::SharedBase;
        builder.emit(Instruction::Special { to, what });
        builder
    }

    /// Lets ptxas limit registers so that so many blocks fit a multiprocessor.
    #[must_use]
    pub fn with_blocks_per_multiprocessor(self, blocks_per_multiprocessor: u32) -> Self {
        Self {
            blocks_per_multiprocessor,
            ..self
        }
    }

    /// The target that the kernel is written for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// The kernel, complete.
    ///
    /// # Panics
    /// When a block of statements is still open: a closure unwound.
    pub fn finish(self) -> Kernel {
        let mut open = self.open.into_inner();
        assert_eq!(open.len(), 1, "a block of statements is still open");
        Kernel {
            name: self.name,
            target: self.target,
            parameters: self.parameters.into_inner(),
            threads: self.threads,
            blocks_per_multiprocessor: self.blocks_per_multiprocessor,
            shared_bytes: self.shared_bytes.get(),
            registers: self.registers.map(|next| next.get()),
            body: open.pop().unwrap_or_default(),
        }
    }

    /// A parameter: a tensor map; the number to give to [`tensor_load`](Self::tensor_load).
    pub fn tensor_map(&self, name: &str) -> usize {
        self.parameter(name, ParameterKind::TensorMap)
    }

    pub(super) fn parameter(&self, name: &str, kind: ParameterKind) -> usize {
        let mut parameters = self.parameters.borrow_mut();
        parameters.push(Parameter {
            name: name.to_owned(),
            kind,
        });
        parameters.len() - 1
    }

    /// A comment in the PTX.
    pub fn comment(&self, text: impl Into<String>) {
        self.push(Statement::Comment(text.into()));
    }

    /// The statements that the closure writes.
    pub(super) fn block(&self, body: impl FnOnce()) -> Vec<Statement> {
        self.open.borrow_mut().push(Vec::new());
        body();
        self.open.borrow_mut().pop().expect("opened above")
    }

    pub(super) fn push(&self, statement: Statement) {
        let mut open = self.open.borrow_mut();
        open.last_mut()
            .expect("the kernel's own block")
            .push(statement);
    }

    /// Appends an instruction. Kernels use the values' operators and the builder's methods instead.
    pub fn emit(&self, instruction: Instruction) {
        self.push(Statement::Do(instruction));
    }

    fn next(&self, bank: usize) -> u32 {
        let next = self.registers[bank].get();
        self.registers[bank].set(next + 1);
        next
    }

    /// A fresh 32-bit register.
    pub fn reg(&self) -> Reg {
        Reg(self.next(0))
    }

    /// A fresh 64-bit register.
    pub fn reg64(&self) -> Reg64 {
        Reg64(self.next(1))
    }

    /// A fresh predicate register.
    pub fn predicate(&self) -> RegP {
        RegP(self.next(2))
    }

    /// Reserves shared memory; the offset of the first byte.
    pub(super) fn reserve_shared(&self, bytes: u32, alignment: u32) -> u32 {
        let start = self.shared_bytes.get().next_multiple_of(alignment);
        self.shared_bytes.set(start + bytes);
        start
    }
}
