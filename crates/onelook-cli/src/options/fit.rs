//! How images are fitted into the network, and what counts as a detection, for a model.

use onelook::types::{Metadata, Thresholds};
use onelook::{Model, Options, Pipeline};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{FitArgs, ImageSize, Preset};

impl FitArgs {
    /// What the flags mean for this model.
    pub fn options(&self, metadata: &Metadata) -> Result<Options, Failure> {
        if self.batch == Some(0) || self.max_det == 0 {
            return Err(Failure::Usage(
                "--batch and --max-det: expected at least 1".to_owned(),
            ));
        }
        let preset_iou = self.preset.map(|Preset::Article| 0.45);
        Ok(Options {
            thresholds: Thresholds {
                confidence: self.conf.unwrap_or(0.25),
                iou: self.iou.or(preset_iou).unwrap_or(0.7),
                max_detections: self.max_det,
                classes: self.class_indices(&metadata.names)?,
                agnostic: self.agnostic_nms,
                multi_label: false,
                retina_masks: self.retina_masks,
            },
            image_size: self.imgsz.map(|ImageSize(size)| size),
            rect: self.rect,
            batch: self.batch.unwrap_or(1),
            keep_suppressed: false,
        })
    }

    /// Joins the model with what the flags mean, and tells when a size had to be rounded.
    pub fn pipeline(&self, model: Model, console: &Console) -> Result<Pipeline, Failure> {
        let options = self.options(model.metadata())?;
        let rounded = options.rounded_size(model.metadata())?;
        if let Some(wish) = options.image_size.filter(|wish| *wish != rounded) {
            console.warn(format!(
                "imgsz {}x{} is no multiple of the stride {}, {}x{} is used",
                wish[0],
                wish[1],
                model.metadata().stride,
                rounded[0],
                rounded[1]
            ));
        }
        Ok(Pipeline::new(model, options)?)
    }

    fn class_indices(&self, names: &[String]) -> Result<Option<Vec<usize>>, Failure> {
        let indices = self.classes.as_ref().map(|classes| classes.indices(names));
        indices
            .transpose()
            .map_err(|reason| Failure::Usage(format!("--classes: {reason}")))
    }
}
