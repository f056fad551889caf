//! Kernels as PTX text, which the driver compiles for the device at hand.
//!
//! Comes in: a kernel. Goes out: one readable module with one entry. An instruction that the target
//! lacks is an error here, never one of the driver.

mod arithmetic;
mod control;
mod error;
mod matrix;
mod memory;
mod operand;
mod tensor;
mod version;
mod writer;

use crate::lang::{Kernel, ParameterKind, Special, live_registers};
use crate::occupancy::blocks_per_multiprocessor;
pub use error::PtxError;
use writer::Writer;

/// The kernel as PTX of the lowest version that its instructions and its target allow.
///
/// The entry has the kernel's name and its parameters in their order. Shared memory is dynamic: a
/// launch brings [`Kernel::shared_bytes`].
pub fn emit(kernel: &Kernel) -> Result<String, PtxError> {
    let mut writer = Writer::new(kernel);
    writer.block(&kernel.body)?;
    let mut text = opening(kernel, writer.version().to_string());
    text += &entry(kernel);
    text += "{\n";
    text += &registers(kernel);
    if writer.asks_for_warp() {
        text += WARP;
    }
    text += &writer.into_text();
    text += "    ret;\n}\n";
    Ok(text)
}

/// Computed first, while all lanes are active. The shuffle tells ptxas that the value is the same
/// in all of them.
const WARP: &str = "    \
    .reg .b32 %warp;\n    \
    mov.u32 %warp, %tid.x;\n    \
    shr.u32 %warp, %warp, 5;\n    \
    shfl.sync.idx.b32 %warp, %warp, 0, 31, 0xffffffff;\n";

fn opening(kernel: &Kernel, version: String) -> String {
    let target = kernel.target;
    let shared = match kernel.shared_bytes {
        0 => String::new(),
        bytes => format!(
            "\n// {bytes} bytes\n.extern .shared .align 1024 .b8 {}[];\n",
            operand::SHARED
        ),
    };
    format!(".version {version}\n.target {target}\n.address_size 64\n{shared}\n")
}

fn entry(kernel: &Kernel) -> String {
    let parameters: Vec<String> = (0..kernel.parameters.len())
        .map(|index| {
            let name = operand::parameter(kernel, index);
            match kernel.parameters[index].kind {
                ParameterKind::Input | ParameterKind::Output => format!("    .param .u64 {name}"),
                ParameterKind::Word => format!("    .param .u32 {name}"),
                ParameterKind::TensorMap => format!("    .param .align 64 .b8 {name}[128]"),
            }
        })
        .collect();
    format!(
        ".visible .entry {}(\n{}\n)\n.maxntid {}, 1, 1\n.minnctapersm {}\n",
        kernel.name,
        parameters.join(",\n"),
        kernel.threads,
        blocks(kernel)
    )
}

/// Registers beyond the estimate that ptxas may use before it has to spill.
const SPARE_REGISTERS: u32 = 16;

/// The blocks per multiprocessor that ptxas must leave registers for: the requested number, else as
/// many as fit with the registers that the kernel's values need. Without this directive ptxas saves
/// more registers than that helps: it serialises loads, and spills.
fn blocks(kernel: &Kernel) -> u32 {
    if kernel.blocks_per_multiprocessor > 1 {
        return kernel.blocks_per_multiprocessor;
    }
    let (threads, shared) = (kernel.threads, kernel.shared_bytes);
    let registers = live_registers(kernel) + SPARE_REGISTERS;
    blocks_per_multiprocessor(kernel.target, threads, registers, shared).max(1)
}

fn registers(kernel: &Kernel) -> String {
    let banks = [(".b32", "%r"), (".b64", "%d"), (".pred", "%p")];
    let lines = banks.into_iter().zip(kernel.registers);
    lines
        .filter(|(_, count)| *count > 0)
        .map(|((kind, name), count)| format!("    .reg {kind} {name}<{count}>;\n"))
        .collect()
}

impl Special {
    /// The PTX register with this value.
    fn name(self) -> &'static str {
        match self {
            Self::Thread => "%tid.x",
            Self::Lane => "%laneid",
            Self::Warp => "%warp",
            Self::BlockX => "%ctaid.x",
            Self::BlockY => "%ctaid.y",
            Self::BlockZ => "%ctaid.z",
            Self::GridX => "%nctaid.x",
            Self::SharedBase => operand::SHARED,
        }
    }
}

#[cfg(test)]
mod tests;
