//! How objects are tracked.

use onelook::tracking::{self, TrackerSettings};

use crate::failure::Failure;
use crate::flags::TrackerArgs;

impl TrackerArgs {
    /// What the flags mean.
    pub fn settings(&self) -> Result<TrackerSettings, Failure> {
        let settings = tracking::tracker(&self.tracker)?;
        Ok(TrackerSettings {
            options: settings.options.with_per_class(self.per_class),
            ..settings
        })
    }
}
