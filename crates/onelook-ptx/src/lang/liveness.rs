//! How many registers a kernel needs, without ptxas: the most values that are live at one point.
//!
//! A backward data-flow analysis over the structured program. A value that is never read does not
//! count, as ptxas removes it.

use super::{Address, Instruction, Kernel, MatrixA, Operand, Reg, Reg64, ShuffleBy, Statement};

/// Registers that ptxas needs besides the kernel's values: intermediate results of 64-bit
/// arithmetic and of divisions, addresses, values that it loads early. Fitted to what ptxas
/// reports.
const OTHERS: u32 = 10;

/// Registers of one thread, estimated; ptxas gives multiples of 8 up to 255.
pub fn live_registers(kernel: &Kernel) -> u32 {
    let mut flow = Liveness {
        narrow: kernel.registers[0],
        most: 0,
    };
    flow.block(&kernel.body, LiveSet::none(kernel));
    (flow.most + OTHERS).next_multiple_of(8).min(255)
}

/// The registers whose values are still needed: 32-bit ones first, then those that count twice.
#[derive(Clone, PartialEq)]
struct LiveSet {
    bits: Vec<u64>,
    weight: u32,
}

impl LiveSet {
    fn none(kernel: &Kernel) -> Self {
        let registers = kernel.registers[0] + kernel.registers[1];
        Self {
            bits: vec![0; registers.div_ceil(64) as usize],
            weight: 0,
        }
    }
}

/// A register by its position in [`LiveSet`], and how many 32-bit registers it is.
#[derive(Clone, Copy)]
struct RegisterSlot {
    index: u32,
    weight: u32,
}

impl LiveSet {
    fn has(&self, it: RegisterSlot) -> bool {
        self.bits[it.index as usize / 64] >> (it.index % 64) & 1 == 1
    }

    fn add(&mut self, it: RegisterSlot) {
        if !self.has(it) {
            self.weight += it.weight;
            self.bits[it.index as usize / 64] |= 1 << (it.index % 64);
        }
    }

    fn remove(&mut self, it: RegisterSlot) {
        if self.has(it) {
            self.weight -= it.weight;
            self.bits[it.index as usize / 64] &= !(1 << (it.index % 64));
        }
    }

    fn join(&mut self, other: &Self, narrow: u32) {
        for (word, (mine, theirs)) in self.bits.iter_mut().zip(&other.bits).enumerate() {
            let mut fresh = theirs & !*mine;
            *mine |= theirs;
            while fresh != 0 {
                let index = word as u32 * 64 + fresh.trailing_zeros();
                self.weight += if index < narrow { 1 } else { 2 };
                fresh &= fresh - 1;
            }
        }
    }
}

struct Liveness {
    narrow: u32,
    most: u32,
}

impl Liveness {
    /// What is live before the statements, given what is after them.
    fn block(&mut self, statements: &[Statement], after: LiveSet) -> LiveSet {
        statements.iter().rev().fold(after, |live, statement| {
            let before = self.statement(statement, live);
            self.most = self.most.max(before.weight);
            before
        })
    }

