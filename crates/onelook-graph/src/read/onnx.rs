//! To be written.

use super::{ModelFile, ReadError, ReadOptions};

pub(super) fn read(_bytes: &[u8], _options: &ReadOptions) -> Result<ModelFile, ReadError> {
    Err(ReadError::Unsupported {
        reason: "this reader is not written yet".to_owned(),
    })
}
