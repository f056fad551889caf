//! Instructions on registers, and the dispatch of every instruction to the file that prints it.

use super::operand::{float, predicate, reg, reg64, word};
use super::version::Need;
use super::{PtxError, Writer};
use crate::lang::{
    Compare, CompareAs, F16x2Op, Float, FloatUnary, Instruction, Integer, Operand, Predicate, Reg,
    ShuffleBy, Special,
};

impl Writer<'_> {
    /// The instruction's lines.
    pub(super) fn instruction(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        use Instruction as I;
        match instruction {
            I::F16x2 { .. } | I::PackF16x2 { .. } | I::UnpackF16 { .. } => self.f16x2(instruction),
            I::FloatUnary { op, to, a } => self.float_unary(*op, *to, *a),
            I::Special { to, what } => self.special(*to, *what),
            I::Asm {
                text,
                outputs,
                inputs,
                ..
            } => self.raw(text, outputs, inputs),
            I::LoadMatrix { .. } | I::Mma { .. } | I::MakeDescriptor { .. } | I::Wgmma { .. } => {
                self.matrix(instruction)
            }
            I::WgmmaFence | I::WgmmaCommit | I::WgmmaWait { .. } => self.matrix(instruction),
            I::MbarrierInit { .. }
            | I::MbarrierExpect { .. }
            | I::MbarrierArrive { .. }
            | I::MbarrierWait { .. }
            | I::TensorLoad { .. }
            | I::ProxyFence
            | I::GridWait
            | I::GridLaunch => self.tensor(instruction),
            I::Integer {
                op: op @ (Integer::Div | Integer::Rem),
                to,
                a: a @ Operand::Reg(_),
                b: Operand::Constant(by),
            } if *by > 1 && !by.is_power_of_two() => {
                self.divide(*op, *to, *a, *by);
                Ok(())
            }
            other => match plain(other) {
                Some(line) => {
                    self.line(&line);
                    Ok(())
                }
                None => self.memory(other),
            },
        }
    }

    /// Quotient or remainder by a constant through its reciprocal, exact for dividends below 2^31
    /// (Granlund and Montgomery, PLDI 1994); ptxas would divide floats instead.
    fn divide(&mut self, op: Integer, to: Reg, a: Operand, by: u32) {
        let shift = 32 - (by - 1).leading_zeros();
        let reciprocal = (1u64 << (31 + shift)).div_ceil(u64::from(by));
        let (to, a) = (reg(to), word(a));
        self.scope(".b32 %q", |writer| {
            writer.line(&format!("mul.hi.u32 %q, {a}, {reciprocal};"));
            match op {
                Integer::Div => writer.line(&format!("shr.u32 {to}, %q, {};", shift - 1)),
                _ => {
                    writer.line(&format!("shr.u32 %q, %q, {};", shift - 1));
                    let minus = by.wrapping_neg().cast_signed();
                    writer.line(&format!("mad.lo.u32 {to}, %q, {minus}, {a};"));
                }
            }
        });
    }

    fn special(&mut self, to: Reg, what: Special) -> Result<(), PtxError> {
        let name = match what {
            Special::SharedBase if self.kernel.shared_bytes == 0 => "0",
            other => other.name(),
        };
        if what == Special::Warp {
            self.ask_for_warp();
        }
        self.line(&format!("mov.u32 {}, {name};", reg(to)));
        Ok(())
    }

    fn float_unary(&mut self, op: FloatUnary, to: Reg, a: Operand) -> Result<(), PtxError> {
        let (name, a) = match op {
            FloatUnary::Negate => ("neg.f32", float(a)),
            FloatUnary::Absolute => ("abs.f32", float(a)),
            FloatUnary::Floor => ("cvt.rmi.f32.f32", float(a)),
            // Without .ftz each of these scales subnormal numbers with two instructions more.
            FloatUnary::Exp2 => ("ex2.approx.ftz.f32", float(a)),
            FloatUnary::Log2 => ("lg2.approx.ftz.f32", float(a)),
            FloatUnary::Reciprocal => ("rcp.approx.ftz.f32", float(a)),
            FloatUnary::SquareRoot => ("sqrt.approx.ftz.f32", float(a)),
            FloatUnary::Tanh => {
                self.need(Need::Tanh)?;
                ("tanh.approx.f32", float(a))
            }
            FloatUnary::FromUnsigned => ("cvt.rn.f32.u32", word(a)),
            FloatUnary::ToUnsigned => ("cvt.rni.u32.f32", float(a)),
        };
        self.line(&format!("{name} {}, {a};", reg(to)));
        Ok(())
    }

    fn f16x2(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        match *instruction {
            Instruction::F16x2 { op, to, a, b } => self.f16x2_op(op, to, a, b),
            Instruction::PackF16x2 { to, low, high } => self.pack(to, float(low), float(high)),
            Instruction::UnpackF16 { to, from, high } => {
                self.with_register(from, |writer, from| {
                    writer.scope(".b16 %low, %high", |writer| {
                        let half = if high { "%high" } else { "%low" };
                        writer.line(&format!("mov.b32 {{%low, %high}}, {from};"));
                        writer.line(&format!("cvt.f32.f16 {}, {half};", reg(to)));
                    });
                })
            }
            _ => return self.malformed(instruction),
        }
        Ok(())
    }

    fn f16x2_op(&mut self, op: F16x2Op, to: Reg, a: Operand, b: Operand) {
        let name = match op {
            F16x2Op::Add => "add.rn.f16x2",
            F16x2Op::Mul => "mul.rn.f16x2",
            F16x2Op::Max if self.can(Need::HalfMax) => "max.f16x2",
            F16x2Op::Max => return self.half_max_by_floats(to, a, b),
        };
        self.with_register(a, |writer, a| {
            writer.with_register(b, |writer, b| {
                writer.line(&format!("{name} {}, {a}, {b};", reg(to)));
            });
        });
    }

    /// Exact: every f16 value is a float, and the larger of two is one of them.
    fn half_max_by_floats(&mut self, to: Reg, a: Operand, b: Operand) {
        self.scope(".b16 %a0, %a1, %b0, %b1", |writer| {
            writer.line(&format!("mov.b32 {{%a0, %a1}}, {};", word(a)));
            writer.line(&format!("mov.b32 {{%b0, %b1}}, {};", word(b)));
            writer.line(".reg .b32 %fa, %fb;");
            for half in ["0", "1"] {
                writer.line(&format!("cvt.f32.f16 %fa, %a{half};"));
                writer.line(&format!("cvt.f32.f16 %fb, %b{half};"));
                writer.line("max.f32 %fa, %fa, %fb;");
                writer.line(&format!("cvt.rn.f16.f32 %a{half}, %fa;"));
            }
            writer.line(&format!("mov.b32 {}, {{%a0, %a1}};", reg(to)));
        });
    }

    fn pack(&mut self, to: Reg, low: String, high: String) {
        let to = reg(to);
        if self.can(Need::PackF16x2) {
            return self.line(&format!("cvt.rn.f16x2.f32 {to}, {high}, {low};"));
        }
        self.scope(".b16 %low, %high", |writer| {
            writer.line(&format!("cvt.rn.f16.f32 %low, {low};"));
            writer.line(&format!("cvt.rn.f16.f32 %high, {high};"));
            writer.line(&format!("mov.b32 {to}, {{%low, %high}};"));
        });
    }

    fn raw(&mut self, text: &str, outputs: &[Reg], inputs: &[Operand]) -> Result<(), PtxError> {
        self.need(Need::Asm)?;
        let outputs = outputs.iter().copied().map(reg);
        let operands = outputs.chain(inputs.iter().copied().map(word));
        let text = operands.enumerate().fold(text.to_owned(), |text, (i, it)| {
            text.replace(&format!("{{{i}}}"), &it)
        });
        self.line("{");
        self.indented(|writer| text.lines().for_each(|line| writer.line(line.trim())));
        self.line("}");
        Ok(())
    }
}

