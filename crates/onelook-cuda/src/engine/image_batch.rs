//! A batch of images for a plan that takes images: what goes in, and what its output means.

use onelook_graph::{PlacedImage, RunError};
use onelook_types::{DetectHead, Prediction, Shape};

use crate::boxes;
use crate::driver::{CudaError, ExecutionContext};
use crate::images::{pack_into, packed_bytes};
use crate::kernels::KernelSpec;
use crate::plan::Plan;
use crate::settings::Settings;

/// Images whose network inputs have one size, checked and with their thresholds encoded.
pub(super) struct ImageBatch<'a> {
    /// The network's input.
    pub shape: Shape,
    images: &'a [PlacedImage<'a>],
    settings: Vec<u8>,
    classes: usize,
}

impl<'a> ImageBatch<'a> {
    /// # Errors
    /// Inputs of different sizes, an image that is not what it says, or more detections than the
    /// kernels give.
    pub fn new(images: &'a [PlacedImage<'a>], head: &DetectHead) -> Result<Self, RunError> {
        let size = |image: &PlacedImage<'_>| [image.placement.height, image.placement.width];
        let Some([height, width]) = images.first().map(size) else {
            return Err(RunError::Input("the batch is empty".to_owned()));
        };
        if images.iter().any(|image| size(image) != [height, width]) {
            let reason = "the images of a batch need network inputs of one size";
            return Err(RunError::Input(reason.to_owned()));
        }
        let refused = |error: &dyn std::error::Error| RunError::Input(error.to_string());
        packed_bytes(images, images.len()).map_err(|error| refused(&error))?;
        let mut settings = Vec::new();
        for image in images {
            let of_image = Settings::of(image.thresholds, head).encode(head.classes);
            settings.extend(of_image.map_err(|error| refused(&error))?);
        }
        Ok(Self {
            shape: [images.len(), 3, height, width].into(),
            images,
            settings,
            classes: head.classes,
        })
    }

    /// Bytes of the plan's inputs for this batch.
    pub fn input_bytes(&self, plan: &Plan) -> Result<[usize; 2], RunError> {
        let settings = plan.inputs.get(1).copied().unwrap_or_default();
        let packed = packed_bytes(self.images, self.planned_images(plan));
        let packed = packed.map_err(|error| RunError::Input(error.to_string()))?;
        Ok([packed, settings])
    }

    /// Images that the plan is for.
    fn planned_images(&self, plan: &Plan) -> usize {
        let settings = plan.inputs.get(1).copied().unwrap_or_default();
        settings / Settings::bytes(self.classes)
    }

    /// A prediction per image. The plan may have more images than the batch: those have nothing in
    /// sight and nothing above their thresholds, and their results are not copied.
    pub fn run(&self, context: &mut ExecutionContext) -> Result<Vec<Prediction>, RunError> {
        let failed = |error: CudaError| RunError::Device(error.to_string());
        let plan = context.plan();
        let batch = self.planned_images(plan);
        let inputs = self.input_bytes(plan)?;
        let output = plan.outputs.first().copied().unwrap_or_default();
        let output = output / batch.max(1) * self.images.len();
        context
            .run_filled(&inputs, &[output], |index, buffer| match index {
                0 => pack_into(buffer, self.images, batch),
                _ => {
                    let (own, missing) = buffer.split_at_mut(self.settings.len());
                    own.copy_from_slice(&self.settings);
                    let nothing = Settings::encode_nothing(self.classes);
                    for settings in missing.chunks_exact_mut(nothing.len()) {
                        settings.copy_from_slice(&nothing);
                    }
                }
            })
            .map_err(failed)?;
        let output = context.output(0).get(..output).unwrap_or_default();
        let lists = boxes::read(output, self.images.len()).ok_or_else(|| {
            failed(CudaError::Plan {
                launch: "nms".to_owned(),
                reason: "it left no list of boxes".to_owned(),
            })
        })?;
        let capacity = candidate_capacity(context.plan()) as usize;
        let most = lists.iter().map(|list| list.candidates as usize).max();
        match most {
            Some(found) if found > capacity => Err(RunError::TooManyCandidates { found, capacity }),
            _ => {
                let predictions = lists.into_iter();
                Ok(predictions
                    .map(|list| Prediction::Instances(list.instances))
                    .collect())
            }
        }
    }
}

/// Candidates per image that the plan's buffers hold.
fn candidate_capacity(plan: &Plan) -> u32 {
    let launches = plan.launches.iter();
    let specs = launches.filter_map(|launch| launch.spec.as_ref());
    let capacity = specs.filter_map(|spec| match spec {
        KernelSpec::Nms(shape) => Some(shape.capacity),
        _ => None,
    });
    capacity.min().unwrap_or(0)
}
