//! Where a live stream goes.

use onelook::media::video::LiveTarget;

use crate::failure::Failure;
use crate::flags::LiveArgs;

impl LiveArgs {
    /// Whether there is any.
    pub fn is_given(&self) -> bool {
        self.publish.is_some() || self.hls.is_some()
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
