//! Asynchronous features of Hopper and later: `mbarrier`, TMA, dependent launches.

use super::operand::{address, braces, parameter, word};
use super::version::Need;
use super::{PtxError, Writer};
use crate::lang::{Address, Instruction, Operand};

impl Writer<'_> {
    /// The lines of an instruction about barriers in memory, tensor copies and dependent launches.
    pub(super) fn tensor(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        use Instruction as I;
        let line = match instruction {
            I::MbarrierInit { at, count } => {
                self.need(Need::Mbarrier)?;
                format!("mbarrier.init.shared.b64 {}, {count};", address(*at))
            }
            I::MbarrierExpect { at, bytes } => {
                self.need(Need::Mbarrier)?;
                let (at, bytes) = (address(*at), word(*bytes));
                format!("mbarrier.arrive.expect_tx.shared.b64 _, {at}, {bytes};")
            }
            I::MbarrierArrive { at } => {
                self.need(Need::Mbarrier)?;
                format!("mbarrier.arrive.shared.b64 _, {};", address(*at))
            }
            I::MbarrierWait { at, parity } => return self.mbarrier_wait(*at, *parity),
            I::ProxyFence => {
                self.need(Need::ProxyFence)?;
                "fence.proxy.async.shared::cta;".to_owned()
            }
            I::TensorLoad { .. } => return self.tensor_load(instruction),
            I::GridWait => {
                self.need(Need::DependentLaunch)?;
                "griddepcontrol.wait;".to_owned()
            }
            I::GridLaunch => {
                self.need(Need::DependentLaunch)?;
                "griddepcontrol.launch_dependents;".to_owned()
            }
            other => return self.malformed(other),
        };
        self.line(&line);
        Ok(())
    }

    fn mbarrier_wait(&mut self, at: Address, parity: Operand) -> Result<(), PtxError> {
        self.need(Need::Mbarrier)?;
        let label = format!("$wait_{}", self.fresh());
        let (at, parity) = (address(at), word(parity));
        self.scope(".pred %done", |writer| {
            writer.label(&label);
            writer.line(&format!(
                "mbarrier.try_wait.parity.shared.b64 %done, {at}, {parity};"
            ));
            writer.line(&format!("@!%done bra {label};"));
        });
        Ok(())
    }

    fn tensor_load(&mut self, instruction: &Instruction) -> Result<(), PtxError> {
        let Instruction::TensorLoad {
            to,
            map,
            coordinates,
            window,
            barrier,
        } = instruction
        else {
            return self.malformed(instruction);
        };
        let dimensions = coordinates.len();
        let fits = match window.len() {
            0 => (1..=5).contains(&dimensions),
            offsets => (3..=5).contains(&dimensions) && offsets + 2 == dimensions,
        };
        if !fits {
            return self.malformed(instruction);
        }
        self.need(Need::TensorLoad)?;
        let map = parameter(self.kernel, *map);
        let kind = if window.is_empty() { "tile" } else { "im2col" };
        let coordinates: Vec<String> = coordinates.iter().copied().map(word).collect();
        let (to, coordinates, barrier) = (address(*to), braces(&coordinates), address(*barrier));
        self.scope(".b64 %map", |writer| {
            writer.line(&format!("mov.b64 %map, {map};"));
            writer.line("cvta.param.u64 %map, %map;");
            let offsets = writer.window(window);
            writer.line(&format!(
                "cp.async.bulk.tensor.{dimensions}d.shared::cluster.global.{kind}\
                 .mbarrier::complete_tx::bytes {to}, [%map, {coordinates}], {barrier}{offsets};"
            ));
        });
        Ok(())
    }

    /// The offsets in 16-bit registers, as the im2col kind takes them; nothing without any.
    fn window(&mut self, window: &[Operand]) -> String {
        if window.is_empty() {
            return String::new();
        }
        self.line(&format!(".reg .b16 %window<{}>;", window.len()));
        let names: Vec<String> = (0..window.len()).map(|i| format!("%window{i}")).collect();
        for (name, &offset) in names.iter().zip(window) {
            self.line(&match offset {
                Operand::Reg(_) => format!("cvt.u16.u32 {name}, {};", word(offset)),
                Operand::Constant(value) => format!("mov.b16 {name}, {};", value & 0xffff),
            });
        }
        format!(", {}", braces(&names))
    }
}
