//! What can be wrong with a graph.

use onelook_types::Shape;

/// Why a graph cannot be built, typed or executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An operator does not take inputs of these shapes.
    #[error("{op} cannot take inputs of shape {shapes}: {reason}", shapes = list(shapes))]
    Shape {
        /// The operator's name, with the node's where known.
        op: String,
        /// The shapes that came.
        shapes: Vec<Shape>,
        /// What it needs instead.
        reason: String,
    },
    /// A node reads a value that nothing before it produces.
    #[error("node '{node}' reads value '{value}', which nothing before it produces")]
    Order {
        /// The reader.
        node: String,
        /// What it reads.
        value: String,
    },
    /// A node or value contradicts the rest of the graph.
    #[error("'{at}': {reason}")]
    Inconsistent {
        /// The node or value.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// The graph was given another number of inputs than it has.
    #[error("the graph has {expected} inputs, got {actual}")]
    Inputs {
        /// How many the graph has.
        expected: usize,
        /// How many came.
        actual: usize,
    },
}

fn list(shapes: &[Shape]) -> String {
    let words: Vec<String> = shapes.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

impl GraphError {
    /// A shape error of operator `op`.
    pub fn shape(op: &str, shapes: &[&Shape], reason: impl Into<String>) -> Self {
        Self::Shape {
            op: op.to_owned(),
            shapes: shapes.iter().map(|&shape| shape.clone()).collect(),
            reason: reason.into(),
        }
    }

    /// Node or value `at` contradicts the rest of the graph.
    pub fn inconsistent(at: &str, reason: impl Into<String>) -> Self {
        Self::Inconsistent {
            at: at.to_owned(),
            reason: reason.into(),
        }
    }

    /// The same error with the node's name before the operator's.
    #[must_use]
    pub fn at(self, node: &str) -> Self {
        match self {
            Self::Shape { op, shapes, reason } => Self::Shape {
                op: format!("{op} '{node}'"),
                shapes,
                reason,
            },
            other => other,
        }
    }
}
