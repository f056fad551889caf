//! From images to predictions: `prepare`, `run`, `finish`, in this order, on one screen. Everything
//! that prepares an image or decodes a network's outputs comes through here.
//!
//! Every image is fitted into its own shape and runs only with images of the same shape, so its result
//! is the same in any batch, on any number of threads: on the CPU to the bit, on a GPU but for
//! rounding.

mod group;
mod options;
mod result;
mod tiled;

use std::sync::Arc;
use std::time::Instant;

use onelook_graph::{PlanKind, RunOutput};
use onelook_types::{
    FrameView, Instances, LetterboxPlacement, LetterboxRecipe, Prediction, Thresholds,
};
use onelook_vision::letterbox::place;
use onelook_vision::postprocess::postprocess;
use onelook_vision::suppressed::suppressed;

use crate::prepared::fit;
use crate::{Error, FrameSource, ImageInput, Model, PreparedInput};
pub use options::Options;
pub use result::{ImageResult, Speed};
pub use tiled::Tiling;

/// An image that is ready for a run.
#[derive(Debug, Clone)]
pub struct PreparedImage<'f> {
    /// What goes into the run.
    pub input: PreparedInput<'f>,
    /// Where the image lies in the network's input: what [`Pipeline::finish`] needs.
    pub placement: LetterboxPlacement,
}

/// A model with everything before and behind it; `&self` from any number of threads.
pub struct Pipeline {
    model: Arc<Model>,
    options: Options,
    thresholds: Arc<Thresholds>,
    recipe: LetterboxRecipe,
}

impl Pipeline {
    /// Joins a model with how it is to be used. Several pipelines may share one model.
    ///
    /// # Errors
    /// The options do not fit the model.
    pub fn new(model: impl Into<Arc<Model>>, options: Options) -> Result<Self, Error> {
        let model = model.into();
        Ok(Self {
            recipe: options.recipe(model.metadata())?,
            thresholds: Arc::new(options.thresholds.clone()),
            model,
            options,
        })
    }

    /// What the model says of each image, in the images' order.
    ///
    /// # Errors
    /// The engine fails.
    pub fn predict<F>(&self, frames: &[F]) -> Result<Vec<ImageResult>, Error>
    where
        for<'a> &'a F: Into<FrameView<'a>>,
    {
        let views: Vec<FrameView<'_>> = frames.iter().map(Into::into).collect();
        let placements: Vec<_> = views.iter().map(|view| self.place(view)).collect();
        self.predict_placed(&views, &placements)
    }

    /// Like [`predict`](Self::predict), with the caller's own placements.
    ///
    /// # Errors
    /// The engine fails.
    pub fn predict_placed(
        &self,
        frames: &[FrameView<'_>],
        placements: &[LetterboxPlacement],
    ) -> Result<Vec<ImageResult>, Error> {
        let groups = group::by_shape(placements, self.options.batch);
        let in_flight = self.model.batches_in_flight();
        let of_groups = group::for_each(&groups, in_flight, |group| {
            self.predict_group(group, frames, placements)
        })?;
        let mut results = vec![None; frames.len()];
        for (index, result) in groups.iter().flatten().zip(of_groups.into_iter().flatten()) {
            results[*index] = Some(result);
        }
        let every = "every image is in one group";
        Ok(results.into_iter().map(|it| it.expect(every)).collect())
    }

    /// Predictions of images that share a run.
    fn predict_group(
        &self,
        group: &[usize],
        frames: &[FrameView<'_>],
        placements: &[LetterboxPlacement],
    ) -> Result<Vec<ImageResult>, Error> {
        let started = Instant::now();
        let prepare = |&index: &usize| self.prepare_placed(frames[index], placements[index]);
        let images: Vec<PreparedImage<'_>> = group.iter().map(prepare).collect();
        let prepared = Instant::now();
        let inputs: Vec<&PreparedInput<'_>> = images.iter().map(|image| &image.input).collect();
        let output = self.model.run(&inputs)?;
        let ran = Instant::now();
        let mut predictions = Vec::with_capacity(images.len());
        for (row, image) in images.iter().enumerate() {
            let prediction = self.finish(&image.placement, &output, row)?;
            let suppressed = self.suppressed(&image.placement, &output, row, &prediction)?;
            predictions.push((prediction, suppressed));
        }
        let speed = Speed::of([started, prepared, ran, Instant::now()], images.len());
        let result = |(image, (prediction, suppressed)): (&PreparedImage<'_>, _)| ImageResult {
            prediction,
            suppressed,
            input: [image.placement.height, image.placement.width],
            plan: match output {
                RunOutput::Raw(_) => PlanKind::Tensor,
                RunOutput::Predictions(_) => PlanKind::Image,
            },
            speed,
        };
        Ok(images.iter().zip(predictions).map(result).collect())
    }

    /// Where an image lands in the network's input.
    pub fn place(&self, frame: &FrameView<'_>) -> LetterboxPlacement {
        place(&self.recipe, frame.width(), frame.height())
    }

    /// Makes an image ready for a run with others of the same [key](PreparedInput::key).
    pub fn prepare<'f>(&self, frame: impl Into<FrameSource<'f>>) -> PreparedImage<'f> {
        let frame = frame.into();
        let placement = self.place(&frame.view());
        self.prepare_placed(frame, placement)
    }

