//! Bytes to frames and back: image codecs, videos, and the sources that frames come from.
//!
//! Comes in: encoded images and videos, or the words by which a user names them. Goes out: [`Frame`]s, or
//! encoded images. Never knows what is looked for in a frame, and never speaks HTTP itself:
//! addresses are fetched by a [`Fetch`] that the caller brings.
//!
//! [`Frame`]: onelook_types::Frame

mod decode;
mod decoded;
mod encode;
mod error;
mod format;
mod limits;
mod source;
mod stop;
pub mod video;

pub use decode::{decode, decode_image, decode_image_within};
pub use decoded::{DecodeWarning, DecodedImage};
pub use encode::{EncodeError, encode_jpeg, encode_png};
pub use error::{DecodeError, ExceededLimit};
pub use format::ImageFormat;
pub use limits::Limits;
pub use source::{
    Fetch, IMAGE_EXTENSIONS, OpenedSource, Source, SourceError, SourceFrame, SourceOptions,
    SourcePosition, SourceStream, VideoPosition,
};
pub use stop::StopHandle;
