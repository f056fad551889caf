//! Matrices: `ldmatrix`, `mma`, and Hopper's `wgmma` with its descriptors.

use super::operand::{address, braced, reg64, word};
use super::version::Need;
use super::{PtxError, Writer};
use crate::lang::{Instruction, MatrixA, MmaShape, Operand, Reg, Reg64};

impl Writer<'_> {
    /// The lines of an instruction about matrices.
    pub(super) fn matrix(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        use Instruction as I;
        match instruction {
            I::LoadMatrix {
                to,
                from,
                transposed,
            } if matches!(to.len(), 1 | 2 | 4) => {
                self.need(Need::LoadMatrix)?;
                let transposed = if *transposed { ".trans" } else { "" };
                let (number, to, from) = (to.len(), braced(to), address(*from));
                self.line(&format!(
                    "ldmatrix.sync.aligned.m8n8.x{number}{transposed}.shared.b16 {to}, {from};"
                ));
            }
            I::Mma { shape, d, a, b } => self.mma(*shape, d, a, b)?,
            I::MakeDescriptor { to, address, fixed } => self.descriptor(*to, *address, *fixed),
            I::Wgmma {
                n,
                d,
                a,
                b,
                accumulate,
            } => self.wgmma(*n, d, *a, *b, *accumulate)?,
            I::WgmmaFence => self.wgmma_order("wgmma.fence.sync.aligned;")?,
            I::WgmmaCommit => self.wgmma_order("wgmma.commit_group.sync.aligned;")?,
            I::WgmmaWait { pending } => {
                self.wgmma_order(&format!("wgmma.wait_group.sync.aligned {pending};"))?;
            }
            other => return self.malformed(other),
        }
        Ok(())
    }

    fn mma(&mut self, shape: MmaShape, d: &[Reg; 4], a: &[Reg], b: &[Reg]) -> Result<(), PtxError> {
        let (need, kind) = match shape {
            MmaShape::M16N8K8 => (Need::MmaK8, "m16n8k8.row.col.f32.f16.f16.f32"),
            MmaShape::M16N8K16 => (Need::MmaK16, "m16n8k16.row.col.f32.f16.f16.f32"),
            MmaShape::M16N8K32Bytes => (Need::MmaK16, "m16n8k32.row.col.s32.s8.s8.s32"),
        };
        self.need(need)?;
        let (d, a, b) = (braced(d), braced(a), braced(b));
        self.line(&format!("mma.sync.aligned.{kind} {d}, {a}, {b}, {d};"));
        Ok(())
    }

    /// The address counts 16 bytes, in 14 bits.
    fn descriptor(&mut self, to: Reg64, address: Operand, fixed: u64) {
        let to = reg64(to);
        self.scope(".b32 %address", |writer| {
            writer.line(&format!("shr.u32 %address, {}, 4;", word(address)));
            writer.line("and.b32 %address, %address, 0x3fff;");
            writer.line(&format!("cvt.u64.u32 {to}, %address;"));
            writer.line(&format!("or.b64 {to}, {to}, 0x{fixed:x};"));
        });
    }

    /// Both matrices lie with k innermost; neither is negated.
    fn wgmma(
        &mut self,
        n: u32,
        d: &[Reg],
        a: MatrixA,
        b: Reg64,
        accumulate: bool,
    ) -> Result<(), PtxError> {
        self.need(Need::Wgmma)?;
        let (a, transposed) = match a {
            MatrixA::Shared(descriptor) => (reg64(descriptor), "0, 0"),
            MatrixA::Registers(registers) => (braced(&registers), "0"),
        };
        let (d, b) = (braced(d), reg64(b));
        self.scope(".pred %accumulate", |writer| {
            let accumulate = u32::from(accumulate);
            writer.line(&format!("setp.ne.u32 %accumulate, {accumulate}, 0;"));
            writer.line(&format!(
                "wgmma.mma_async.sync.aligned.m64n{n}k16.f32.f16.f16 {d}, {a}, {b}, \
                 %accumulate, 1, 1, {transposed};"
            ));
        });
        Ok(())
    }

    fn wgmma_order(&mut self, line: &str) -> Result<(), PtxError> {
        self.need(Need::Wgmma)?;
        self.line(line);
        Ok(())
    }
}