/// Instructions that are one line on every target.
fn plain(instruction: &Instruction) -> Option<String> {
    use Instruction as I;
    let line = match *instruction {
        I::Move { to, a } => two("mov.b32", to, word(a)),
        I::Integer { op, to, a, b } => three(integer(op), to, word(a), word(b)),
        I::MultiplyAdd { to, a, b, c } => four("mad.lo.u32", to, [a, b, c].map(word)),
        I::Permute { to, a, b, selector } => four("prmt.b32", to, [a, b, selector].map(word)),
        I::Float { op, to, a, b } => three(floating(op), to, float(a), float(b)),
        I::FusedMultiplyAdd { to, a, b, c } => four("fma.rn.f32", to, [a, b, c].map(float)),
        I::CountOnes { to, a } => two("popc.b32", to, word(a)),
        I::HighestOne { to, a } => two("bfind.u32", to, word(a)),
        I::ReverseBits { to, a } => two("brev.b32", to, word(a)),
        I::Vote { to, from, .. } => {
            let (to, from) = (reg(to), predicate(from));
            format!("vote.sync.ballot.b32 {to}, {from}, 0xffffffff;")
        }
        I::Shuffle { to, from, by } => shuffle(to, from, by),
        I::Compare { op, kind, to, a, b } => {
            let show = if kind == CompareAs::Float {
                float
            } else {
                word
            };
            let (name, to) = (comparison(op, kind), predicate(to));
            format!("setp.{name} {to}, {}, {};", show(a), show(b))
        }
        I::Predicate { op, to, a, b } => {
            let [to, a, b] = [to, a, b].map(predicate);
            format!("{}.pred {to}, {a}, {b};", logic(op))
        }
        I::Not { to, a } => format!("not.pred {}, {};", predicate(to), predicate(a)),
        I::Select {
            to,
            condition,
            yes,
            no,
        } => {
            let (to, yes, no, condition) = (reg(to), word(yes), word(no), predicate(condition));
            format!("selp.b32 {to}, {yes}, {no}, {condition};")
        }
        I::Select64 {
            to,
            condition,
            yes,
            no,
        } => {
            let [to, yes, no] = [to, yes, no].map(reg64);
            format!("selp.b64 {to}, {yes}, {no}, {};", predicate(condition))
        }
        _ => return None,
    };
    Some(line)
}

