//! The types and constants of the Open Inference Protocol v2 that HTTP and gRPC share.

use std::time::Duration;

use bytes::Bytes;
use onelook::types::Tensor;

use crate::admission::Priority;
use crate::request_context::RequestContext;

/// The name of the only input.
pub const INPUT: &str = "images";
/// The name of the only output.
pub const OUTPUT: &str = "output0";
/// The data type of both.
pub const DATATYPE: &str = "FP32";

/// Why a request of a sequence is refused.
pub const SEQUENCES: &str = "sequences are not supported: models keep no state between requests";
/// Why a request for classes is refused.
pub const CLASSIFICATION: &str =
    "the extension 'classification' is not supported: ask for the tensor";
/// Why a request with tensors in shared memory is refused.
pub const SHARED_MEMORY: &str = "shared memory is not supported: send the values";

/// An inference request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InferRequest {
    /// The client's id for the request, repeated in the response.
    pub id: Option<String>,
    /// How to treat the request.
    pub parameters: InferParameters,
    /// The input tensors.
    pub inputs: Vec<InferInput>,
    /// The names of the wanted outputs; empty for all.
    pub outputs: Vec<String>,
    /// Why the request is refused, if it uses a feature of the protocol that is missing here.
    pub unsupported: Option<&'static str>,
}

/// How to treat a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InferParameters {
    /// 0 for the default, 1 for the most urgent, which counts as 2 without a token that allows it.
    pub priority: u64,
    /// How long the request may take.
    pub timeout: Option<Duration>,
}

impl InferParameters {
    /// The context with the request's own priority and timeout; its deadline is never later.
    pub fn apply(&self, context: &RequestContext) -> RequestContext {
        let mut context = context.clone();
        context.priority = match self.priority {
            0 => context.priority,
            1 if context.may_go_first() => Priority::High,
            1 | 2 => Priority::Normal,
            _ => Priority::Low,
        };
        let own = self
            .timeout
            .and_then(|time| tokio::time::Instant::now().checked_add(time));
        if let Some(own) = own {
            context.deadline = context.deadline.min(own);
        }
        context
    }
}

/// An input tensor as the client sent it, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct InferInput {
    /// Its name.
    pub name: String,
    /// Its data type.
    pub datatype: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its values.
    pub values: TensorData,
}

/// The values of a tensor as the client sent them.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// Little-endian, in memory order.
    Bytes(Bytes),
    /// Numbers.
    Numbers(Vec<f32>),
}

/// The response to an inference request.
#[derive(Debug, Clone, PartialEq)]
pub struct InferResponse {
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// The request's id.
    pub id: Option<String>,
    /// The value of [`OUTPUT`].
    pub output: Tensor,
}

impl InferResponse {
    /// Appends the output's values, little-endian in memory order.
    pub fn push_bytes(&self, bytes: &mut Vec<u8>) {
        let numbers = self.output.data();
        let start = bytes.len();
        bytes.resize(start + numbers.len() * 4, 0);
        for (four, number) in bytes[start..].chunks_exact_mut(4).zip(numbers) {
            four.copy_from_slice(&number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::auth::{Caller, Scope};
    use tokio::time::Instant;

    #[test]
    fn a_request_may_shorten_its_deadline_and_never_extend_it() {
        let context = RequestContext {
            id: Arc::from("1"),
            caller: Some(Caller {
                name: Some(Arc::from("a")),
                scope: Scope::Admin,
                high_priority: true,
            }),
            client: Arc::from("a"),
            priority: Priority::Normal,
            time_limit: Duration::from_secs(30),
            deadline: Instant::now() + Duration::from_secs(30),
        };
        let applied = |priority, seconds: Option<u64>| {
            let timeout = seconds.map(Duration::from_secs);
            InferParameters { priority, timeout }.apply(&context)
        };
        assert_eq!(applied(1, None).priority, Priority::High);
        assert_eq!(applied(0, None).priority, Priority::Normal);
        assert_eq!(applied(9, None).priority, Priority::Low);
        assert!(applied(0, Some(1)).deadline < context.deadline);
        for long in [60, u64::MAX] {
            assert_eq!(applied(0, Some(long)).deadline, context.deadline);
        }
    }
}
