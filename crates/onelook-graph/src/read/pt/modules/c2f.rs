//! C2f (YOLOv8) and its heir C3k2 (YOLO11, YOLO26): half of the channels pass through a chain of
//! blocks, and everything on the way is joined. Their block, the bottleneck.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::{Binary, Concat, Split};
use crate::read::ReadError;

pub(super) fn c2f(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let whole = builder.child(module, "cv1", input)?;
    let half = module.required("c")?;
    let mut parts = builder.graph.add_with_outputs(
        &format!("{}.split", module.path),
        Split {
            axis: 1,
            sizes: vec![half; 2],
        },
        &[whole],
        2,
    );
    for block in module.child("m")?.children()? {
        let last = parts[parts.len() - 1];
        parts.push(builder.module(&block, &[last])?);
    }
    let joined = builder.graph.add(
        &format!("{}.concat", module.path),
        Concat { axis: 1 },
        &parts,
    );
    builder.child(module, "cv2", joined)
}

pub(super) fn bottleneck(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let inner = builder.child(module, "cv1", input)?;
    let output = builder.child(module, "cv2", inner)?;
    if !module.bool("add", false)? {
        return Ok(output);
    }
    Ok(builder.graph.add(
        &format!("{}.add", module.path),
        Binary::Add,
        &[input, output],
    ))
}
