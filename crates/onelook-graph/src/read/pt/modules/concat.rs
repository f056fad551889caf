//! Joins maps from several places of the network.

use super::super::builder::Builder;
use super::super::module::Module;
use crate::ValueId;
use crate::op;
use crate::read::ReadError;

pub(super) fn concat(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let axis = module.count("d")?.unwrap_or(1);
    Ok(builder.graph.add(&module.path, op::Concat { axis }, inputs))
}
