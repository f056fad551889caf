//! What an export says of its model: `metadata_props` and shapes come in, [`Metadata`] goes out.

use onelook_types::{DetectHead, Head, Metadata, OutputEncoding, Shape, Task};

use super::literal::{self, Literal};
use super::proto;
use crate::read::{Limits, ReadError};

/// The image input as the file declares it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    /// Height and width, `None` for a symbol.
    pub sides: [Option<usize>; 2],
    /// What is known of them, or the training size.
    pub size: [usize; 2],
}

/// The properties by name, with what they mean where we know it.
pub(super) struct Properties<'a> {
    entries: &'a [proto::Entry],
    depth: usize,
}

/// Properties that become fields of [`Metadata`].
const UNDERSTOOD: [&str; 5] = ["names", "stride", "task", "imgsz", "end2end"];

impl<'a> Properties<'a> {
    pub(super) fn new(entries: &'a [proto::Entry], limits: &Limits) -> Result<Self, ReadError> {
        let bytes: usize = entries
            .iter()
            .map(|entry| entry.key.len() + entry.value.len())
            .sum();
        if bytes as u64 > limits.description_bytes {
            return Err(ReadError::Limit {
                what: "the metadata".to_owned(),
                actual: bytes as u64,
                limit: limits.description_bytes,
            });
        }
        Ok(Self {
            entries,
            depth: limits.depth,
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    fn literal(&self, key: &str) -> Result<Option<Literal>, ReadError> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        literal::parse(text, self.depth)
            .map(Some)
            .ok_or_else(|| odd(key, text))
    }

    /// Training height and width.
    pub(super) fn image_size(&self) -> Result<Option<[usize; 2]>, ReadError> {
        let Some(literal) = self.literal("imgsz")? else {
            return Ok(None);
        };
        let sides: Option<Vec<usize>> = match &literal {
            Literal::List(sides) => sides.iter().map(Literal::as_usize).collect(),
            side => side.as_usize().map(|side| vec![side]),
        };
        match sides.as_deref() {
            Some(&[height, width]) => Ok(Some([height, width])),
            Some(&[side]) => Ok(Some([side, side])),
            _ => Err(odd("imgsz", self.text("imgsz").unwrap_or_default())),
        }
    }

    fn check_task(&self) -> Result<(), ReadError> {
        match self.text("task").unwrap_or("detect").parse() {
            Ok(Task::Detect) => Ok(()),
            Ok(task) => Err(unsupported(format!(
                "its task is {task}; onelook reads detection models only"
            ))),
            Err(error) => Err(unsupported(error.to_string())),
        }
    }

    fn stride(&self) -> Result<usize, ReadError> {
        match self.literal("stride")? {
            None => Ok(32),
            Some(literal) => literal
                .as_usize()
                .filter(|stride| (1..=1024).contains(stride))
                .ok_or_else(|| odd("stride", self.text("stride").unwrap_or_default())),
        }
    }

    /// Class names by index; empty when the file has none.
    fn names(&self) -> Result<Vec<String>, ReadError> {
        let wrong = || odd("names", self.text("names").unwrap_or_default());
        let listed = match self.literal("names")? {
            None => return Ok(Vec::new()),
            Some(Literal::List(names)) => names.into_iter().enumerate().collect::<Vec<_>>(),
            Some(Literal::Dict(names)) => names
                .into_iter()
                .map(|(index, name)| Some((index.as_usize()?, name)))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(wrong)?,
            Some(_) => return Err(wrong()),
        };
        let mut names = vec![None; listed.len()];
        for (index, name) in listed {
            let place = names.get_mut(index).ok_or_else(wrong)?;
            *place = Some(match name {
                Literal::Text(name) | Literal::Word(name) => name,
                Literal::Integer(number) => number.to_string(),
                _ => return Err(wrong()),
            });
        }
        names.into_iter().collect::<Option<_>>().ok_or_else(wrong)
    }

    fn architecture(&self) -> String {
        self.text("description")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .find(|word| word.starts_with("yolo") || word.starts_with("rtdetr"))
            .unwrap_or_else(|| "onnx".to_owned())
    }

    /// All that the file says, given its image input and the shapes of its outputs.
    pub(super) fn metadata(&self, image: Image, outputs: &[Shape]) -> Result<Metadata, ReadError> {
        self.check_task()?;
        let stride = self.stride()?;
        let mut names = self.names()?;
        let head = head(outputs, names.len(), stride, image.size)?;
        if names.len() > head.classes {
            return Err(ReadError::Damaged {
                format: "onnx",
                reason: format!(
                    "it names {} classes and scores {}",
                    names.len(),
                    head.classes
                ),
            });
        }
        names.extend((names.len()..head.classes).map(|class| format!("class{class}")));
        let notes = self
            .entries
            .iter()
            .filter(|entry| !UNDERSTOOD.contains(&entry.key.as_str()))
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect();
        Ok(Metadata {
            architecture: self.architecture(),
            names,
            stride,
            image_size: image.size,
            fixed_size: image.sides.iter().any(Option::is_some),
            head: Head::Detect(head),
            notes,
        })
    }
}

fn head(
    outputs: &[Shape],
    names: usize,
    stride: usize,
    image: [usize; 2],
) -> Result<DetectHead, ReadError> {
    let [shape] = outputs else {
        return Err(unsupported(format!(
            "it has {} outputs; a detection model has one",
            outputs.len()
        )));
    };
    let (classes, anchors, encoding) = match shape[..] {
        [_, detections, 6] if detections != 6 && names > 0 => {
            (names, detections, OutputEncoding::DecodedEndToEnd)
        }
        [_, rows, anchors] if rows > 4 => (rows - 4, anchors, OutputEncoding::Decoded),
        _ => {
            return Err(unsupported(format!(
                "its output has shape {shape}; a detection model's is 1 x (4 + classes) x anchors, \
                 or 1 x detections x 6 with class names in the metadata"
            )));
        }
    };
    Ok(DetectHead {
        classes,
        reg_max: 1,
        strides: strides(stride, anchors, image),
        end_to_end: encoding == OutputEncoding::DecodedEndToEnd,
        encoding,
    })
}

/// The levels whose cells add up to the number of anchors, else only the coarsest.
fn strides(stride: usize, anchors: usize, [height, width]: [usize; 2]) -> Vec<usize> {
    (1..=5)
        .map(|levels| (0..levels).rev().map(|level| stride >> level).collect())
        .find(|strides: &Vec<usize>| {
            let cells = |&stride: &usize| {
                (height.checked_div(stride)?).checked_mul(width.checked_div(stride)?)
            };
            let total = strides
                .iter()
                .try_fold(0usize, |sum, stride| sum.checked_add(cells(stride)?));
            total == Some(anchors)
        })
        .unwrap_or_else(|| vec![stride])
}

fn odd(key: &str, text: &str) -> ReadError {
    let start: String = text.chars().take(40).collect();
    ReadError::Damaged {
        format: "onnx",
        reason: format!("its metadata has {key} '{start}', which cannot be understood"),
    }
}

fn unsupported(reason: String) -> ReadError {
    ReadError::Unsupported { reason }
}
