//! What an export says of its model: `metadata_props` and shapes come in, [`Metadata`] goes out.

use onelook_types::{DetectHead, HeadOutputs, Metadata, Shape, Task};

use super::literal::{self, Literal};
use super::proto;
use crate::read::{Limits, ReadError};

/// The image input as the file declares it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    /// Images at a time, `None` for a symbol.
    pub batch: Option<usize>,
    /// Height and width, `None` for a symbol.
    pub sides: [Option<usize>; 2],
    /// What is known of them, or the training size.
    pub size: [usize; 2],
}

impl Image {
    /// Whether anything of the shape is a symbol.
    pub(super) fn is_dynamic(&self) -> bool {
        self.batch.is_none() || self.sides.contains(&None)
    }

    /// The shape for a slightly larger image with other proportions, where sides are symbols.
    pub(super) fn another_size(&self, shape: &Shape, stride: usize) -> Shape {
        let side = |axis: usize, steps: usize| match self.sides[axis] {
            Some(side) => side,
            None => self.size[axis] + steps * stride,
        };
        Shape::from([shape[0], shape[1], side(0, 1), side(1, 2)])
    }
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

    /// The task, which must be detection.
    pub(super) fn task(&self) -> Result<Task, ReadError> {
        match self.text("task").unwrap_or("detect").parse() {
            Ok(Task::Detect) => Ok(Task::Detect),
            Ok(task) => Err(unsupported(format!(
                "it is an ONNX model for the task '{task}'; onelook reads ONNX models for detection only"
            ))),
            Err(error) => Err(unsupported(error.to_string())),
        }
    }

    /// The coarsest stride.
    pub(super) fn stride(&self) -> Result<usize, ReadError> {
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

    /// All that the file says, given its image input and the shape of its output.
    pub(super) fn metadata(&self, image: Image, output: &Shape) -> Result<Metadata, ReadError> {
        let task = self.task()?;
        let stride = self.stride()?;
        let mut names = self.names()?;
        let head = head(output, names.len(), stride, image.size)?;
        names.extend((names.len()..head.classes).map(|class| format!("class{class}")));
        let notes = self
            .entries
            .iter()
            .filter(|entry| !UNDERSTOOD.contains(&entry.key.as_str()))
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect();
        Ok(Metadata {
            task,
            architecture: self.architecture(),
            names,
            stride,
            image_size: image.size,
            fixed_size: image.sides.iter().any(Option::is_some),
            head,
            notes,
        })
    }
}

/// How objects are read off an output of this shape, given the number of class names.
fn head(
    shape: &Shape,
    names: usize,
    stride: usize,
    image: [usize; 2],
) -> Result<DetectHead, ReadError> {
    let (classes, anchors, outputs) = match shape[..] {
        [_, detections, 6] if detections != 6 && names > 0 => {
            (names, detections, HeadOutputs::DecodedEndToEnd)
        }
        // Without names, rows and anchors could be mistaken for each other.
        [_, rows, anchors] if rows > 4 && rows - 4 == names => {
            (names, anchors, HeadOutputs::Decoded)
        }
        [_, rows, anchors] if rows > 4 && names == 0 && rows <= anchors => {
            (rows - 4, anchors, HeadOutputs::Decoded)
        }
        _ => return Err(unsupported(wrong_output(shape, names))),
    };
    Ok(DetectHead {
        classes,
        reg_max: 1,
        strides: strides(stride, anchors, image),
        end_to_end: outputs == HeadOutputs::DecodedEndToEnd,
        outputs,
    })
}

fn wrong_output(shape: &Shape, names: usize) -> String {
    let named = match names {
        0 => "names no classes".to_owned(),
        count => format!("names {count} classes"),
    };
    let known = match shape[..] {
        [_, rows, columns] if names > 0 && columns == names + 5 && columns < rows => {
            "; this looks like an export of the YOLOv5 repository, with an objectness column: \
             export it with the ultralytics package"
        }
        _ => "",
    };
    format!(
        "its output has shape {shape} and its metadata {named}; a detection model's output is \
         1 x (4 + classes) x anchors, or 1 x detections x 6 with class names{known}"
    )
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
