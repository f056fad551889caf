//! Inputs and outputs of a CUDA plan from images to predictions, as bytes: for those who run such a
//! plan outside of an engine, in the interpreter or on memory that was filled with NaN.

use onelook_cuda::boxes;
use onelook_cuda::images::pack as pack_images;
use onelook_cuda::settings::Settings;
use onelook_graph::PlacedImage;
use onelook_types::{DetectHead, Frame, FrameView, Head, Instances, OutputEncoding};

use crate::{Error, Pipeline};

/// What such a plan reads for some images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// The images, then the settings of each.
    pub inputs: [Vec<u8>; 2],
}

/// The head that such a plan decodes, where the model has it.
pub fn image_plan_head(head: &Head) -> Option<&DetectHead> {
    match head {
        Head::Detect(detect) if detect.encoding == OutputEncoding::Maps => Some(detect),
        _ => None,
    }
}

/// Packs images as the pipeline prepares them.
///
/// # Errors
/// There is no image, the pipeline fits them into inputs of different sizes, they are too large
/// together, more detections are asked for than the kernels give, or the model has another head.
pub fn pack(pipeline: &Pipeline, frames: &[&Frame]) -> Result<Packed, Error> {
    let head = &pipeline.model().metadata().head;
    let head = image_plan_head(head).ok_or_else(|| refused("the model has another head"))?;
    let inputs: Vec<_> = frames
        .iter()
        .map(|&frame| {
            let placement = pipeline.place(&FrameView::from(frame));
            pipeline.image_input(frame.into(), placement)
        })
        .collect();
    let images: Vec<PlacedImage<'_>> = inputs.iter().map(|input| input.as_placed()).collect();
    let mut sizes = images
        .iter()
        .map(|it| [it.placement.height, it.placement.width]);
    let size = sizes.next().ok_or_else(|| refused("there is none"))?;
    if sizes.any(|other| other != size) {
        return Err(refused(
            "they do not fit one input: square inputs (rect=false) do",
        ));
    }
    let settings = Settings::of(&pipeline.options().thresholds, head);
    let settings = settings
        .encode(head.classes)
        .map_err(|error| Error::Setting {
            name: "max_det",
            reason: error.to_string(),
        })?;
    Ok(Packed {
        size,
        inputs: [
            pack_images(&images).map_err(refused)?,
            settings.repeat(images.len()),
        ],
    })
}

fn refused(reason: impl ToString) -> Error {
    Error::Setting {
        name: "images",
        reason: reason.to_string(),
    }
}

/// The objects on each of so many images; `None` where the bytes are no such output.
pub fn unpack(output: &[u8], images: usize) -> Option<Vec<Instances>> {
    let lists = boxes::read(output, images)?.into_iter();
    Some(lists.map(|list| list.instances).collect())
}
