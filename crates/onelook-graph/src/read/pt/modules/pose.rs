//! The head for key points: the branches of the detection head, and per level one more for key points.
//! Since YOLO26 that one ends in a layer of its own; what its head has besides, a flow and a branch for
//! deviations, serves training only and is not read.

use std::sync::Arc;

use onelook_types::{Head, PoseHead, Tensor};

use super::super::builder::Builder;
use super::super::module::Module;
use super::detect;
use crate::ValueId;
use crate::op::BatchNorm;
use crate::read::ReadError;

/// Far more than any model has.
const MOST_KEYPOINTS: usize = 1 << 12;

pub(super) fn pose(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<Head, ReadError> {
    let branches = ["cv2", "cv3", "cv4"];
    let detect = detect::levels(builder, module, inputs, &branches)?;
    let [keypoints, values] = module.pair("kpt_shape", 0)?;
    if !(1..=MOST_KEYPOINTS).contains(&keypoints) || !(2..=3).contains(&values) {
        return Err(module.wrong("kpt_shape"));
    }
    let last_layers = match (module.class, detect.end_to_end) {
        ("Pose", _) => None,
        (_, false) => Some(module.child("cv4_kpts")?.children()?),
        (_, true) => Some(module.child("one2one_cv4_kpts")?.children()?),
    };
    for level in 0..inputs.len() {
        let output = branches.len() * level + 2;
        let mut map = builder.graph.outputs[output];
        // Post-processing takes offsets from the cell's corner. Heads until YOLO26 tell half of them.
        let mut from_corner = offsets(keypoints, values, 2.0, 0.0);
        if let Some(layers) = &last_layers {
            let layer = layers.get(level).ok_or_else(|| module.wrong("cv4_kpts"))?;
            map = builder.module(layer, &[map])?;
            // They are told from the cell's centre.
            from_corner = offsets(keypoints, values, 1.0, 0.5);
        }
        let name = format!("{}.keypoints.{level}", module.path);
        builder.graph.outputs[output] = builder.graph.add(&name, from_corner, &[map]);
    }
    Ok(Head::Pose(PoseHead {
        detect,
        keypoints,
        visibility: values == 3,
    }))
}

/// `scale * value + shift` of every x and y; a visibility stays as it is. As a normalisation it is
/// fused with the convolution before it.
fn offsets(keypoints: usize, values: usize, scale: f32, shift: f32) -> BatchNorm {
    let per_channel = |of_place: f32, of_visibility: f32| {
        let value = |channel: usize| match channel % values {
            0 | 1 => of_place,
            _ => of_visibility,
        };
        Arc::new(Tensor::from_fn([keypoints * values], value))
    };
    BatchNorm {
        scale: per_channel(scale, 1.0),
        shift: per_channel(shift, 0.0),
        mean: per_channel(0.0, 0.0),
        variance: per_channel(1.0, 1.0),
        epsilon: 0.0,
    }
}
