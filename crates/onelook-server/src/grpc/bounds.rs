//! Bounds of the messages that are decoded here.
//!
//! An empty submessage takes two bytes on the wire and hundreds in memory, so the fields that may repeat
//! are counted first, along the wire format of protocol buffers.

use tonic::Status;

use super::codec::{BoundedMessage, fields, too_large};
use super::generated::health::HealthCheckRequest;
use super::generated::inference as proto;

/// Most inputs, outputs, raw contents and parameters of a request; a model here has one input.
const MAX_REPEATED: usize = 64;

/// Most extents of a shape.
const MAX_SHAPE: usize = 64;

impl BoundedMessage for HealthCheckRequest {}
impl BoundedMessage for proto::ServerLiveRequest {}
impl BoundedMessage for proto::ServerReadyRequest {}
impl BoundedMessage for proto::ServerMetadataRequest {}
impl BoundedMessage for proto::ModelReadyRequest {}
impl BoundedMessage for proto::ModelMetadataRequest {}
impl BoundedMessage for proto::ModelConfigRequest {}
impl BoundedMessage for proto::ModelStatisticsRequest {}
impl BoundedMessage for proto::RepositoryIndexRequest {}
impl BoundedMessage for proto::RepositoryModelLoadRequest {}
impl BoundedMessage for proto::RepositoryModelUnloadRequest {}

impl BoundedMessage for proto::ModelInferRequest {
    fn check(bytes: &[u8]) -> Result<(), Status> {
        request(bytes)
    }
}

/// `ModelInferRequest`: parameters 4, inputs 5, outputs 6, raw contents 7.
fn request(bytes: &[u8]) -> Result<(), Status> {
    let mut counts = [0; 8];
    fields(bytes, |number, payload| {
        let Some(count) = counts.get_mut(number as usize).filter(|_| number >= 4) else {
            return Ok(());
        };
        *count += 1;
        if *count > MAX_REPEATED {
            let names = ["parameters", "inputs", "outputs", "raw_input_contents"];
            let name = names[number as usize - 4];
            return Err(too_large(format!("it has more than {MAX_REPEATED} {name}")));
        }
        match number {
            5 => input(payload),
            6 => parameters(payload, 2),
            _ => Ok(()),
        }
    })
}

/// `InferInputTensor`: shape 3, parameters 4, contents 5.
fn input(bytes: &[u8]) -> Result<(), Status> {
    let (mut shape, mut has_contents) = (0, false);
    fields(bytes, |number, payload| match number {
        3 => {
            // Packed or not, an extent takes at least one byte.
            shape += payload.len().max(1);
            match shape <= 10 * MAX_SHAPE {
                true => Ok(()),
                false => Err(too_large(format!("a shape has more than {MAX_SHAPE} axes"))),
            }
        }
        // prost would join them.
        5 if has_contents => Err(too_large("an input has several contents".to_owned())),
        5 => {
            has_contents = true;
            contents(payload)
        }
        _ => Ok(()),
    })?;
    parameters(bytes, 4)
}

/// `InferTensorContents`: only FP32 values (6) are read here, which are as large in memory.
fn contents(bytes: &[u8]) -> Result<(), Status> {
    fields(bytes, |number, payload| match number {
        6 => Ok(()),
        _ if payload.len() <= MAX_REPEATED => Ok(()),
        _ => Err(Status::invalid_argument(
            "the contents of an input must be fp32_contents, or in raw_input_contents",
        )),
    })?;
    let mut others = 0;
    fields(bytes, |number, _| {
        others += usize::from(number != 6);
        match others <= MAX_REPEATED {
            true => Ok(()),
            false => Err(too_large("its contents are not fp32_contents".to_owned())),
        }
    })
}

/// The map of parameters in this field.
fn parameters(bytes: &[u8], field: u32) -> Result<(), Status> {
    let mut count = 0;
    fields(bytes, |number, _| {
        count += usize::from(number == field);
        match count <= MAX_REPEATED {
            true => Ok(()),
            false => Err(too_large(format!(
                "it has more than {MAX_REPEATED} parameters"
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::codec::SMALL;
    use prost::Message;

    /// A length-delimited field.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    }

    fn code(bytes: &[u8]) -> Option<tonic::Code> {
        request(bytes).err().map(|status| status.code())
    }

    #[test]
    fn an_honest_request_passes() {
        let message = proto::ModelInferRequest {
            model_name: "a".to_owned(),
            inputs: vec![proto::model_infer_request::InferInputTensor {
                name: "images".to_owned(),
                shape: vec![1, 3, 4096, 4096],
                contents: Some(proto::InferTensorContents {
                    fp32_contents: vec![0.5; 1000],
                    ..Default::default()
                }),
                ..Default::default()
            }],
            raw_input_contents: vec![vec![0; 1000].into()],
            ..Default::default()
        };
        assert_eq!(code(&message.encode_to_vec()), None);
        assert_eq!(code(b""), None);
    }

    #[test]
    fn a_message_that_would_grow_in_memory_is_refused_before_it_is_decoded() {
        let exhausted = Some(tonic::Code::ResourceExhausted);
        for number in 4..=7 {
            assert_eq!(
                code(&field(number, b"").repeat(1000)),
                exhausted,
                "{number}"
            );
        }
        let within_input = |inside: Vec<u8>| code(&field(5, &inside));
        assert_eq!(within_input(field(3, &[1; 1000])), exhausted);
        // The same, not packed.
        assert_eq!(within_input([3 << 3, 1].repeat(1000)), exhausted);
        assert_eq!(within_input(field(4, b"").repeat(1000)), exhausted);
        let contents = |inside: Vec<u8>| within_input(field(5, &inside));
        for number in [1, 2, 3, 4, 5, 7, 8] {
            let invalid = Some(tonic::Code::InvalidArgument);
            assert_eq!(contents(field(number, &[1; 1000])), invalid, "{number}");
            assert_eq!(contents(field(number, b"").repeat(1000)), exhausted);
        }
        let few = field(5, &field(8, b"").repeat(MAX_REPEATED));
        assert_eq!(within_input(few.clone()), None);
        assert_eq!(within_input(few.repeat(2)), exhausted);
        assert_eq!(code(&field(6, &field(2, b"").repeat(1000))), exhausted);
        let small = <proto::RepositoryModelLoadRequest as BoundedMessage>::check;
        assert!(small(&[0; SMALL]).is_ok() && small(&[0; SMALL + 1]).is_err());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        assert_eq!(
            code(&[5 << 3 | 2, 9, 0]),
            Some(tonic::Code::InvalidArgument)
        );
        assert_eq!(code(&[0xff; 11]), Some(tonic::Code::InvalidArgument));
    }
}
