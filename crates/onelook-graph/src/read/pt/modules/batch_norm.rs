//! Batch normalisation with the statistics of training.

use std::sync::Arc;

use onelook_types::Tensor;

use super::super::builder::Builder;
use super::super::module::Module;
use super::single;
use crate::ValueId;
use crate::op::BatchNorm;
use crate::read::ReadError;

pub(super) fn batch_norm(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let norm = read(builder, module)?;
    Ok(builder.graph.add(&module.path, norm, &[input]))
}

pub(super) fn read(builder: &mut Builder<'_>, module: &Module<'_>) -> Result<BatchNorm, ReadError> {
    let Some(mean) = builder.tensor(module, "running_mean")? else {
        return Err(module.wrong("running_mean"));
    };
    let channels = [mean.data().len()];
    let affine = module.bool("affine", true)?;
    let mut learned = |name, neutral| match affine {
        true => builder.shaped_tensor(module, name, &channels),
        false => Ok(Arc::new(Tensor::from_fn(channels, |_| neutral))),
    };
    Ok(BatchNorm {
        scale: learned("weight", 1.0)?,
        shift: learned("bias", 0.0)?,
        variance: builder.shaped_tensor(module, "running_var", &channels)?,
        mean: Arc::new(mean),
        epsilon: module.float("eps", 1e-5)? as f32,
    })
}

/// The same with channel `order[i]` at position i.
pub(super) fn reordered(norm: &BatchNorm, order: &[usize]) -> BatchNorm {
    let pick = |values: &Tensor| {
        Arc::new(Tensor::from_fn([order.len()], |position| {
            values.data()[order[position]]
        }))
    };
    BatchNorm {
        scale: pick(&norm.scale),
        shift: pick(&norm.shift),
        mean: pick(&norm.mean),
        variance: pick(&norm.variance),
        epsilon: norm.epsilon,
    }
}
