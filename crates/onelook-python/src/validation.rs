//! A model and a data set in, figures of merit out.

use std::ops::ControlFlow;
use std::path::PathBuf;

use onelook::dataset::{Dataset, DatasetOptions, Split};
use onelook::record::milliseconds;
use onelook::{ValidateOptions, validate as run};
use pyo3::prelude::*;
use serde_json::json;

use crate::error::{OrRaise, raised};
use crate::network::Predictor;

/// Runs the predictor over a data set and gives its figures as JSON; `progress` is called with the
/// number of images before the first, and then for each.
#[pyfunction]
#[pyo3(signature = (predictor, data, progress, *, split = None, images = None, rect = true))]
pub fn validate(
    py: Python<'_>,
    predictor: &Predictor,
    data: PathBuf,
    progress: &Bound<'_, PyAny>,
    split: Option<&str>,
    images: Option<PathBuf>,
    rect: bool,
) -> PyResult<String> {
    let split = split.map(split_of).transpose()?;
    let options = DatasetOptions {
        images: images.as_deref(),
        split,
    };
    let dataset = Dataset::open(&data, &options).or_raise()?;
    if dataset.images.is_empty() {
        let reason = dataset.excluded.first().map_or_else(String::new, |image| {
            format!(": {}: {}", image.path.display(), image.error)
        });
        let message = format!(
            "{}: it has no image that can be used{reason}",
            data.display()
        );
        return Err(raised("DatasetError", message));
    }
    progress.call1((dataset.images.len(),))?;
    let progress: Py<PyAny> = progress.clone().unbind();
    let mut raised_there = None;
    let options = ValidateOptions {
        rect,
        batch: predictor.pipeline.options().batch,
        ..ValidateOptions::default()
    };
    let pipeline = predictor.pipeline.running()?;
    let validation = py.detach(|| {
        run(pipeline, &dataset, &options, &mut || {
            let call = |py: Python<'_>| {
                py.check_signals()?;
                progress.call1(py, (1,)).map(drop)
            };
            match Python::attach(call) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    raised_there = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
    });
    if let Some(error) = raised_there {
        return Err(error);
    }
    let validation = validation.or_raise()?;
    let stats = &validation.stats;
    let classes = stats.classes.iter().map(|class| {
        json!({
            "name": dataset.name(class.category), "images": class.images, "instances": class.instances,
            "map": class.ap50_95, "map50": class.ap50, "precision": class.precision,
            "recall": class.recall,
        })
    });
    let excluded = dataset.excluded.iter();
    let excluded = excluded.map(|image| (&image.path, &image.error));
    let failed = validation.failed.iter().map(|(path, error)| (path, error));
    let failed = excluded.chain(failed);
    let failed = failed.map(|(path, error)| json!([path.display().to_string(), error.to_string()]));
    Ok(json!({
        "stats": stats.stats, "precision": stats.precision, "recall": stats.recall,
        "confidence": stats.confidence, "images": validation.images,
        "instances": validation.instances, "classes": classes.collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
        "speed": {
            "preprocess": milliseconds(validation.speed.preprocess),
            "inference": milliseconds(validation.speed.inference),
            "postprocess": milliseconds(validation.speed.postprocess),
        },
    })
    .to_string())
}

fn split_of(word: &str) -> PyResult<Split> {
    let split = word.parse::<Split>();
    split.map_err(|error| raised("SettingError", format!("split: {error}, not '{word}'")))
}
