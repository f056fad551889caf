//! How a stream is run.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::tracking::TrackerSettings;

/// How a stream is run beside others.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSettings {
    /// Its share of the model's time: twice the weight, twice the work.
    pub weight: NonZeroU32,
    /// Most frames per second of the stream's own time that are run, evenly; all when absent.
    pub max_fps: Option<f64>,
    /// Frames that have waited longer are left out; none when absent.
    pub max_age: Option<Duration>,
    /// Follows its objects.
    pub tracker: Option<TrackerSettings>,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            weight: NonZeroU32::MIN,
            max_fps: None,
            max_age: None,
            tracker: None,
        }
    }
}
