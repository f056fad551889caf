//! Parameters, addresses, loads, stores, copies, atomics, fences and barriers.

use super::operand::{address, parameter, predicate, reg, reg64, vector, word};
use super::version::Need;
use super::{PtxError, Writer};
use crate::lang::{Address, Atomic, Cache, Instruction, Operand, Reg, RegP};

impl Writer<'_> {
    /// The lines of an instruction about memory.
    pub(super) fn memory(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        use Instruction as I;
        let line = match instruction {
            I::LoadPointer { to, index } => {
                let (to, name) = (reg64(*to), parameter(self.kernel, *index));
                self.line(&format!("ld.param.u64 {to}, [{name}];"));
                format!("cvta.to.global.u64 {to}, {to};")
            }
            I::LoadParameter { to, index } => {
                let name = parameter(self.kernel, *index);
                format!("ld.param.u32 {}, [{name}];", reg(*to))
            }
            I::Advance { to, base, offset } => {
                return self.advance(reg64(*to), reg64(*base), *offset);
            }
            I::Load {
                to,
                from,
                bytes,
                cache,
            } => match (shape(to.len()), unit(*bytes)) {
                (Some(shape), Some(unit)) => load(to, *from, *cache, shape, unit),
                _ => return self.malformed(instruction),
            },
            I::Store { to, from, bytes } => match (shape(from.len()), unit(*bytes)) {
                (Some(shape), Some(unit)) => store(*to, from, shape, unit),
                _ => return self.malformed(instruction),
            },
            I::Atomic { op, old, at, value } => {
                let (space, op) = (space(*at), atomic(*op));
                let (old, at, value) = (reg(*old), address(*at), word(*value));
                format!("atom.{space}.{op} {old}, {at}, {value};")
            }
            I::DeviceFence => "fence.acq_rel.gpu;".to_owned(),
            I::AsyncCopy {
                to,
                from,
                bytes,
                when,
            } => return self.async_copy(*to, *from, *bytes, *when),
            I::AsyncCommit => {
                self.need(Need::AsyncCopy)?;
                "cp.async.commit_group;".to_owned()
            }
            I::AsyncWait { pending } => {
                self.need(Need::AsyncCopy)?;
                format!("cp.async.wait_group {pending};")
            }
            I::Barrier => "bar.sync 0;".to_owned(),
            I::WarpBarrier => "bar.warp.sync 0xffffffff;".to_owned(),
            other => return self.malformed(other),
        };
        self.line(&line);
        Ok(())
    }

    fn advance(&mut self, to: String, base: String, offset: Operand) -> Result<(), PtxError> {
        match offset {
            Operand::Constant(offset) => self.line(&format!("add.u64 {to}, {base}, {offset};")),
            Operand::Reg(offset) => self.scope(".b64 %wide", |writer| {
                writer.line(&format!("cvt.u64.u32 %wide, {};", reg(offset)));
                writer.line(&format!("add.u64 {to}, {base}, %wide;"));
            }),
        }
        Ok(())
    }

    /// Sixteen bytes go past L1, which no neighbour would find them in.
    fn async_copy(
        &mut self,
        to: Address,
        from: Address,
        bytes: u32,
        when: Option<RegP>,
    ) -> Result<(), PtxError> {
        self.need(Need::AsyncCopy)?;
        let caches = if bytes == 16 { "cg" } else { "ca" };
        let (to, from) = (address(to), address(from));
        let copy = format!("cp.async.{caches}.shared.global {to}, {from}, {bytes}");
        match when.map(predicate) {
            None => self.line(&format!("{copy};")),
            Some(when) => self.scope(".b32 %bytes", |writer| {
                writer.line(&format!("selp.b32 %bytes, {bytes}, 0, {when};"));
                writer.line(&format!("{copy}, %bytes;"));
            }),
        }
        Ok(())
    }
}

fn load(to: &[Reg], from: Address, cache: Cache, shape: &str, unit: &str) -> String {
    let values: Vec<String> = to.iter().copied().map(reg).collect();
    let (space, hint) = match from {
        Address::Shared { .. } => ("shared", ""),
        Address::Global { .. } => ("global", hint(cache)),
    };
    let (values, from) = (vector(&values), address(from));
    format!("ld.{space}{hint}{shape}.{unit} {values}, {from};")
}

fn store(to: Address, from: &[Operand], shape: &str, unit: &str) -> String {
    let values: Vec<String> = from.iter().copied().map(word).collect();
    let (space, to, values) = (space(to), address(to), vector(&values));
    format!("st.{space}{shape}.{unit} {to}, {values};")
}

fn space(at: Address) -> &'static str {
    match at {
        Address::Global { .. } => "global",
        Address::Shared { .. } => "shared",
    }
}

fn hint(cache: Cache) -> &'static str {
    match cache {
        Cache::Default => "",
        Cache::ReadOnly => ".nc",
        Cache::L2 => ".cg",
        Cache::Streaming => ".cs",
    }
}

fn shape(values: usize) -> Option<&'static str> {
    match values {
        1 => Some(""),
        2 => Some(".v2"),
        4 => Some(".v4"),
        _ => None,
    }
}

fn unit(bytes: u32) -> Option<&'static str> {
    match bytes {
        1 => Some("u8"),
        2 => Some("u16"),
        4 => Some("b32"),
        _ => None,
    }
}

fn atomic(op: Atomic) -> &'static str {
    match op {
        Atomic::Add => "add.u32",
        Atomic::Max => "max.u32",
        Atomic::Or => "or.b32",
        Atomic::Exchange => "exch.b32",
    }
}
