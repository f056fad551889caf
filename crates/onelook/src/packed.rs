//! The two ends of a CUDA plan that takes pictures and gives boxes: frames and thresholds as the bytes
//! that its first and last launches read, and its output as detections.

use onelook_cuda::boxes;
use onelook_cuda::images::pack as pack_pictures;
use onelook_cuda::settings::Settings;
use onelook_types::{Detection, Frame, LetterboxPlacement};
use onelook_vision::letterbox::place;

use crate::pipeline::with_placed;
use crate::{Error, Pipeline};

/// What such a plan reads for some pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// The pictures, then the settings.
    pub inputs: [Vec<u8>; 2],
}

/// Packs pictures as the pipeline fits them, and what counts as a detection.
///
/// # Errors
/// There is no picture, the pipeline fits them into inputs of different sizes, they are too large
/// together, or more detections are asked for than there is room for.
pub fn pack(pipeline: &Pipeline, frames: &[&Frame]) -> Result<Packed, Error> {
    let recipe = pipeline.recipe();
    let placements: Vec<LetterboxPlacement> = frames
        .iter()
        .map(|frame| place(recipe, frame.width(), frame.height()))
        .collect();
    let mut sizes = placements.iter().map(|it| [it.height, it.width]);
    let size = sizes.next().ok_or_else(|| refused("there is none"))?;
    if sizes.any(|other| other != size) {
        return Err(refused(
            "they do not fit one input: square inputs (rect=false) do",
        ));
    }
    let pictures = with_placed(frames, &placements, recipe.padding, pack_pictures);
    Ok(Packed {
        size,
        inputs: [pictures.map_err(refused)?, settings(pipeline)?],
    })
}

fn settings(pipeline: &Pipeline) -> Result<Vec<u8>, Error> {
    let head = &pipeline.model().metadata().head;
    Settings::of(&pipeline.options().thresholds, head)
        .encode(head.classes)
        .map_err(|error| Error::Setting {
            name: "max_det",
            reason: error.to_string(),
        })
}

fn refused(reason: impl ToString) -> Error {
    Error::Setting {
        name: "pictures",
        reason: reason.to_string(),
    }
}

/// The detections on each of so many pictures; nothing where the bytes are no such output.
pub fn unpack(output: &[u8], pictures: usize) -> Option<Vec<Vec<Detection>>> {
    let found = boxes::read(output, pictures)?.into_iter();
    Some(found.map(|found| found.detections.items).collect())
}
