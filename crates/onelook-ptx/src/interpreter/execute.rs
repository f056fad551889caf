//! The execution of a warp: control flow, and the dispatch of each instruction.

use super::code::{Code, CodeStep};
use super::context::{BlockContext, LaunchContext};
use super::global::address_of;
use super::lanes::{WARP, each};
use super::shared_memory::BASE;
use super::trap::Fault;
use super::value::Value;
use super::warp::{MaskFrame, Warp, WarpState};
use crate::lang::{Instruction, Special};

/// Steps after which a warp is assumed never to end.
const MOST_STEPS: u64 = if cfg!(test) { 1 << 22 } else { 1 << 26 };

impl Warp {
    /// Runs until the warp has to wait, has ended, or has taken `steps` steps.
    pub(super) fn run(
        &mut self,
        code: &Code<'_>,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
        steps: u64,
    ) -> Result<(), Fault> {
        for _ in 0..steps {
            let Some(step) = code.steps.get(self.at) else {
                self.state = WarpState::Ended;
                return Ok(());
            };
            match step {
                CodeStep::Do(instruction) => {
                    device.report.instructions += 1;
                    self.execute(instruction, block, device)?;
                    self.registers.check_touched()?;
                    // A warp at an mbarrier executes the wait again once the phase has completed,
                    // so it stays here. One at the block's barrier continues behind it.
                    if let WarpState::AtMbarrier { .. } = self.state {
                        return Ok(());
                    }
                    self.at += 1;
                    if self.state != WarpState::Ready {
                        return Ok(());
                    }
                }
                _ => self.jump(step)?,
            }
        }
        self.steps += steps;
        if self.steps > MOST_STEPS {
            let what =
                format!("still runs after {MOST_STEPS} steps: it waits for what never comes");
            return Err(Fault::warp(what));
        }
        Ok(())
    }

    /// Control flow. Lanes of a warp that disagree about a condition execute both branches one
    /// after the other, each with only its own lanes active; a stack of saved masks reconverges
    /// them. Real hardware may interleave the branches of diverged lanes. No kernel can depend on
    /// that here: all that exchanges data between lanes demands that all 32 are active.
    fn jump(&mut self, step: &CodeStep<'_>) -> Result<(), Fault> {
        let active = self.registers.active;
        let mut next = self.at + 1;
        match *step {
            CodeStep::If {
                condition,
                otherwise,
            } => {
                let holds = active & self.registers.predicate(condition)?;
                self.frames.push(MaskFrame {
                    before: active,
                    others: active & !holds,
                });
                self.registers.active = holds;
                if holds == 0 {
                    next = otherwise;
                }
            }
            CodeStep::Else { end } => {
                // Reached by falling out of `then`, or by the jump when no lane took it.
                let others = self.frame()?.others;
                self.registers.active = others;
                if others == 0 {
                    next = end;
                }
            }
            CodeStep::End => {
                self.registers.active = self.frame()?.before;
                self.frames.pop();
            }
            CodeStep::Enter => self.frames.push(MaskFrame {
                before: active,
                others: 0,
            }),
            CodeStep::Test { condition, exit } => {
                // Lanes leave the loop one by one and wait at its end for the last.
                self.registers.active = active & self.registers.predicate(condition)?;
                if self.registers.active == 0 {
                    self.registers.active = self.frame()?.before;
                    self.frames.pop();
                    next = exit;
                }
            }
            CodeStep::Back { to } => next = to,
            CodeStep::Do(_) => {}
        }
        self.at = next;
        Ok(())
    }

    fn frame(&self) -> Result<MaskFrame, Fault> {
        let none = || Fault::warp("the program's blocks do not nest");
        self.frames.last().copied().ok_or_else(none)
    }

    fn execute(
        &mut self,
        instruction: &Instruction,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        use Instruction as I;
        let registers = &mut self.registers;
        match *instruction {
            I::Move { to, a } => registers.on_bits(to, a, |a| a),
            I::Integer { op, to, a, b } => registers.integer(op, to, a, b),
            I::MultiplyAdd { to, a, b, c } => registers.multiply_add(to, [a, b, c]),
            I::Permute { to, a, b, selector } => registers.permute(to, [a, b, selector]),
            I::Float { op, to, a, b } => registers.float(op, to, a, b),
            I::FusedMultiplyAdd { to, a, b, c } => registers.fused_multiply_add(to, [a, b, c]),
            I::FloatUnary { op, to, a } => registers.float_unary(op, to, a),
            I::F16x2 { op, to, a, b } => registers.f16x2(op, to, a, b),
            I::PackF16x2 { to, low, high } => registers.pack(to, low, high),
            I::UnpackF16 { to, from, high } => registers.unpack(to, from, high),
            I::Compare { op, kind, to, a, b } => registers.compare((op, kind), to, a, b),
            I::Predicate { op, to, a, b } => registers.logic(op, to, a, b),
            I::Not { to, a } => registers.not(to, a),
            I::Select {
                to,
                condition,
                yes,
                no,
            } => registers.select(to, condition, yes, no),
            I::Select64 {
                to,
                condition,
                yes,
                no,
            } => {
                let holds = registers.predicate(condition)?;
                let (yes, no) = (*registers.long(yes)?, *registers.long(no)?);
                let pick = |lane: usize| [no[lane], yes[lane]][(holds >> lane & 1) as usize];
                registers.set_long(to, &each(pick));
                Ok(())
            }
            I::Special { to, what } => {
                let lanes = self.special(what, block, device);
                self.registers.set(to, &lanes);
                Ok(())
            }
            I::LoadPointer { to, index } => {
                let address = pointer(device.values, index)?;
                registers.set_long(to, &[address; WARP]);
                Ok(())
            }
            I::LoadParameter { to, index } => match device.values.get(index) {
                Some(&Value::Word(word)) => {
                    registers.set(to, &[word; WARP]);
                    Ok(())
                }
                _ => Err(Fault::warp(format!("parameter {index} is no word"))),
            },
            I::Advance { to, base, offset } => {
                let offset = registers.operand(offset)?;
                let base = registers.long(base)?;
                let sum = |lane: usize| base[lane].wrapping_add(u64::from(offset[lane]));
                let sums = each(sum);
                registers.set_long(to, &sums);
                Ok(())
            }
            I::Shuffle { to, from, by } => registers.shuffle(to, from, by),
            I::Vote { what, to, from } => registers.vote(what, to, from),
            I::CountOnes { to, a } => registers.on_bits(to, a, u32::count_ones),
            I::HighestOne { to, a } => {
                registers.on_bits(to, a, |a| 31u32.wrapping_sub(a.leading_zeros()))
            }
            I::ReverseBits { to, a } => registers.on_bits(to, a, u32::reverse_bits),
            I::Mma {
                shape,
                d,
                ref a,
                ref b,
            } => {
                device.report.mma += 1;
                registers.mma(shape, d, a, b)
            }
            I::Asm {
                ref outputs,
                ref inputs,
                ref meaning,
                ..
            } => registers.raw(outputs, inputs, meaning),
            _ => self.execute_memory(instruction, block, device),
        }
    }

