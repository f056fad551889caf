//! Why a kernel has no PTX.

/// Why a kernel has no PTX.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PtxError {
    /// The target lacks an instruction.
    #[error("kernel '{kernel}' uses {instruction}, which {target} does not have: write it without")]
    Unavailable {
        /// The kernel's name.
        kernel: String,
        /// The instruction.
        instruction: &'static str,
        /// The target's name.
        target: &'static str,
    },
    /// An instruction has operands that PTX has no instruction for.
    #[error("kernel '{kernel}' has {what}, for which PTX has no instruction")]
    Malformed {
        /// The kernel's name.
        kernel: String,
        /// What is wrong.
        what: String,
    },
}
