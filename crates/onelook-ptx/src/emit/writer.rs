//! The text as it grows, line by line, and what its lines ask of the PTX version and the target.

use super::operand;
use super::version::{Need, Version};
use super::{PtxError, operand::word};
use crate::lang::{Instruction, Kernel, Operand};

/// Writes the body of one kernel.
pub(super) struct Writer<'k> {
    pub(super) kernel: &'k Kernel,
    text: String,
    depth: usize,
    labels: u32,
    version: Version,
    asks_for_warp: bool,
}

impl<'k> Writer<'k> {
    /// An empty body.
    pub(super) fn new(kernel: &'k Kernel) -> Self {
        Self {
            kernel,
            text: String::new(),
            depth: 1,
            labels: 0,
            version: Version::of(kernel.target),
            asks_for_warp: false,
        }
    }

    /// The body's lines.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// The lowest version that all lines so far allow.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether some line reads `%warp`.
    pub(super) fn asks_for_warp(&self) -> bool {
        self.asks_for_warp
    }

    /// Notes that a line reads `%warp`.
    pub(super) fn ask_for_warp(&mut self) {
        self.asks_for_warp = true;
    }

    /// A line, indented.
    pub(super) fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.text += "    ";
        }
        self.text += line;
        self.text += "\n";
    }

    /// A label, one step to the left.
    pub(super) fn label(&mut self, label: &str) {
        self.depth -= 1;
        self.line(&format!("{label}:"));
        self.depth += 1;
    }

    /// A number that no other label has.
    pub(super) fn fresh(&mut self) -> u32 {
        self.labels += 1;
        self.labels
    }

    /// Lines one step to the right.
    pub(super) fn indented<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let outcome = write(self);
        self.depth -= 1;
        outcome
    }

    /// Lines with registers of their own, declared as `.reg` lines say.
    pub(super) fn scope(&mut self, registers: &str, write: impl FnOnce(&mut Self)) {
        self.line("{");
        self.indented(|writer| {
            writer.line(&format!(".reg {registers};"));
            write(writer);
        });
        self.line("}");
    }

    /// Raises the version to what the instruction needs.
    pub(super) fn need(&mut self, need: Need) -> Result<(), PtxError> {
        if !need.on(self.kernel.target) {
            return Err(PtxError::Unavailable {
                kernel: self.kernel.name.clone(),
                instruction: need.name(),
                target: self.kernel.target.name(),
            });
        }
        self.version = self.version.max(need.version());
        Ok(())
    }

    /// Whether the target has it; then raises the version to it.
    pub(super) fn can(&mut self, need: Need) -> bool {
        self.need(need).is_ok()
    }

    /// An error about an instruction of an impossible shape.
    pub(super) fn malformed<T>(&self, instruction: &Instruction) -> Result<T, PtxError> {
        Err(PtxError::Malformed {
            kernel: self.kernel.name.clone(),
            what: format!("{instruction:?}"),
        })
    }

    /// Runs `write` with the operand's name: where an instruction takes no constants, that of a
    /// scoped register which holds it.
    pub(super) fn with_register(
        &mut self,
        operand: Operand,
        write: impl FnOnce(&mut Self, String),
    ) {
        match operand {
            Operand::Reg(register) => write(self, operand::reg(register)),
            Operand::Constant(_) => {
                // An inner scope hides an outer one's names.
                let name = format!("%constant_{}", self.fresh());
                self.scope(&format!(".b32 {name}"), |writer| {
                    writer.line(&format!("mov.b32 {name}, {};", word(operand)));
                    write(writer, name);
                });
            }
        }
    }
}
