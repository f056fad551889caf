//! How well a model finds what a data set says is there: images in, figures out.
//!
//! Images are fitted as the reference validates, so that its figures can be compared: sorted by
//! aspect ratio, the images of a batch share one canvas with half a stride to spare. Which images
//! share a run is another matter: as many as the pipeline's batch, of one canvas.

mod schedule;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use onelook_media::{Limits, decode};
use onelook_types::{Frame, FrameView, Instance};
use onelook_vision::letterbox::place_on_canvas;
use onelook_vision::metric::{CocoResult, CocoStats, GroundTruth, evaluate};

use crate::dataset::{Dataset, DatasetImage};
use crate::{Error, Pipeline, Speed, Tiling};
use schedule::schedule;

/// How images share canvases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidateOptions {
    /// One canvas per batch, as small as its images allow, instead of squares.
    pub rect: bool,
    /// Images that share a canvas; with 1 the figures depend on nothing but each image.
    pub batch: usize,
    /// How large an image may be.
    pub limits: Limits,
    /// How images are cut into tiles, each fitted as a prediction fits it; not at all when absent.
    pub tiling: Option<Tiling>,
}

impl Default for ValidateOptions {
    fn default() -> Self {
        Self {
            rect: true,
            batch: 1,
            limits: Limits::default(),
            tiling: None,
        }
    }
}

/// What a validation came to.
#[derive(Debug)]
pub struct Validation {
    /// The figures.
    pub stats: CocoStats,
    /// Every object that the model reported, with categories of the data set.
    pub predictions: Vec<CocoResult>,
    /// Mean time per image.
    pub speed: Speed,
    /// Images that counted.
    pub images: usize,
    /// Objects that were to be found, crowds left out.
    pub instances: usize,
    /// Images that could not be used, and why.
    pub failed: Vec<(PathBuf, Error)>,
}

/// Runs the pipeline over the data set; `progress` is called for every image, and may end the run: then
/// the figures are those of the images so far.
///
/// The pipeline's thresholds count; for figures like those of others its least confidence should be
/// 0.001 and every label of a box should count (`multi_label`).
pub fn validate(
    pipeline: &Pipeline,
    dataset: &Dataset,
    options: &ValidateOptions,
    progress: &mut dyn FnMut() -> ControlFlow<()>,
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
    let mut tally = Tally {
        tiling: options.tiling,
        ..Tally::default()
    };
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
        let mut waiting: Vec<Waiting<'_>> = Vec::new();
        for (step, frame) in receiver {
            let image = &dataset.images[step.image];
            match frame {
                Ok(frame) => {
                    let canvas = step.canvas;
                    let is_full = waiting.len() >= pipeline.options().batch.max(1);
                    if is_full || waiting.last().is_some_and(|last| last.canvas != canvas) {
                        tally.add(pipeline, &mut waiting, size, &categories)?;
                    }
                    waiting.push(Waiting {
                        image,
                        canvas,
                        frame,
                    });
                }
                Err(error) => tally.failed.push((image.path.clone(), error)),
            }
            if progress().is_break() {
                break;
            }
        }
        tally.add(pipeline, &mut waiting, size, &categories)
    })?;
    Ok(tally.finish())
}

/// A decoded image whose run is to come.
struct Waiting<'a> {
    image: &'a DatasetImage,
    canvas: [usize; 2],
    frame: Frame,
}

#[derive(Default)]
struct Tally {
    tiling: Option<Tiling>,
    images: Vec<u64>,
    truths: Vec<GroundTruth>,
    predictions: Vec<CocoResult>,
    speed: Speed,
    failed: Vec<(PathBuf, Error)>,
}

impl Tally {
    /// Runs the images, which share a canvas.
    fn add(
        &mut self,
        pipeline: &Pipeline,
        waiting: &mut Vec<Waiting<'_>>,
        size: usize,
        categories: &[Option<usize>],
    ) -> Result<(), Error> {
        let place = |it: &Waiting<'_>| {
            let [height, width] = it.canvas;
            place_on_canvas(size, width, height, it.frame.width(), it.frame.height())
        };
        let placements: Vec<_> = waiting.iter().map(place).collect();
        let views: Vec<FrameView<'_>> = waiting.iter().map(|it| (&it.frame).into()).collect();
        let results = match &self.tiling {
            None => pipeline.predict_placed(&views, &placements)?,
            Some(tiling) => {
                let tiled = views
                    .iter()
                    .map(|view| pipeline.predict_tiled(view, tiling));
                tiled.collect::<Result<Vec<_>, Error>>()?
            }
        };
        for (it, result) in waiting.iter().zip(results) {
            let objects = result.instances().iter().filter_map(|instance| {
                let category = categories.get(instance.class).copied().flatten()?;
                Some(coco_result(it.image.id, category, &instance))
            });
            self.predictions.extend(objects);
            self.speed += result.speed;
            self.images.push(it.image.id);
            let truths = it.image.truths(it.frame.width(), it.frame.height());
            self.truths.extend(truths);
        }
        waiting.clear();
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

fn coco_result(image: u64, category: usize, instance: &Instance<'_>) -> CocoResult {
    let bbox = &instance.bbox;
    CocoResult {
        image,
        category,
        bbox: [bbox.x1, bbox.y1, bbox.width(), bbox.height()].map(f64::from),
        score: f64::from(instance.score),
    }
}

fn load(image: &DatasetImage, limits: &Limits) -> Result<Frame, Error> {
    let bytes = std::fs::read(&image.path).map_err(|error| Error::file(&image.path, error))?;
    decode(&bytes, limits).map_err(|source| Error::Image {
        name: image.path.display().to_string(),
        source,
    })
}