    fn statement(&mut self, statement: &Statement, mut live: LiveSet) -> LiveSet {
        match statement {
            Statement::Comment(_) => live,
            Statement::Do(instruction) => {
                self.instruction(instruction, &mut live);
                live
            }
            Statement::If {
                then, otherwise, ..
            } => {
                // Either branch may run: what one of them needs is live before both.
                let other = self.block(otherwise, live.clone());
                let mut before = self.block(then, live);
                before.join(&other, self.narrow);
                before
            }
            Statement::While { head, body, .. } => {
                // What the next iteration needs is live at the end of this one. Start from the loop
                // that ends at once and repeat until nothing is added; sets only grow, so this
                // ends.
                let mut entry = self.block(head, live.clone());
                loop {
                    let mut after_head = live.clone();
                    after_head.join(&self.block(body, entry.clone()), self.narrow);
                    let next = self.block(head, after_head);
                    if next == entry {
                        return entry;
                    }
                    entry = next;
                }
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction, live: &mut LiveSet) {
        let used = RegisterUse::of(instruction, self.narrow);
        let needed = used.writes.iter().any(|&it| live.has(it));
        if !used.acts && !needed {
            return;
        }
        // An instruction with side effects needs a register for its result even if nobody reads it.
        used.writes.iter().for_each(|&it| live.add(it));
        self.most = self.most.max(live.weight);
        used.writes.iter().for_each(|&it| live.remove(it));
        used.reads.iter().for_each(|&it| live.add(it));
    }
}

/// The registers of one instruction.
struct RegisterUse {
    narrow: u32,
    reads: Vec<RegisterSlot>,
    writes: Vec<RegisterSlot>,
    /// Whether it does more than to write registers.
    acts: bool,
}

impl RegisterUse {
    fn of(instruction: &Instruction, narrow: u32) -> Self {
        let mut used = Self {
            narrow,
            reads: Vec::new(),
            writes: Vec::new(),
            acts: false,
        };
        used.visit(instruction);
        used
    }

    fn word(&self, register: Reg) -> RegisterSlot {
        let (index, weight) = (register.0, 1);
        RegisterSlot { index, weight }
    }

    fn wide(&self, register: Reg64) -> RegisterSlot {
        let (index, weight) = (self.narrow + register.0, 2);
        RegisterSlot { index, weight }
    }

    fn read(&mut self, operands: &[Operand]) {
        for operand in operands {
            if let Operand::Reg(register) = operand {
                let place = self.word(*register);
                self.reads.push(place);
            }
        }
    }

    fn read_registers(&mut self, registers: &[Reg]) {
        let places: Vec<RegisterSlot> = registers.iter().map(|&it| self.word(it)).collect();
        self.reads.extend(places);
    }

    fn read_wide(&mut self, register: Reg64) {
        let place = self.wide(register);
        self.reads.push(place);
    }

    fn at(&mut self, place: Address) {
        match place {
            Address::Global { base, .. } => self.read_wide(base),
            Address::Shared { base, .. } => self.read(&[base]),
        }
    }

    fn write(&mut self, registers: &[Reg]) {
        let places: Vec<RegisterSlot> = registers.iter().map(|&it| self.word(it)).collect();
        self.writes.extend(places);
    }

    fn write_wide(&mut self, register: Reg64) {
        let place = self.wide(register);
        self.writes.push(place);
    }

    fn visit(&mut self, instruction: &Instruction) {
        use Instruction as I;
        match instruction {
            I::Move { to, a }
            | I::FloatUnary { to, a, .. }
            | I::CountOnes { to, a }
            | I::HighestOne { to, a }
            | I::ReverseBits { to, a } => self.step(*to, &[*a]),
            I::UnpackF16 { to, from, .. } => self.step(*to, &[*from]),
            I::Integer { to, a, b, .. } | I::Float { to, a, b, .. } | I::F16x2 { to, a, b, .. } => {
                self.step(*to, &[*a, *b])
            }
            I::MultiplyAdd { to, a, b, c } | I::FusedMultiplyAdd { to, a, b, c } => {
                self.step(*to, &[*a, *b, *c]);
            }
            I::Permute { to, a, b, selector } => self.step(*to, &[*a, *b, *selector]),
            I::PackF16x2 { to, low, high } => self.step(*to, &[*low, *high]),
            I::Select { to, yes, no, .. } => self.step(*to, &[*yes, *no]),
            I::Special { to, .. } | I::LoadParameter { to, .. } | I::Vote { to, .. } => {
                self.write(&[*to]);
            }
            I::Shuffle { to, from, by } => {
                self.step(*to, &[*from]);
                if let ShuffleBy::Lane(lane) = by {
                    self.read(&[*lane]);
                }
            }
            I::Asm {
                outputs, inputs, ..
            } => {
                self.acts = true;
                self.write(outputs);
                self.read(inputs);
            }
            I::Compare { a, b, .. } => {
                // Predicates are not followed, so that all comparisons count as needed.
                self.acts = true;
                self.read(&[*a, *b]);
            }
            I::Predicate { .. } | I::Not { .. } => {}
            other => self.visit_memory(other),
        }
    }

    fn step(&mut self, to: Reg, operands: &[Operand]) {
        self.write(&[to]);
        self.read(operands);
    }

    fn visit_memory(&mut self, instruction: &Instruction) {
        use Instruction as I;
        match instruction {
            I::Select64 { to, yes, no, .. } => {
                self.write_wide(*to);
                self.read_wide(*yes);
                self.read_wide(*no);
            }
            I::LoadPointer { to, .. } => self.write_wide(*to),
            I::Advance { to, base, offset } => {
                self.write_wide(*to);
                self.read_wide(*base);
                self.read(&[*offset]);
            }
            I::Load { to, from, .. } | I::LoadMatrix { to, from, .. } => {
                self.write(to);
                self.at(*from);
            }
            I::MakeDescriptor { to, address, .. } => {
                self.write_wide(*to);
                self.read(&[*address]);
            }
            I::Mma { d, a, b, .. } => {
                self.write(d);
                [&d[..], a, b].iter().for_each(|it| self.read_registers(it));
            }
            other => {
                self.acts = true;
                self.visit_act(other);
            }
        }
    }

    fn visit_act(&mut self, instruction: &Instruction) {
        use Instruction as I;
        match instruction {
            I::Store { to, from, .. } => {
                self.at(*to);
                self.read(from);
            }
            I::Atomic { old, at, value, .. } => {
                self.write(&[*old]);
                self.at(*at);
                self.read(&[*value]);
            }
            I::AsyncCopy { to, from, .. } => {
                self.at(*to);
                self.at(*from);
            }
            I::MbarrierInit { at, .. } | I::MbarrierArrive { at } => self.at(*at),
            I::MbarrierExpect { at, bytes: word } | I::MbarrierWait { at, parity: word } => {
                self.at(*at);
                self.read(&[*word]);
            }
            I::TensorLoad {
                to,
                coordinates,
                window,
                barrier,
                ..
            } => {
                self.at(*to);
                self.at(*barrier);
                self.read(coordinates);
                self.read(window);
            }
            I::Wgmma {
                d,
                a,
                b,
                accumulate,
                ..
            } => self.visit_wgmma(d, *a, *b, *accumulate),
            _ => {}
        }
    }

    fn visit_wgmma(&mut self, d: &[Reg], a: MatrixA, b: Reg64, accumulate: bool) {
        self.write(d);
        if accumulate {
            self.read_registers(d);
        }
        match a {
            MatrixA::Shared(descriptor) => self.read_wide(descriptor),
            MatrixA::Registers(registers) => self.read_registers(&registers),
        }
        self.read_wide(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Builder, Cache, Target};

    fn live(write: impl FnOnce(&Builder)) -> u32 {
        let k = Builder::new("sample", Target::Sm80, 32);
        write(&k);
        let kernel = k.finish();
        let mut flow = Liveness {
            narrow: kernel.registers[0],
            most: 0,
        };
        flow.block(&kernel.body, LiveSet::none(&kernel));
        flow.most
    }

    #[test]
    fn values_count_while_someone_will_read_them() {
        let one_after_the_other = live(|k| {
            let (from, to) = (k.input("from"), k.output("to"));
            for i in 0..8 {
                k.store(to + 4 * i, k.load::<1>(from + 4 * i, Cache::Default));
            }
        });
        let all_at_once = live(|k| {
            let (from, to) = (k.input("from"), k.output("to"));
            let values =
                [0, 1, 2, 3, 4, 5, 6, 7].map(|i| k.load::<1>(from + 4 * i, Cache::Default));
            values.into_iter().for_each(|value| k.store(to, value));
        });
        // Two addresses of two registers each and a value; or seven while the eighth is loaded.
        assert_eq!(one_after_the_other, 5);
        assert_eq!(all_at_once, 4 + 8 - 1);
    }

    #[test]
    fn what_a_loop_reads_is_alive_all_through_it() {
        let registers = live(|k| {
            let to = k.output("to");
            let (a, b, sum) = (k.word("a"), k.word("b"), k.variable(k.u32(0)));
            k.count(0, 10, 1, |i| k.assign(sum, sum + a * i));
            k.store(to, [sum + b]);
        });
        // The address, a, b, the sum, the counter and a product.
        assert_eq!(registers, 2 + 5);
    }

    #[test]
    fn what_nobody_reads_is_not_counted() {
        let registers = live(|k| {
            let from = k.input("from");
            let [a, b, c, d] = k.load::<4>(from, Cache::Default);
            let _ = a + b + c + d;
        });
        assert_eq!(registers, 0);
    }
}
