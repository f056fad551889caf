//! Architectures without weights: a name such as `yolo11x` in, the network with random weights out.
//!
//! For questions that do not depend on what was learned: kernels, shapes, memory, time. Widths,
//! depths and wiring are those that the families published; the graph is built by the readers of
//! checkpoints, so that it is node by node what a trained file of that name gives. The weights are
//! the same in every run. Never gives boxes that mean anything.

mod blocks;
mod layers;
mod random;
#[cfg(test)]
mod tests;

use onelook_types::Metadata;

use crate::read::pt::described;
use crate::read::{ModelFile, ReadError, ReadOptions};
use layers::Stack;

/// The letter of a scale and what it does to the family's widths and depths.
#[derive(Debug, Clone, Copy)]
struct Scale {
    letter: char,
    depth: f64,
    width: f64,
    /// Channels at most, before the width is applied.
    most_channels: usize,
}

const fn scale(letter: char, depth: f64, width: f64, most_channels: usize) -> Scale {
    Scale {
        letter,
        depth,
        width,
        most_channels,
    }
}

struct Family {
    name: &'static str,
    scales: [Scale; 5],
    stack: fn(Scale) -> Stack,
}

const FAMILIES: [Family; 3] = [
    Family {
        name: "yolov8",
        scales: [
            scale('n', 0.33, 0.25, 1024),
            scale('s', 0.33, 0.5, 1024),
            scale('m', 0.67, 0.75, 768),
            scale('l', 1.0, 1.0, 512),
            scale('x', 1.0, 1.25, 512),
        ],
        stack: layers::yolov8,
    },
    Family {
        name: "yolo11",
        scales: SINCE_YOLO11,
        stack: layers::yolo11,
    },
    Family {
        name: "yolo26",
        scales: SINCE_YOLO11,
        stack: layers::yolo26,
    },
];

const SINCE_YOLO11: [Scale; 5] = [
    scale('n', 0.5, 0.25, 1024),
    scale('s', 0.5, 0.5, 1024),
    scale('m', 0.5, 1.0, 512),
    scale('l', 1.0, 1.0, 512),
    scale('x', 1.0, 1.5, 512),
];

/// The note in the metadata of every network that this module builds.
const NOTE: (&str, &str) = ("weights", "random: an architecture without a checkpoint");

/// Whether weights are random by what a model says of itself, even after it was written to a file.
pub fn has_random_weights(metadata: &Metadata) -> bool {
    let mut notes = metadata.notes.iter();
    notes.any(|(key, value)| (key.as_str(), value.as_str()) == NOTE)
}

/// All names that [`build`] knows, such as `yolo11n`.
pub fn names() -> Vec<String> {
    let of = |family: &'static Family| {
        let scales = family.scales.iter();
        scales.map(|scale| format!("{}{}", family.name, scale.letter))
    };
    FAMILIES.iter().flat_map(of).collect()
}

/// The detection network of this name (`yolo11n`, or `yolo11n.yaml`) with random weights for 80
/// classes, or `None` for a name that is not among [`names`].
pub fn build(name: &str) -> Option<ModelFile> {
    let built = build_with(name, &ReadOptions::default())?;
    Some(built.expect("every family is built with the default options in tests"))
}

/// As [`build`], with the head that the options ask for.
///
/// # Errors
/// The family has no such head, or the limits are too narrow for it.
pub fn build_with(name: &str, options: &ReadOptions) -> Option<Result<ModelFile, ReadError>> {
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    let (family, scale) = find(name)?;
    let layers = (family.stack)(scale).into_layers();
    let built = described::build(&layers, options, &mut random::fill);
    Some(built.map(|mut model| {
        name.clone_into(&mut model.metadata.architecture);
        model.metadata.notes = vec![(NOTE.0.to_owned(), NOTE.1.to_owned())];
        model
    }))
}

/// The layers of a family at a scale so small that a checkpoint of them is written and read in no time.
#[cfg(test)]
pub(crate) fn tiny_layers(family: &str) -> described::Described {
    let family = FAMILIES.iter().find(|known| known.name == family);
    let family = family.expect("a family of the list");
    (family.stack)(scale('n', 0.33, 0.03125, 256)).into_layers()
}

fn find(name: &str) -> Option<(&'static Family, Scale)> {
    FAMILIES.iter().find_map(|family| {
        let letter = name.strip_prefix(family.name)?;
        let mut scales = family.scales.iter();
        let scale = scales.find(|scale| letter.chars().eq([scale.letter]))?;
        Some((family, *scale))
    })
}
