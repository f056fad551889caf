//! Functions of one value, and modules that do nothing at inference.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::Activation;
use crate::read::ReadError;

pub(super) fn activation(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let activation = match module.class {
        "SiLU" => Activation::Silu,
        "ReLU" => Activation::Relu,
        "Sigmoid" => Activation::Sigmoid,
        _ => return Err(module.unsupported("is no activation that onelook knows")),
    };
    let input = single(module, inputs)?;
    Ok(builder.graph.add(&module.path, activation, &[input]))
}

pub(super) fn identity(
    _builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    single(module, inputs)
}