    fn execute_memory(
        &mut self,
        instruction: &Instruction,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        use Instruction as I;
        match *instruction {
            I::Load {
                ref to,
                from,
                bytes,
                cache,
            } => self.load(to, from, (bytes, cache), block, device),
            I::Store {
                to,
                ref from,
                bytes,
            } => self.store(to, from, bytes, block, device),
            I::Atomic { op, old, at, value } => self.atomic(op, old, at, value, block, device),
            I::LoadMatrix {
                ref to,
                from,
                transposed,
            } => self.load_matrix(to, from, transposed, block, device),
            I::AsyncCopy {
                to,
                from,
                bytes,
                when,
            } => self.async_copy(to, from, (bytes, when), block, device),
            I::AsyncCommit => {
                self.copies.commit(self.registers.active);
                Ok(())
            }
            I::AsyncWait { pending } => self.async_wait(pending, block, device),
            I::Barrier => {
                self.registers.converged("a barrier of the block")?;
                self.state = WarpState::AtBarrier;
                Ok(())
            }
            I::WarpBarrier => {
                self.registers.converged("a barrier of the warp")?;
                block.shared.clocks.warp_barrier(self.number);
                Ok(())
            }
            I::DeviceFence => {
                block.history.fence();
                Ok(())
            }
            I::GridWait => {
                block.grid_waited[self.number] = true;
                Ok(())
            }
            I::GridLaunch => Ok(()),
            _ => self.execute_unit(instruction, block, device),
        }
    }

    fn execute_unit(
        &mut self,
        instruction: &Instruction,
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        use Instruction as I;
        match *instruction {
            I::MbarrierInit { at, count } => self.mbarrier_init(at, count, block),
            I::MbarrierExpect { at, bytes } => self.mbarrier_arrive(at, Some(bytes), block),
            I::MbarrierArrive { at } => self.mbarrier_arrive(at, None, block),
            I::MbarrierWait { at, parity } => self.mbarrier_wait(at, parity, block),
            I::ProxyFence => {
                block.shared.proxy_fence(self.number, self.registers.active);
                Ok(())
            }
            I::TensorLoad {
                to,
                map,
                ref coordinates,
                ref window,
                barrier,
            } => self.tensor_load((to, barrier), map, (coordinates, window), block, device),
            I::MakeDescriptor { to, address, fixed } => {
                let address = self.registers.operand(address)?;
                let bits = each(|lane| u64::from(address[lane] >> 4 & 0x3fff) | fixed);
                self.registers.set_long(to, &bits);
                Ok(())
            }
            I::WgmmaFence => {
                self.registers.fence();
                Ok(())
            }
            I::Wgmma {
                n,
                ref d,
                a,
                b,
                accumulate,
            } => self.wgmma((n, accumulate), d, (a, b), block, device),
            I::WgmmaCommit => {
                self.products.commit();
                Ok(())
            }
            I::WgmmaWait { pending } => self.wgmma_wait(pending, block),
            ref other => Err(Fault::warp(format!("{other:?} is not interpreted"))),
        }
    }

    fn special(
        &self,
        what: Special,
        block: &BlockContext<'_>,
        device: &LaunchContext<'_>,
    ) -> [u32; WARP] {
        let lane = |lane: usize| lane as u32;
        let first = (self.number * WARP) as u32;
        match what {
            Special::Thread => each(|own| first + lane(own)),
            Special::Lane => each(lane),
            Special::Warp => [self.number as u32; WARP],
            Special::BlockX => [block.index[0]; WARP],
            Special::BlockY => [block.index[1]; WARP],
            Special::BlockZ => [block.index[2]; WARP],
            Special::GridX => [device.grid[0]; WARP],
            Special::SharedBase => [BASE; WARP],
        }
    }
}

fn pointer(values: &[Value], index: usize) -> Result<u64, Fault> {
    match values.get(index) {
        Some(&Value::Memory { buffer, offset, .. }) => Ok(address_of(buffer, offset)),
        _ => Err(Fault::warp(format!("parameter {index} is no memory"))),
    }
}
