//! The Open Inference Protocol v2 without a carrier: tensors in, the network's output out.
//!
//! HTTP and gRPC bring requests into these types and answers out of them, so that both mean the
//! same. Nothing is believed of a request: names, types, shapes and lengths are compared with the
//! model and with the bytes that came, before anything is allocated by them.

pub mod describe;
mod input;
mod python_literal;
pub mod repository;
pub mod statistics;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use onelook::types::Tensor;

use crate::admission::Priority;
use crate::app::App;
use crate::inference_service::Errand;
use crate::model_repository::{Served, Slot};
use crate::problem::{Kind, Problem};

/// The name of the only input.
pub const INPUT: &str = "images";
/// The name of the only output.
pub const OUTPUT: &str = "output0";
/// The type of both, in the protocol's words.
pub const DATATYPE: &str = "FP32";

/// Tensors and what is asked of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The client's word for it, to be given back.
    pub id: Option<String>,
    /// How it is to be treated.
    pub parameters: Parameters,
    /// What is to be run.
    pub inputs: Vec<Input>,
    /// Outputs by name; all when there are none.
    pub outputs: Vec<String>,
    /// What it asks for that exists elsewhere and not here, in words.
    pub unserved: Option<&'static str>,
}

/// What [`Request::unserved`] says of requests that belong together.
pub const SEQUENCES: &str = "sequences are not served: a model here keeps nothing between requests";
/// What [`Request::unserved`] says of outputs as classes.
pub const CLASSIFICATION: &str = "the extension 'classification' is not served: ask for the tensor";
/// What [`Request::unserved`] says of tensors that lie elsewhere.
pub const SHARED_MEMORY: &str = "shared memory is not served: send the values";

/// How a request is to be treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parameters {
    /// 0 for the default, 1 for the most urgent.
    pub priority: u64,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// A tensor as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type, in the protocol's words.
    pub datatype: String,
    /// What it says of its shape.
    pub shape: Vec<i64>,
    /// Its values.
    pub values: Values,
}

/// The values of a tensor as they came.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// In memory order, lowest byte first.
    Bytes(Bytes),
    /// Numbers.
    Numbers(Vec<f32>),
}

/// What a model says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model's own name.
    pub model: String,
    /// The version that answered.
    pub version: String,
    /// The request's id.
    pub id: Option<String>,
    /// The value of [`OUTPUT`].
    pub output: Tensor,
}

impl Answer {
    /// Appends the output's values in memory order, lowest byte first.
    pub fn push_bytes(&self, bytes: &mut Vec<u8>) {
        let numbers = self.output.data();
        let start = bytes.len();
        bytes.resize(start + numbers.len() * 4, 0);
        for (four, number) in bytes[start..].chunks_exact_mut(4).zip(numbers) {
            four.copy_from_slice(&number.to_le_bytes());
        }
    }
}

/// Runs a model on a request's tensors.
pub async fn infer(
    app: &App,
    slot: &Arc<Slot>,
    version: Option<&str>,
    errand: &Errand,
    request: Request,
) -> Result<Answer, Problem> {
    let served = served(slot, version)?;
    let Request {
        id,
        parameters,
        inputs,
        outputs,
        unserved,
    } = request;
    if let Some(words) = unserved {
        return Err(Problem::bad_request(words));
    }
    check_outputs(slot, &outputs)?;
    let input = input::only(slot, inputs)?;
    let shape = input::check(slot, &served, &input)?;
    let errand = parameters.applied(errand);
    let make = move || input::tensor(shape, input.values);
    let ran = app.stations.output0(slot, &errand, shape[0], make);
    let output = ran.await?;
    Ok(Answer {
        model: slot.name.clone(),
        version: VERSION.to_owned(),
        id,
        output,
    })
}

/// The version of every model: there is one at a time, and a client that names it must not break when
/// the model is replaced. How often a model was loaded is the own API's business.
pub const VERSION: &str = "1";

/// The model that serves, if it serves this version; empty words ask for any.
pub fn served(slot: &Slot, version: Option<&str>) -> Result<Arc<Served>, Problem> {
    let served = slot.served()?;
    match version {
        Some(wanted) if !wanted.is_empty() && wanted != VERSION => {
            let (name, wanted) = (&slot.name, shown(wanted));
            let detail = format!("model '{name}' has no version {wanted}; it serves {VERSION}");
            Err(Problem::new(Kind::NotFound, detail))
        }
        _ => Ok(served),
    }
}

fn check_outputs(slot: &Slot, wanted: &[String]) -> Result<(), Problem> {
    match wanted.iter().find(|name| *name != OUTPUT) {
        None => Ok(()),
        Some(name) => Err(Problem::bad_request(format!(
            "unexpected inference output {} for model '{}': it gives '{OUTPUT}'",
            shown(name),
            slot.name
        ))),
    }
}

impl Parameters {
    /// The errand with what the request asks for itself; never a later deadline.
    fn applied(&self, errand: &Errand) -> Errand {
        let mut errand = errand.clone();
        errand.priority = match self.priority {
            0 => errand.priority,
            1 => Priority::High,
            2 => Priority::Normal,
            _ => Priority::Low,
        };
        let own = self
            .timeout
            .and_then(|time| tokio::time::Instant::now().checked_add(time));
        if let Some(own) = own {
            errand.deadline = errand.deadline.min(own);
        }
        errand
    }
}

/// A stranger's word, short and harmless.
pub fn shown(word: &str) -> String {
    let start: String = word.chars().take(80).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[test]
    fn a_request_may_hurry_and_never_gets_longer_than_the_server_gives() {
        let errand = Errand {
            client: Arc::from("a"),
            priority: Priority::Normal,
            deadline: Instant::now() + Duration::from_secs(30),
        };
        let applied = |priority, seconds: Option<u64>| {
            let timeout = seconds.map(Duration::from_secs);
            let parameters = Parameters { priority, timeout };
            parameters.applied(&errand)
        };
        assert_eq!(applied(1, None).priority, Priority::High);
        assert_eq!(applied(0, None).priority, Priority::Normal);
        assert_eq!(applied(9, None).priority, Priority::Low);
        assert!(applied(0, Some(1)).deadline < errand.deadline);
        for long in [60, u64::MAX] {
            assert_eq!(applied(0, Some(long)).deadline, errand.deadline);
        }
    }

    #[test]
    fn a_strangers_word_is_shown_short_and_harmless() {
        assert_eq!(shown("a\n\"b"), "\"a\\n\\\"b\"");
        assert_eq!(shown(&"x".repeat(1000)).len(), 82);
    }
}
