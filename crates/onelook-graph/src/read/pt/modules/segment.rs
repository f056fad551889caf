//! The segmentation head: the branches of the detection head, per level one more for the coefficients
//! of masks, and the prototypes that those are sums of.

use onelook_types::{Head, SegmentHead};

use super::super::builder::Builder;
use super::super::module::Module;
use super::detect::{self, MOST_LEVELS};
use crate::ValueId;
use crate::op::{Binary, Upsample};
use crate::read::ReadError;

pub(super) fn segment(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<Head, ReadError> {
    let detect = detect::levels(builder, module, inputs, &["cv2", "cv3", "cv4"])?;
    let prototypes = module.child("proto")?;
    let prototypes = prototype_masks(builder, &prototypes, inputs, &detect.strides)?;
    builder.graph.outputs.push(prototypes);
    Ok(Head::Segment(SegmentHead {
        detect,
        prototypes: module.required("nm")?,
    }))
}

/// Prototypes are made of the finest level; since YOLO26 the coarser ones are added to it first.
fn prototype_masks(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    levels: &[ValueId],
    strides: &[usize],
) -> Result<ValueId, ReadError> {
    let mut value = match module.class {
        "Proto" => levels[0],
        "Proto26" => sum_of_levels(builder, module, levels, strides)?,
        _ => return Err(module.unsupported("makes no prototypes that onelook knows")),
    };
    for part in ["cv1", "upsample", "cv2", "cv3"] {
        value = builder.child(module, part, value)?;
    }
    Ok(value)
}

fn sum_of_levels(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    levels: &[ValueId],
    strides: &[usize],
) -> Result<ValueId, ReadError> {
    let refined = module.child("feat_refine")?.children()?;
    if refined.len() + 1 != levels.len() || levels.len() > MOST_LEVELS {
        return Err(module.wrong("feat_refine"));
    }
    let mut sum = levels[0];
    for ((refine, &level), &stride) in refined.iter().zip(&levels[1..]).zip(&strides[1..]) {
        let factor = stride / strides[0];
        if factor == 0 || stride % strides[0] != 0 {
            return Err(module.unsupported("adds levels whose strides are no multiples"));
        }
        let map = builder.module(refine, &[level])?;
        let name = format!("{}.upsample", refine.path);
        let map = builder.graph.add(&name, Upsample { factor }, &[map]);
        let name = format!("{}.add", refine.path);
        sum = builder.graph.add(&name, Binary::Add, &[sum, map]);
    }
    builder.child(module, "feat_fuse", sum)
}