fn two(name: &str, to: Reg, a: String) -> String {
    format!("{name} {}, {a};", reg(to))
}

fn three(name: &str, to: Reg, a: String, b: String) -> String {
    format!("{name} {}, {a}, {b};", reg(to))
}

fn four(name: &str, to: Reg, [a, b, c]: [String; 3]) -> String {
    format!("{name} {}, {a}, {b}, {c};", reg(to))
}

fn shuffle(to: Reg, from: Operand, by: ShuffleBy) -> String {
    let (mode, lane, last) = match by {
        ShuffleBy::Xor(mask) => ("bfly", mask.to_string(), 31),
        ShuffleBy::Up(distance) => ("up", distance.to_string(), 0),
        ShuffleBy::Down(distance) => ("down", distance.to_string(), 31),
        ShuffleBy::Lane(lane) => ("idx", word(lane), 31),
    };
    let (to, from) = (reg(to), word(from));
    format!("shfl.sync.{mode}.b32 {to}, {from}, {lane}, {last}, 0xffffffff;")
}

fn integer(op: Integer) -> &'static str {
    match op {
        Integer::Add => "add.u32",
        Integer::Sub => "sub.u32",
        Integer::Mul => "mul.lo.u32",
        Integer::Div => "div.u32",
        Integer::Rem => "rem.u32",
        Integer::Min => "min.u32",
        Integer::Max => "max.u32",
        Integer::MinSigned => "min.s32",
        Integer::MaxSigned => "max.s32",
        Integer::And => "and.b32",
        Integer::Or => "or.b32",
        Integer::Xor => "xor.b32",
        Integer::ShiftLeft => "shl.b32",
        Integer::ShiftRight => "shr.u32",
        Integer::ShiftRightSigned => "shr.s32",
    }
}

/// The rounding is written out: without it ptxas may fuse a product and a sum into one rounding.
fn floating(op: Float) -> &'static str {
    match op {
        Float::Add => "add.rn.f32",
        Float::Sub => "sub.rn.f32",
        Float::Mul => "mul.rn.f32",
        Float::Div => "div.rn.f32",
        Float::Min => "min.f32",
        Float::Max => "max.f32",
    }
}

fn comparison(op: Compare, kind: CompareAs) -> String {
    let kind_name = match kind {
        CompareAs::Unsigned => "u32",
        CompareAs::Signed => "s32",
        CompareAs::Float => "f32",
    };
    let op = match op {
        Compare::Equal => "eq",
        // Of floats, true for NaN, as the language has it.
        Compare::NotEqual if kind == CompareAs::Float => "neu",
        Compare::NotEqual => "ne",
        Compare::Less => "lt",
        Compare::LessEqual => "le",
        Compare::Greater => "gt",
        Compare::GreaterEqual => "ge",
    };
    format!("{op}.{kind_name}")
}

fn logic(op: Predicate) -> &'static str {
    match op {
        Predicate::And => "and",
        Predicate::Or => "or",
        Predicate::Xor => "xor",
    }
}
