//! The errors of this format.

use crate::{DecodeError, ImageFormat};

pub(super) fn corrupt(reason: impl std::fmt::Display) -> DecodeError {
    DecodeError::corrupt(ImageFormat::Jpeg, reason)
}

pub(super) fn unsupported(what: impl std::fmt::Display) -> DecodeError {
    DecodeError::unsupported(ImageFormat::Jpeg, what)
}
