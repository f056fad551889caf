//! Maxima over windows.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::MaxPool;
use crate::read::ReadError;

pub(super) fn max_pool(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let kernel = module.pair("kernel_size", 0)?;
    let stride = match module.attribute("stride") {
        Some(_) => module.pair("stride", 1)?,
        None => kernel,
    };
    let [down, right] = module.pair("padding", 0)?;
    if kernel.contains(&0) || stride.contains(&0) {
        return Err(module.wrong("kernel_size"));
    }
    if module.pair("dilation", 1)? != [1, 1] || module.bool("ceil_mode", false)? {
        return Err(module.unsupported("is dilated or rounds up, which is not supported"));
    }
    let pool = MaxPool {
        kernel,
        stride,
        padding: [down, right, down, right],
    };
    Ok(builder.graph.add(&module.path, pool, &[input]))
}
