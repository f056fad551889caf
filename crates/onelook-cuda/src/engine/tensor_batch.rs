//! A batch of tensors for a plan that takes tensors: what goes in, and what its outputs mean.

use onelook_graph::{Prepared, RunError, tensor_items};
use onelook_types::{Shape, Tensor};

use super::plan_cache::ReadyPlan;
use crate::driver::ExecutionContext;

/// Tensors of equal shapes but for the number of images.
pub(super) struct TensorBatch<'a> {
    /// Of all items along each other.
    pub shape: Shape,
    items: Vec<&'a [Tensor]>,
}

impl<'a> TensorBatch<'a> {
    /// # Errors
    /// The items do not fit each other.
    pub fn new(batch: &[Prepared<'a>]) -> Result<Self, RunError> {
        let items = tensor_items(batch, 1)?;
        let mut extents = items[0][0].shape().to_vec();
        extents[0] = items.iter().map(|item| item[0].shape()[0]).sum();
        Ok(Self {
            shape: Shape::from(extents),
            items,
        })
    }

    /// The graph's outputs. The plan may have more images than the batch: those are not copied.
    pub fn run(
        &self,
        context: &mut ExecutionContext,
        plan: &ReadyPlan,
    ) -> Result<Vec<Tensor>, RunError> {
        let values = || self.items.iter().flat_map(|item| item[0].data());
        let write = |_, buffer: &mut [u8]| {
            for (bytes, value) in buffer.as_chunks_mut().0.iter_mut().zip(values()) {
                *bytes = value.to_le_bytes();
            }
        };
        let bytes = self.items.iter().map(|item| size_of_val(item[0].data()));
        let shapes: Vec<Shape> = plan
            .outputs
            .iter()
            .map(|it| self.first_images(it))
            .collect();
        let wanted = shapes
            .iter()
            .map(|shape| shape.elements() * size_of::<f32>());
        let wanted: Vec<usize> = wanted.collect();
        let ran = context.run_filled(&[bytes.sum()], &wanted, write);
        ran.map_err(|error| RunError::Device(error.to_string()))?;
        let output = |(index, shape): (usize, Shape)| {
            let bytes = context.output(index).as_chunks().0;
            let mut output = Tensor::zeros(shape);
            for (value, bytes) in output.data_mut().iter_mut().zip(bytes) {
                *value = f32::from_le_bytes(*bytes);
            }
            output
        };
        Ok(shapes.into_iter().enumerate().map(output).collect())
    }

    /// The part of an output of the plan that is the batch's.
    fn first_images(&self, planned: &Shape) -> Shape {
        let mut extents = planned.to_vec();
        extents[0] = self.shape[0];
        Shape::from(extents)
    }
}
