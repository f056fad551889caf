//! Decodes messages within bounds: what a message becomes in memory is settled before prost reads it.
//! Which bounds a message has is in `bounds.rs`.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// Most bytes of a message other than a request for inference.
pub const SMALL: usize = 64 << 10;

/// A message that says whether its encoded form may be decoded.
pub trait BoundedMessage: Message + Default + 'static {
    /// Refuses a message that would become much larger than it is.
    fn check(bytes: &[u8]) -> Result<(), Status> {
        match bytes.len() <= SMALL {
            true => Ok(()),
            false => Err(too_large(format!("it has more than {SMALL} bytes"))),
        }
    }
}

/// Calls `visit` with the number of each field and, if it is length-delimited, its bytes.
pub fn fields<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u32, &'a [u8]) -> Result<(), Status>,
) -> Result<(), Status> {
    let invalid = |error: prost::DecodeError| Status::invalid_argument(error.to_string());
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(invalid)?;
        let mut payload: &[u8] = &[];
        match wire_type {
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(invalid)?;
                let length = usize::try_from(length).ok();
                let split = length.and_then(|length| bytes.split_at_checked(length));
                let (inside, rest) =
                    split.ok_or_else(|| Status::invalid_argument("a field is cut off"))?;
                (payload, bytes) = (inside, rest);
            }
            _ => skip_field(wire_type, number, &mut bytes, DecodeContext::default())
                .map_err(invalid)?,
        }
        visit(number, payload)?;
    }
    Ok(())
}

/// The status of a message beyond its bounds.
pub fn too_large(what: String) -> Status {
    Status::resource_exhausted(format!("the message is refused: {what}"))
}

/// prost's codec with [`BoundedMessage::check`] ahead of it.
#[derive(Debug, Clone)]
pub struct BoundedCodec<Answer, Request>(PhantomData<(Answer, Request)>);

impl<Answer, Request> Default for BoundedCodec<Answer, Request> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Answer, Request> Codec for BoundedCodec<Answer, Request>
where
    Answer: Message + Send + 'static,
    Request: BoundedMessage + Send,
{
    type Encode = Answer;
    type Decode = Request;
    type Encoder = ProstEncoder<Answer>;
    type Decoder = BoundedDecoder<Request>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Answer, Request>::raw_encoder(Default::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Decodes a whole message, if it keeps within its bounds.
pub fn decode<Request: BoundedMessage>(bytes: Bytes) -> Result<Request, Status> {
    Request::check(&bytes)?;
    Request::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// Decodes a call's messages.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<Request>(PhantomData<Request>);

impl<Request: BoundedMessage> Decoder for BoundedDecoder<Request> {
    type Item = Request;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Request>, Status> {
        // Not copied: the buffer holds the whole message.
        decode(buffer.copy_to_bytes(buffer.remaining())).map(Some)
    }
}
