//! Modules one after the other.

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::read::ReadError;

pub(super) fn sequence(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let mut value = single(module, inputs)?;
    for child in module.children()? {
        value = builder.module(&child, &[value])?;
    }
    Ok(value)
}
