//! The other route to boxes: another device, another file of the model, or a recording.

use std::path::Path;

use onelook::types::{Frame, Instances, Precision, Tensor};
use onelook::{Device, Pipeline};

use super::recorded::Recording;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{FitArgs, ModelArgs};

/// What `--against` names.
pub enum Against {
    /// A file of recorded detections.
    Recording(Recording),
    /// A model, loaded as these flags say.
    Model(ModelArgs),
}

/// The opened second route.
pub enum Second {
    /// Recorded detections.
    Recording(Recording),
    /// A pipeline.
    Pipeline(Box<Pipeline>),
}

impl Against {
    /// A device, a precision, a recording or a model, in this order.
    pub fn parse(word: &str, first: &ModelArgs) -> Result<Self, Failure> {
        let path = Path::new(word);
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ending == "json" || ending == "jsonl" {
            return Ok(Self::Recording(Recording::read(
                path,
                first.model.as_deref(),
            )?));
        }
        let mut other = first.clone();
        if !path.exists() && word.parse::<Device>().is_ok() {
            other.engine.device = word.to_owned();
        } else if !path.exists()
            && let Ok(precision) = word.parse::<Precision>()
        {
            other.engine.quantize = Some(precision);
        } else {
            other.model = Some(word.to_owned());
            // The other file has its own head: an export of the one-to-many head has no other.
            other.engine.end_to_end = None;
        }
        Ok(Self::Model(other))
    }
}

/// Opens both routes. Where one takes only a square of one size, so must the other.
pub fn open_first(
    model: &ModelArgs,
    fit: &FitArgs,
    against: Against,
    console: &Console,
) -> Result<(Pipeline, Second), Failure> {
    let first = model.load(console)?;
    match against {
        Against::Recording(recording) => {
            Ok((fit.pipeline(first, console)?, Second::Recording(recording)))
        }
        Against::Model(other) => {
            let second = other.load(console)?;
            let mut fit = fit.clone();
            if first.metadata().fixed_size || second.metadata().fixed_size {
                fit.rect = Some(false);
            }
            let first = fit.pipeline(first, console)?;
            let second = fit.pipeline(second, console)?;
            Ok((first, Second::Pipeline(Box::new(second))))
        }
    }
}

impl Second {
    /// The objects on an image; `None` when it was not recorded.
    pub fn answer(&self, name: &str, frame: &Frame) -> Result<Option<Instances>, Failure> {
        match self {
            Self::Recording(recording) => Ok(recording.find(name).cloned()),
            Self::Pipeline(pipeline) => {
                let results = pipeline.predict(std::slice::from_ref(frame))?;
                Ok(Some(results[0].instances().clone()))
            }
        }
    }

    /// The raw tensor for an image, if there is a network behind this route.
    pub fn raw(&self, frame: &Frame) -> Result<Option<Tensor>, Failure> {
        match self {
            Self::Recording(_) => Ok(None),
            Self::Pipeline(pipeline) => raw(pipeline, frame).map(Some),
        }
    }

    /// The route in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Recording(recording) => recording.describe(),
            Self::Pipeline(pipeline) => describe(pipeline),
        }
    }
}

/// A pipeline in words.
pub fn describe(pipeline: &Pipeline) -> String {
    format!(
        "{} on {}",
        pipeline.model().name(),
        pipeline.model().device()
    )
}

/// The one tensor that an exported model would give for this image.
pub fn raw(pipeline: &Pipeline, frame: &Frame) -> Result<Tensor, Failure> {
    let input = pipeline.prepare(frame).input.to_tensor();
    Ok(pipeline.model().output0(&input)?)
}
