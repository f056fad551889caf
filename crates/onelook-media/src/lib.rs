//! Bytes to frames and back: picture codecs, and the sources that pictures come from.
//!
//! Comes in: encoded pictures, or the words by which a user names them. Goes out: [`Frame`]s, or
//! encoded pictures. Never knows what is looked for in a frame, and never speaks HTTP itself:
//! addresses are fetched by a [`Fetch`] that the caller brings.
//!
//! [`Frame`]: onelook_types::Frame

mod decode;
mod encode;
mod limits;
mod source;

pub use decode::{DecodeError, PictureFormat, decode};
pub use encode::{EncodeError, encode_jpeg, encode_png};
pub use limits::Limits;
pub use source::{Fetch, PICTURE_EXTENSIONS, Source, SourceError, SourceItem, SourceOptions};
