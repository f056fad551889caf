//! Model files: bytes in, an unoptimised graph and what the file says of it out.
//!
//! Files are hostile until parsed: nothing is executed, every size is checked against [`Limits`]
//! before memory is taken, and there is one error per way to lie.

mod error;
mod onnx;
pub(crate) mod pt;
mod safetensors;

pub use error::ReadError;
pub use safetensors::write as write_safetensors;

use onelook_types::Metadata;

use crate::Graph;

/// What a model file may ask for at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of all tensors together, as f32.
    pub tensor_bytes: u64,
    /// Bytes of the description inside the file (pickle, JSON).
    pub description_bytes: u64,
    /// Nodes of the graph, modules of the tree, members of the archive.
    pub nodes: usize,
    /// How deep containers may nest.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 4 << 30,
            tensor_bytes: 4 << 30,
            description_bytes: 64 << 20,
            nodes: 100_000,
            depth: 200,
        }
    }
}

/// How to read a model file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What the file may ask for.
    pub limits: Limits,
    /// For models with two heads (YOLO26): the one that needs no NMS (`true`) or the one-to-many head
    /// (`false`, and the default, as in the reference).
    pub end_to_end: Option<bool>,
}

/// A model as a file describes it.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The network, not optimised yet.
    pub graph: Graph,
    /// What the file says of it.
    pub metadata: Metadata,
}

/// The kinds of model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A PyTorch checkpoint: a zip archive with a pickle.
    Pt,
    /// An ONNX model.
    Onnx,
    /// A safetensors file written by `onelook convert`.
    Safetensors,
}

impl Format {
    /// The format by the file's first bytes, or `None` when they are of no format that we read.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"PK\x03\x04") {
            return Some(Self::Pt);
        }
        // A safetensors file starts with the length of a JSON object that follows.
        if bytes.len() > 9 && bytes[8] == b'{' {
            return Some(Self::Safetensors);
        }
        // A bare pickle of protocol 2 or newer: PyTorch before version 1.6.
        if matches!(bytes, [0x80, 2..=5, ..]) {
            return Some(Self::Pt);
        }
        // An ONNX model starts with field 1 (ir_version) or another low field of its message.
        (bytes.len() > 2 && matches!(bytes[0], 0x08 | 0x12 | 0x3a)).then_some(Self::Onnx)
    }
}

/// Reads a model file of any format that we know.
pub fn read(bytes: &[u8], options: &ReadOptions) -> Result<ModelFile, ReadError> {
    if bytes.len() as u64 > options.limits.file_bytes {
        return Err(ReadError::Limit {
            what: "the file".to_owned(),
            actual: bytes.len() as u64,
            limit: options.limits.file_bytes,
        });
    }
    let mut model = match Format::detect(bytes) {
        Some(Format::Pt) => pt::read(bytes, options),
        Some(Format::Onnx) => onnx::read(bytes, options),
        Some(Format::Safetensors) => safetensors::read(bytes, options),
        None => Err(unknown(bytes)),
    }?;
    make_printable(&mut model.metadata);
    Ok(model)
}

/// What a file is that is no model: some text that stands where the model should be, or anything.
fn unknown(bytes: &[u8]) -> ReadError {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).to_ascii_lowercase();
    let reason = if text.starts_with("version https://git-lfs.github.com/spec/") {
        "it is a Git LFS pointer, a few lines of text in place of the model: run `git lfs pull` in \
         its repository, or download the file itself"
    } else if ["<!doctype", "<html", "<?xml"]
        .iter()
        .any(|tag| text.trim_start().starts_with(tag))
    {
        "it is a web page, not a model: the download gave an error or a sign-in page; download the \
         file itself"
    } else {
        return ReadError::UnknownFormat {
            start: bytes[..bytes.len().min(8)].to_vec(),
        };
    };
    ReadError::Unsupported {
        reason: reason.to_owned(),
    }
}

/// Replaces control characters, which could steer a terminal that the file's words are printed on.
fn make_printable(metadata: &mut Metadata) {
    let notes = metadata
        .notes
        .iter_mut()
        .flat_map(|(key, value)| [key, value]);
    let words = metadata.names.iter_mut().chain(notes);
    for word in words.chain([&mut metadata.architecture]) {
        if word.contains(char::is_control) {
            *word = word.replace(char::is_control, "\u{fffd}");
        }
    }
}

#[cfg(test)]
mod tests {
    use onelook_types::{DetectHead, Head, OutputEncoding};

    use super::*;

    #[test]
    fn text_in_place_of_a_model_is_recognised() {
        let refusal = |bytes: &[u8]| read(bytes, &ReadOptions::default()).unwrap_err();
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(refusal(pointer).to_string().contains("git lfs pull"));
        for page in [
            &b"<!DOCTYPE html><html>"[..],
            b"\n<html>",
            b"<?xml version=\"1.0\"?>",
        ] {
            assert!(refusal(page).to_string().contains("web page"));
        }
        for other in [&b""[..], b"version 1", b"\xff\xfe"] {
            assert!(matches!(refusal(other), ReadError::UnknownFormat { .. }));
        }
    }

    #[test]
    fn words_of_a_file_cannot_steer_a_terminal() {
        let mut metadata = Metadata {
            architecture: "yolo\u{7}".to_owned(),
            names: vec!["\u{1b}[2Jcat".to_owned(), "狗".to_owned()],
            stride: 32,
            image_size: [640, 640],
            fixed_size: false,
            head: Head::Detect(DetectHead {
                classes: 2,
                reg_max: 16,
                strides: vec![8],
                end_to_end: false,
                encoding: OutputEncoding::Maps,
            }),
            notes: vec![("author".to_owned(), "a\r\nb".to_owned())],
        };
        make_printable(&mut metadata);
        assert_eq!(metadata.names, ["\u{fffd}[2Jcat", "狗"]);
        assert_eq!(metadata.architecture, "yolo\u{fffd}");
        assert_eq!(metadata.notes[0].1, "a\u{fffd}\u{fffd}b");
    }
}
