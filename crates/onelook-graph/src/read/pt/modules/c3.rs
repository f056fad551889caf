//! C3 and C3k: two branches, a chain of blocks on one of them, joined at the end.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::Concat;
use crate::read::ReadError;

pub(super) fn c3(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let chained = builder.child(module, "cv1", input)?;
    let chained = builder.child(module, "m", chained)?;
    let passed = builder.child(module, "cv2", input)?;
    let name = format!("{}.concat", module.path);
    let joined = builder
        .graph
        .add(&name, Concat { axis: 1 }, &[chained, passed]);
    builder.child(module, "cv3", joined)
}
