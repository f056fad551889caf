//! Larger maps by repeating pixels.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op;
use crate::read::ReadError;

/// Enough for any pyramid, and small enough that no file can ask for absurd maps.
const LARGEST_FACTOR: usize = 8;

pub(super) fn upsample(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let mode = module.text("mode").unwrap_or("nearest");
    let factor = module.float("scale_factor", 0.0)?;
    let whole = (1..=LARGEST_FACTOR).find(|&whole| whole as f64 == factor);
    match whole {
        Some(factor) if mode == "nearest" && module.attribute("size").is_none() => Ok(builder
            .graph
            .add(&module.path, op::Upsample { factor }, &[input])),
        _ => Err(module.unsupported(format!(
            "enlarges {factor} times by '{mode}'; whole factors by 'nearest' are supported"
        ))),
    }
}
