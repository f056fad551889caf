//! A large image tile by tile, in as much memory as one run of the pipeline takes: tiles are views of
//! the image, not copies.

use onelook_types::{BoxXyxy, FrameView, Instance, Instances, PixelRect, Prediction, Task};
use onelook_vision::tiling::{MergeOptions, TileOptions, merge, tiles};

use super::{ImageResult, Pipeline, Speed};
use crate::Error;

/// How an image is cut, and how what was found in the tiles becomes one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiling {
    /// How the image is cut.
    pub tiles: TileOptions,
    /// How boxes of one object become one.
    pub merge: MergeOptions,
}

impl Pipeline {
    /// What the model finds in the tiles of the image, and in the whole image where that is wanted. The
    /// time is that of all tiles; the most detections are those of the image, too.
    ///
    /// # Errors
    /// A model that does more than find boxes, impossible tiles, an image of two planes (NV12), or the
    /// engine fails.
    pub fn predict_tiled(
        &self,
        frame: &FrameView<'_>,
        tiling: &Tiling,
    ) -> Result<ImageResult, Error> {
        let refuse = |reason: String| Error::Setting {
            name: "tile",
            reason,
        };
        let task = self.model().metadata().task();
        if task != Task::Detect {
            return Err(refuse(format!(
                "a {task} model cannot run in tiles, only one of task detect can"
            )));
        }
        let rects = tiles([frame.width(), frame.height()], &tiling.tiles)
            .map_err(|error| refuse(error.to_string()))?;
        let in_flight = self.model().batches_in_flight();
        let together = self.options().batch.saturating_mul(in_flight).max(1);
        let mut objects: Vec<Instance<'static>> = Vec::new();
        let mut speed = Speed::default();
        let mut last = None;
        for rects in rects.chunks(together) {
            let views: Option<Vec<FrameView<'_>>> =
                rects.iter().map(|&rect| frame.crop(rect)).collect();
            let views = views
                .ok_or_else(|| refuse("an NV12 image cannot be cut: convert it".to_owned()))?;
            let results = self.predict(&views)?;
            for (rect, result) in rects.iter().zip(results) {
                objects.extend(result.instances().iter().map(|it| moved(&it, rect)));
                speed += result.speed;
                last = Some(result);
            }
        }
        let last = last.ok_or_else(|| refuse("the image has no pixels".to_owned()))?;
        if rects.len() == 1 {
            return Ok(last);
        }
        let merged = merge(&objects.into_iter().collect(), &tiling.merge);
        let most = self.options().thresholds.max_detections;
        let instances: Instances = merged.iter().take(most).collect();
        Ok(ImageResult {
            prediction: Prediction::Instances(instances),
            suppressed: Instances::default(),
            speed,
            ..last
        })
    }
}

/// The object of a tile in the image.
fn moved(instance: &Instance<'_>, tile: &PixelRect) -> Instance<'static> {
    let (left, top) = (tile.left as f32, tile.top as f32);
    let bbox = BoxXyxy {
        x1: instance.bbox.x1 + left,
        y1: instance.bbox.y1 + top,
        x2: instance.bbox.x2 + left,
        y2: instance.bbox.y2 + top,
    };
    Instance::new(bbox, instance.class, instance.score)
}
