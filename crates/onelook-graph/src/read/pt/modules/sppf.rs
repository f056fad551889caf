//! SPPF: the same pooling several times over, all results joined (spatial pyramid, fast).

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::{Binary, Concat};
use crate::read::ReadError;

/// Checkpoints before YOLO26 pool three times and record neither that nor a shortcut.
pub(super) fn sppf(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let pool = module.child("m")?;
    let mut parts = vec![builder.child(module, "cv1", input)?];
    for repetition in 0..module.count("n")?.unwrap_or(3) {
        let repeated = pool
            .clone()
            .renamed(format!("{}.m.{repetition}", module.path));
        let last = parts[parts.len() - 1];
        parts.push(builder.module(&repeated, &[last])?);
    }
    let name = format!("{}.concat", module.path);
    let joined = builder.graph.add(&name, Concat { axis: 1 }, &parts);
    let output = builder.child(module, "cv2", joined)?;
    if !module.bool("add", false)? {
        return Ok(output);
    }
    Ok(builder.graph.add(
        &format!("{}.add", module.path),
        Binary::Add,
        &[input, output],
    ))
}
