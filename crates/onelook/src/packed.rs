//! The two ends of a CUDA plan that takes pictures and gives boxes: frames and thresholds as the bytes
//! that its first and last launches read, and its output as detections.

use onelook_cuda::kernels::nms::{Row, read_output};
use onelook_cuda::pictures::{Picture, pack as pack_pictures};
use onelook_cuda::settings::Settings;
use onelook_types::{AxisTap, BoxXyxy, Detection, Frame, LetterboxPlacement};
use onelook_vision::letterbox::{axis_taps, place};

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
    let taps: Vec<[Vec<AxisTap>; 2]> = placements.iter().map(taps).collect();
    let mut sizes = placements.iter().map(|it| [it.height, it.width]);
    let size = sizes.next().ok_or_else(|| refused("there is none"))?;
    if sizes.any(|other| other != size) {
        return Err(refused(
            "they do not fit one input: square inputs (rect=false) do",
        ));
    }
    let pictures: Vec<Picture<'_>> = frames
        .iter()
        .zip(&placements)
        .zip(&taps)
        .map(|((frame, placement), [columns, rows])| Picture {
            pixels: frame.pixels(),
            bgr: false,
            placement: *placement,
            padding: recipe.padding,
            columns,
            rows,
        })
        .collect();
    let pictures = pack_pictures(&pictures).map_err(refused)?;
    Ok(Packed {
        size,
        inputs: [pictures, settings(pipeline)?],
    })
}

fn taps(placement: &LetterboxPlacement) -> [Vec<AxisTap>; 2] {
    let of = |source, scaled| axis_taps(source, scaled).collect();
    [
        of(placement.source_width, placement.scaled_width),
        of(placement.source_height, placement.scaled_height),
    ]
}

fn settings(pipeline: &Pipeline) -> Result<Vec<u8>, Error> {
    let head = &pipeline.model().metadata().head;
    let thresholds = &pipeline.options().thresholds;
    let settings = Settings {
        confidence: thresholds.confidence,
        iou: thresholds.iou,
        max_detections: thresholds.max_detections,
        agnostic: thresholds.agnostic,
        every_class: head.end_to_end || thresholds.multi_label,
        classes: thresholds.classes.clone(),
    };
    settings
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
    let part = output.len().checked_div(pictures)?;
    let part_of = |picture: usize| &output[picture * part..][..part];
    (0..pictures)
        .map(|picture| {
            let (rows, _) = read_output(part_of(picture))?;
            Some(rows.iter().map(detection).collect())
        })
        .collect()
}

fn detection(row: &Row) -> Detection {
    let [x1, y1, x2, y2] = row.corners;
    Detection {
        bbox: BoxXyxy { x1, y1, x2, y2 },
        class: row.class as usize,
        confidence: row.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_no_output() {
        assert_eq!(unpack(&[0xff; 400], 2), None);
        assert_eq!(unpack(&[0; 400], 2), Some(vec![Vec::new(); 2]));
        assert_eq!(unpack(&[], 1), None);
        assert_eq!(unpack(&[0; 400], 0), None);
    }
}
