//! How well a model finds what a data set says is there: pictures in, figures out.
//!
//! Pictures are fitted as the reference validates, so that its figures can be compared: sorted by
//! aspect ratio, the pictures of a batch share one canvas with half a stride to spare.

mod schedule;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use onelook_media::{Limits, decode};
use onelook_types::{Detection, Frame};
use onelook_vision::letterbox::place_on_canvas;
use onelook_vision::metric::{CocoStats, GroundTruth, Prediction, evaluate};

use crate::dataset::{Dataset, DatasetImage};
use crate::{Error, Pipeline, Speed};
use schedule::{Step, schedule};

/// How pictures share canvases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidateOptions {
    /// One canvas per batch, as small as its pictures allow, instead of squares.
    pub rect: bool,
    /// Pictures that share a canvas; with 1 the figures depend on nothing but each picture.
    pub batch: usize,
    /// How large an image may be.
    pub limits: Limits,
}

impl Default for ValidateOptions {
    fn default() -> Self {
        Self {
            rect: true,
            batch: 1,
            limits: Limits::default(),
        }
    }
}

/// What a validation came to.
#[derive(Debug)]
pub struct Validation {
    /// The figures.
    pub stats: CocoStats,
    /// Everything that was claimed, with categories of the data set.
    pub predictions: Vec<Prediction>,
    /// Mean time per picture.
    pub speed: Speed,
    /// Pictures that counted.
    pub images: usize,
    /// Objects that were to be found, crowds left out.
    pub instances: usize,
    /// Pictures that could not be used, and why.
    pub failed: Vec<(PathBuf, Error)>,
}

/// Runs the pipeline over the data set; `progress` hears of every picture.
///
/// The pipeline's thresholds count; for figures like those of others its least confidence should be
/// 0.001 and every label of a box should count (`multi_label`).
pub fn validate(
    pipeline: &Pipeline,
    dataset: &Dataset,
    options: &ValidateOptions,
    progress: &mut dyn FnMut(),
) -> Result<Validation, Error> {
    let metadata = pipeline.model().metadata();
    let categories = dataset.categories_of(&metadata.names);
    if categories.iter().all(Option::is_none) {
        return Err(Error::dataset(
            "classes",
            "the data set and the model have no class name in common",
        ));
    }
    let size = pipeline.recipe().height.max(pipeline.recipe().width);
    let rect = options.rect && !metadata.fixed_size;
    let steps = schedule(dataset, size, metadata.stride.max(1), options, rect);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(4);
        scope.spawn(move || {
            for step in &steps {
                if sender
                    .send((
                        step.clone(),
                        load(&dataset.images[step.image], &options.limits),
                    ))
                    .is_err()
                {
                    break;
                }
            }
        });
        for (step, frame) in receiver {
            let image = &dataset.images[step.image];
            match frame {
                Ok(frame) => tally.add(pipeline, image, &step, size, frame, &categories)?,
                Err(error) => tally.failed.push((image.path.clone(), error)),
            }
            progress();
        }
        Ok::<(), Error>(())
    })?;
    Ok(tally.finish())
}

#[derive(Default)]
struct Tally {
    images: Vec<u64>,
    truths: Vec<GroundTruth>,
    predictions: Vec<Prediction>,
    speed: Speed,
    failed: Vec<(PathBuf, Error)>,
}

impl Tally {
    fn add(
        &mut self,
        pipeline: &Pipeline,
        image: &DatasetImage,
        step: &Step,
        size: usize,
        frame: Frame,
        categories: &[Option<usize>],
    ) -> Result<(), Error> {
        let (width, height) = (frame.width(), frame.height());
        let [canvas_height, canvas_width] = step.canvas;
        let placement = place_on_canvas(size, canvas_width, canvas_height, width, height);
        let predictions = pipeline.predict_placed(&[frame], &[placement])?;
        for prediction in predictions {
            let claims = prediction.detections.iter().filter_map(|found| {
                let category = categories.get(found.class).copied().flatten()?;
                Some(claim(image.id, category, found))
            });
            self.predictions.extend(claims);
            self.speed.preprocess += prediction.speed.preprocess;
            self.speed.inference += prediction.speed.inference;
            self.speed.postprocess += prediction.speed.postprocess;
        }
        self.images.push(image.id);
        self.truths.extend(image.truths(width, height));
        Ok(())
    }

    fn finish(self) -> Validation {
        let count = self.images.len().max(1) as u32;
        Validation {
            stats: evaluate(&self.truths, &self.predictions, &self.images),
            instances: self.truths.iter().filter(|truth| !truth.crowd).count(),
            predictions: self.predictions,
            speed: Speed {
                preprocess: self.speed.preprocess / count,
                inference: self.speed.inference / count,
                postprocess: self.speed.postprocess / count,
            },
            images: self.images.len(),
            failed: self.failed,
        }
    }
}

fn claim(image: u64, category: usize, found: &Detection) -> Prediction {
    let bbox = &found.bbox;
    Prediction {
        image,
        category,
        bbox: [bbox.x1, bbox.y1, bbox.width(), bbox.height()].map(f64::from),
        score: f64::from(found.confidence),
    }
}

fn load(image: &DatasetImage, limits: &Limits) -> Result<Frame, Error> {
    let bytes = std::fs::read(&image.path).map_err(|error| Error::file(&image.path, error))?;
    decode(&bytes, limits).map_err(|source| Error::Picture {
        name: image.path.display().to_string(),
        source,
    })
}
