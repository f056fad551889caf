//! Where a live stream goes.

use onelook::media::video::{LiveTarget, Window};

use crate::failure::Failure;
use crate::flags::LiveArgs;

impl LiveArgs {
    /// Whether there is any that goes elsewhere than to a window.
    pub fn is_given(&self) -> bool {
        self.publish.is_some() || self.hls.is_some()
    }

    /// Whether a window is asked for and can be had.
    ///
    /// # Errors
    /// There is no screen.
    pub fn shows(&self) -> Result<bool, Failure> {
        match self.show && !Window::has_display() {
            true => Err(Failure::Usage(
                "--show: there is no screen, as neither DISPLAY nor WAYLAND_DISPLAY is set; `--hls DIR` or \
                 `onelook serve` show results in a browser"
                    .to_owned(),
            )),
            false => Ok(self.show),
        }
    }

    /// What the flags say.
    pub fn targets(&self) -> Result<Vec<LiveTarget>, Failure> {
        let mut targets = Vec::new();
        if let Some(url) = &self.publish {
            let place = url
                .strip_prefix("rtsp://")
                .filter(|place| !place.is_empty());
            if place.is_none() || url.contains(char::is_whitespace) {
                let message = "--publish: expected an address such as rtsp://127.0.0.1:8554/name";
                return Err(Failure::Usage(message.to_owned()));
            }
            targets.push(LiveTarget::Rtsp(url.clone()));
        }
        if let Some(directory) = &self.hls {
            targets.push(LiveTarget::Hls {
                directory: directory.clone(),
                segments: usize::from(self.hls_segments),
            });
        }
        Ok(targets)
    }
}
