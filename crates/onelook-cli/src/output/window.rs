//! Frames with boxes and labels in a window on the screen.

use std::path::Path;

use onelook::media::video::{Ffmpeg, Window, WindowEnd};
use onelook::vision::draw::DrawStyle;

use super::predicted::{PredictedImage, Sink};
use crate::console::Console;
use crate::failure::Failure;
use crate::signals::{Interrupt, Received};

/// What a window shows, and whom it ends.
pub struct WindowPlan<'a, 'p> {
    pub ffmpeg: Option<&'p Path>,
    /// Whether the last image is shown until the window is closed.
    pub stays: bool,
    pub names: &'a [String],
    pub style: DrawStyle,
    pub interrupt: &'p Interrupt,
    pub console: &'a Console,
}

/// Shows frames; ends the run when it is closed.
pub struct ShownWindow<'a> {
    window: Option<Window>,
    names: &'a [String],
    style: DrawStyle,
    received: Received,
    console: &'a Console,
}

impl<'a> ShownWindow<'a> {
    pub fn open(plan: WindowPlan<'a, '_>) -> Result<Self, Failure> {
        let failure = |error: onelook::media::video::VideoError| {
            Failure::failed("file", format!("--show: {error}"))
        };
        let ffmpeg = Ffmpeg::find(plan.ffmpeg).map_err(failure)?;
        let received = plan.interrupt.handle();
        let end = received.clone();
        let on_close = move || end.interrupt();
        let window = Window::open(&ffmpeg, "onelook", plan.stays, on_close).map_err(failure)?;
        Ok(Self {
            window: Some(window),
            names: plan.names,
            style: plan.style,
            received,
            console: plan.console,
        })
    }
}

impl Sink for ShownWindow<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let Some(window) = &self.window else {
            return Ok(());
        };
        match window.end() {
            Some(WindowEnd::Failed(reason)) => Err(gone(&reason)),
            // The run is about to end.
            Some(WindowEnd::Closed) => Ok(()),
            None => {
                window.write(image.annotated(self.names, &self.style));
                Ok(())
            }
        }
    }

    fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let Some(window) = self.window.take() else {
            return Ok(());
        };
        match window.finish(|| complete && !self.received.is_received()) {
            Some(WindowEnd::Failed(reason)) => Err(gone(&reason)),
            Some(WindowEnd::Closed) if !complete => {
                self.console.note("the window was closed");
                Ok(())
            }
            // After the last image its closing is what was waited for.
            Some(WindowEnd::Closed) | None => Ok(()),
        }
    }
}

fn gone(reason: &str) -> Failure {
    let message = format!("--show: the window is gone: {reason}");
    Failure::failed("window", message)
}
