//! Where in a video file to go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::nut::checksum;

/// A frame that was read before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Position among the frames that were taken, from 1.
    pub frame: u64,
    /// Its time; absent where no time of the file can be relied on.
    pub time: Option<Duration>,
    /// Width and height of its pixels.
    pub size: [u32; 2],
    /// Of its pixels, to tell frames apart.
    checksum: u32,
}

impl ResumePoint {
    /// Behind this frame of these pixels.
    pub fn new(frame: u64, time: Option<Duration>, size: [u32; 2], pixels: &[u8]) -> Self {
        Self {
            frame,
            time,
            size,
            checksum: checksum(pixels),
        }
    }

    /// Whether these are its pixels.
    pub(super) fn is_of(&self, pixels: &[u8]) -> bool {
        checksum(pixels) == self.checksum
    }
}
