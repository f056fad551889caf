//! To be written.

use super::{ModelFile, ReadError, ReadOptions};

pub(super) fn read(_bytes: &[u8], _options: &ReadOptions) -> Result<ModelFile, ReadError> {
    Err(ReadError::Unsupported {
        reason: "this reader is not written yet".to_owned(),
    })
}

/// Writes the native form.
pub fn write(_model: &ModelFile) -> Result<Vec<u8>, ReadError> {
    Err(ReadError::Unsupported {
        reason: "this writer is not written yet".to_owned(),
    })
}
