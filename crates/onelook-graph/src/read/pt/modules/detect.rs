//! The detection head: per level one branch for boxes and one for classes, and for other tasks one
//! more. Their maps are the graph's outputs; decoding them is left to post-processing.

use onelook_types::{DetectHead, Head, OutputEncoding};

use super::super::builder::Builder;
use super::super::module::Module;
use crate::ValueId;
use crate::read::ReadError;

/// Levels of a pyramid at most.
pub(super) const MOST_LEVELS: usize = 8;

pub(super) fn detect(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<Head, ReadError> {
    levels(builder, module, inputs, &["cv2", "cv3"]).map(Head::Detect)
}

/// Adds the branches of these names to the outputs, level by level: boxes, classes, and what else the
/// task has.
pub(super) fn levels(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
    names: &[&str],
) -> Result<DetectHead, ReadError> {
    let end_to_end = choose_head(builder, module)?;
    let mut branches = Vec::with_capacity(names.len());
    for name in names {
        let levels = match end_to_end {
            true => module.child(&format!("one2one_{name}"))?.children()?,
            false => module.child(name)?.children()?,
        };
        branches.push(levels);
    }
    let strides = strides(builder, module)?;
    let mut counts = branches.iter().map(Vec::len).chain([strides.len()]);
    if inputs.is_empty() || counts.any(|count| count != inputs.len()) {
        return Err(module.wrong("f"));
    }
    for (level, &input) in inputs.iter().enumerate() {
        for branch in &branches {
            let map = builder.module(&branch[level], &[input])?;
            builder.graph.outputs.push(map);
        }
    }
    Ok(DetectHead {
        classes: module.required("nc")?,
        reg_max: module.count("reg_max")?.unwrap_or(16),
        strides,
        end_to_end,
        encoding: OutputEncoding::Maps,
    })
}

/// Whether to use the branches that need no NMS: as the caller says; else the one-to-many branches
/// where the file has them, as the reference does since its version 8.4.
fn choose_head(builder: &Builder<'_>, module: &Module<'_>) -> Result<bool, ReadError> {
    let has = |name| module.optional_child(name).map(|child| child.is_some());
    let one_to_one = has("one2one_cv2")?;
    match builder.end_to_end {
        Some(true) if !one_to_one => {
            Err(module.unsupported("has no end-to-end branches; use its one-to-many head with NMS"))
        }
        Some(false) if !has("cv2")? => Err(module
            .unsupported("was saved without its one-to-many branches; use its end-to-end head")),
        Some(chosen) => Ok(chosen),
        None => Ok(one_to_one && !has("cv2")?),
    }
}

fn strides(builder: &mut Builder<'_>, module: &Module<'_>) -> Result<Vec<usize>, ReadError> {
    let recorded = match module.tensor("stride") {
        Some(_) => builder.tensor(module, "stride")?,
        None => builder.attribute_tensor(module, "stride")?,
    };
    let Some(recorded) = recorded.filter(|strides| strides.data().len() <= MOST_LEVELS) else {
        return Err(module.wrong("stride"));
    };
    let is_stride = |stride: &f32| stride.fract() == 0.0 && (1.0..=1024.0).contains(stride);
    if !recorded.data().iter().all(is_stride) {
        return Err(module.wrong("stride"));
    }
    Ok(recorded
        .data()
        .iter()
        .map(|&stride| stride as usize)
        .collect())
}
