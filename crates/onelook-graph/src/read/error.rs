//! What can be wrong with a model file.

use crate::GraphError;

/// Why a model file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The first bytes are of no format that we read.
    #[error("not a model file (it starts with {start:02x?}): expected .pt, .onnx or .safetensors")]
    UnknownFormat {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// The file ends early or contradicts its own format.
    #[error("the {format} file is damaged: {reason}; download or export it again")]
    Damaged {
        /// What it claims to be.
        format: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// The file asks for more than allowed.
    #[error("{what} asks for {actual}, more than the {limit} allowed")]
    Limit {
        /// What asks.
        what: String,
        /// How much.
        actual: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The pickle names something that is not on the list of inert records.
    #[error(
        "refused: the file names '{name}', which is not part of a model that onelook knows; nothing was executed"
    )]
    Forbidden {
        /// Module and name, joined by a dot.
        name: String,
    },
    /// The file holds a model of a kind that we do not read yet.
    #[error("cannot use this model: {reason}")]
    Unsupported {
        /// What it is and what would work.
        reason: String,
    },
    /// Operators that we lack, all of them.
    #[error("the ONNX model uses operators that onelook lacks: {}", operators.join(", "))]
    MissingOperators {
        /// Names, with what about them is not supported where only that is.
        operators: Vec<String>,
    },
    /// The graph that the file describes is inconsistent.
    #[error("the model's graph is inconsistent: {0}")]
    Graph(#[from] GraphError),
}
