//! The same number for the same object on every frame.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use onelook::tracking::{FrameTracker, TrackerSettings, tracker};
use pyo3::prelude::*;

use crate::array::{ImageArray, colour};
use crate::detections::Detections;
use crate::error::{OrRaise, raised};

/// A tracker of one stream.
#[pyclass(frozen, module = "onelook._native")]
pub struct Tracker {
    settings: TrackerSettings,
    tracker: Mutex<FrameTracker>,
}

#[pymethods]
impl Tracker {
    /// The tracker of a name, such as `bytetrack`, or of a YAML file.
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        let settings = tracker(name).or_raise()?;
        Ok(Self {
            tracker: Mutex::new(FrameTracker::new(&settings)),
            settings,
        })
    }

    /// Whether it takes boxes that suppression dropped: the option `keep_suppressed` of predictors.
    #[getter]
    fn wants_suppressed(&self) -> bool {
        self.settings.options.wants_suppressed()
    }

    /// Forgets everything.
    fn reset(&self) {
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) =
            FrameTracker::new(&self.settings);
    }

    /// The objects that are tracked on the next frame, which comes `seconds` after the start.
    fn update(
        &self,
        py: Python<'_>,
        image: &Bound<'_, PyAny>,
        color: &str,
        seconds: f64,
        detections: &Detections,
    ) -> PyResult<Detections> {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| raised("SettingError", format!("time: {seconds}: {error}")))?;
        let image = ImageArray::of(image, colour(color)?)?;
        let view = image.view();
        let found = detections.instances();
        let tracked = py.detach(|| {
            let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
            tracker.update(&view, time, found, detections.suppressed())
        });
        Ok(detections.with(tracked))
    }
}
