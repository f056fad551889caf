//! PyTorch checkpoints of Ultralytics: archive bytes in, graph and metadata out.
//!
//! Archive → pickle → checkpoint → module tree → graph, one file each. The file is never executed:
//! its classes are names, its objects records, and what is not known is refused by name.

mod archive;
mod build;
mod builder;
mod checkpoint;
pub(crate) mod described;
mod module;
mod modules;
mod pickle;
mod tensors;
#[cfg(test)]
mod tests;

use super::{ModelFile, ReadError, ReadOptions};
use archive::Archive;
use checkpoint::Checkpoint;
use pickle::Pickle;
use tensors::Tensors;

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<ModelFile, ReadError> {
    if !bytes.starts_with(b"PK") {
        return Err(unsupported(
            "it is a bare pickle, as PyTorch wrote before version 1.6; load it once with a newer \
             torch and save it again",
        ));
    }
    let archive = Archive::open(bytes, &options.limits)?;
    check_kind(&archive)?;
    let Some(description) = archive.get("data.pkl") else {
        return Err(damaged("the archive has no data.pkl"));
    };
    let pickle = Pickle::parse(description, &options.limits)?;
    let checkpoint = Checkpoint::find(&pickle)?;
    let mut tensors = Tensors::new(&pickle, &archive, &options.limits);
    build::build(&checkpoint, &mut tensors, options)
}

/// Refuses archives of PyTorch that are no checkpoints.
fn check_kind(archive: &Archive<'_>) -> Result<(), ReadError> {
    if archive.has_folder("code") || archive.get("constants.pkl").is_some() {
        return Err(unsupported(
            "it is a TorchScript program; use the .pt it was exported from, or export ONNX",
        ));
    }
    match archive.get("byteorder") {
        Some(b"big") => Err(unsupported(
            "its tensors are big-endian; save it again on a little-endian machine",
        )),
        _ => Ok(()),
    }
}

fn damaged(reason: impl ToString) -> ReadError {
    ReadError::Damaged {
        format: ".pt",
        reason: reason.to_string(),
    }
}

fn unsupported(reason: impl Into<String>) -> ReadError {
    ReadError::Unsupported {
        reason: reason.into(),
    }
}