    /// Like [`prepare`](Self::prepare), with the caller's own placement.
    pub fn prepare_placed<'f>(
        &self,
        frame: impl Into<FrameSource<'f>>,
        placement: LetterboxPlacement,
    ) -> PreparedImage<'f> {
        let frame = frame.into();
        let limits = self.model.placed_limits();
        // What an engine drops by itself is not to be had.
        let limits = limits.filter(|_| !self.options.keep_suppressed);
        let input = match limits.filter(|it| it.admit(&frame.view(), &self.thresholds)) {
            Some(_) => PreparedInput::Image(self.image_input(frame, placement)),
            None => PreparedInput::Tensor(fit(&frame.view(), &placement, self.recipe.padding)),
        };
        PreparedImage { input, placement }
    }

    pub(crate) fn image_input<'f>(
        &self,
        frame: FrameSource<'f>,
        placement: LetterboxPlacement,
    ) -> ImageInput<'f> {
        ImageInput::new(frame, placement, &self.recipe, &self.thresholds)
    }

    /// The prediction for image `index` of a run.
    ///
    /// # Errors
    /// The run has no such image, or its outputs do not fit the model.
    pub fn finish(
        &self,
        placement: &LetterboxPlacement,
        output: &RunOutput,
        index: usize,
    ) -> Result<Prediction, Error> {
        match output {
            RunOutput::Predictions(predictions) => {
                let prediction = predictions.get(index).cloned();
                prediction.ok_or_else(|| Error::Setting {
                    name: "image",
                    reason: format!("{index} was asked for, the run has {}", predictions.len()),
                })
            }
            RunOutput::Raw(outputs) => {
                let head = &self.model.metadata().head;
                Ok(postprocess(
                    outputs,
                    index,
                    head,
                    &self.thresholds,
                    placement,
                )?)
            }
        }
    }

    /// What suppression dropped from image `index` of a run, if that is to be kept.
    fn suppressed(
        &self,
        placement: &LetterboxPlacement,
        output: &RunOutput,
        index: usize,
        prediction: &Prediction,
    ) -> Result<Instances, Error> {
        let (true, RunOutput::Raw(outputs)) = (self.options.keep_suppressed, output) else {
            return Ok(Instances::default());
        };
        let head = &self.model.metadata().head;
        let kept = prediction.instances();
        let dropped = suppressed(outputs, index, head, &self.thresholds, placement, kept)?;
        Ok(dropped)
    }

    /// From now on, whether boxes that suppression dropped come with the results.
    pub fn keep_suppressed(&mut self, keep: bool) {
        self.options.keep_suppressed = keep;
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How it is used.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How images are fitted into the network's input.
    pub fn recipe(&self) -> &LetterboxRecipe {
        &self.recipe
    }
}
