//! How large an image may be.

use onelook::media::Limits;

use crate::flags::LimitArgs;

impl LimitArgs {
    /// What the flags mean for decoding.
    pub fn limits(&self) -> Limits {
        let defaults = Limits::default();
        Limits {
            max_pixels: self.max_pixels.unwrap_or(defaults.max_pixels),
            max_bytes: self.max_bytes.unwrap_or(defaults.max_bytes),
        }
    }
}
