//! The quay: pictures in, boxes out. `preprocess`, `run`, `postprocess`, in this order, on one screen;
//! all at once where the engine can.
//!
//! Every picture is fitted into its own shape and runs only with pictures of the same shape, so its
//! boxes are the same in any batch, on any number of threads: on the CPU to the bit, on a GPU but for
//! rounding.

mod group;
mod options;
mod placed;
mod prediction;

use std::sync::Arc;
use std::time::Instant;

use onelook_types::{Detections, Frame, LetterboxPlacement, LetterboxRecipe, Tensor};
use onelook_vision::letterbox::{fill_input, place};
use onelook_vision::postprocess::postprocess;

use crate::{Error, Model};
pub use options::Options;
pub(crate) use placed::with_placed;
pub use prediction::{Prediction, Speed};

/// A picture that the network can take.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// `[1, 3, height, width]`, RGB from 0 to 1.
    pub input: Tensor,
    /// Where the picture lies in it.
    pub placement: LetterboxPlacement,
}

/// A model with everything before and behind it; `&self` from any number of threads.
pub struct Pipeline {
    model: Arc<Model>,
    options: Options,
    recipe: LetterboxRecipe,
}

impl Pipeline {
    /// Joins a model with how it is to be used. Several pipelines may share one model.
    pub fn new(model: impl Into<Arc<Model>>, options: Options) -> Result<Self, Error> {
        let model = model.into();
        let recipe = options.recipe(model.metadata())?;
        Ok(Self {
            model,
            options,
            recipe,
        })
    }

    /// The detections on each picture, in the pictures' order.
    pub fn predict(&self, frames: &[Frame]) -> Result<Vec<Prediction>, Error> {
        let placements: Vec<LetterboxPlacement> = frames
            .iter()
            .map(|frame| place(&self.recipe, frame.width(), frame.height()))
            .collect();
        self.predict_placed(frames, &placements)
    }

    /// Like [`predict`](Self::predict), with the caller's own placements.
    pub fn predict_placed(
        &self,
        frames: &[Frame],
        placements: &[LetterboxPlacement],
    ) -> Result<Vec<Prediction>, Error> {
        let mut predictions = vec![Prediction::default(); frames.len()];
        for group in group::by_shape(placements, self.options.batch) {
            let start = Instant::now();
            if let Some(found) = self.detect(frames, placements, &group)? {
                let speed = Speed::at_once(start.elapsed(), group.len());
                for (&index, detections) in group.iter().zip(found) {
                    let LetterboxPlacement { height, width, .. } = placements[index];
                    predictions[index] = Prediction {
                        detections,
                        input: [height, width],
                        speed,
                    };
                }
                continue;
            }
            let input = self.fill(frames, placements, &group);
            let preprocessed = Instant::now();
            let outputs = self.model.run(&input)?;
            let ran = Instant::now();
            for (row, &index) in group.iter().enumerate() {
                predictions[index].detections =
                    self.postprocess(&outputs, row, &placements[index])?;
                predictions[index].input = [placements[index].height, placements[index].width];
            }
            let speed = Speed::of([start, preprocessed, ran, Instant::now()], group.len());
            group
                .iter()
                .for_each(|&index| predictions[index].speed = speed);
        }
        Ok(predictions)
    }

    /// All stations at once, where the engine has them in kernels of its own.
    fn detect(
        &self,
        frames: &[Frame],
        placements: &[LetterboxPlacement],
        group: &[usize],
    ) -> Result<Option<Vec<Detections>>, Error> {
        if !self.model.detects() {
            return Ok(None);
        }
        let frames: Vec<&Frame> = group.iter().map(|&index| &frames[index]).collect();
        let placements: Vec<_> = group.iter().map(|&index| placements[index]).collect();
        with_placed(&frames, &placements, self.recipe.padding, |pictures| {
            self.model.detect(pictures, &self.options.thresholds)
        })
    }

    /// The first station alone, for callers that make their own batches: the picture's own shape,
    /// which only pictures of the same shape can share a run with.
    pub fn preprocess(&self, frame: &Frame) -> Prepared {
        let placement = place(&self.recipe, frame.width(), frame.height());
        let input = self.fill(std::slice::from_ref(frame), &[placement], &[0]);
        Prepared { input, placement }
    }

    fn fill(&self, frames: &[Frame], placements: &[LetterboxPlacement], group: &[usize]) -> Tensor {
        let (height, width) = (placements[group[0]].height, placements[group[0]].width);
        let mut input = Tensor::zeros([group.len(), 3, height, width]);
        let planes = input.data_mut().chunks_exact_mut(3 * height * width);
        for (planes, &index) in planes.zip(group) {
            fill_input(
                &frames[index],
                &placements[index],
                self.recipe.padding,
                planes,
            );
        }
        input
    }

    /// The last station alone: the detections on picture `row` of a run's outputs.
    pub fn postprocess(
        &self,
        outputs: &[Tensor],
        row: usize,
        placement: &LetterboxPlacement,
    ) -> Result<Detections, Error> {
        let head = &self.model.metadata().head;
        Ok(postprocess(
            outputs,
            row,
            head,
            &self.options.thresholds,
            placement,
        )?)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How it is used.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How pictures are fitted into the network's input.
    pub fn recipe(&self) -> &LetterboxRecipe {
        &self.recipe
    }
}
