//! How large frames may be: told to ffmpeg, which then decodes none that is larger, and checked again.

use super::error::VideoError;
use super::process::Process;
use crate::Limits;

/// Has ffmpeg refuse larger frames before it decodes them. A decoder's buffers are somewhat larger than its
/// frames, so that the exact limit is checked here again.
pub(super) fn max_pixels(limits: &Limits) -> [String; 2] {
    const ALIGNMENT: u64 = 1 << 22;
    let most = limits.max_pixels.saturating_add(ALIGNMENT);
    let most = most.min(i32::MAX.unsigned_abs().into());
    ["-max_pixels".to_owned(), most.to_string()]
}

/// That ffmpeg refused to decode frames of more pixels, if it says so.
pub(super) fn too_many_pixels(process: &Process, limits: &Limits) -> Option<VideoError> {
    let [width, height] = process.find_line(refused_size)?;
    let max_pixels = limits.max_pixels;
    Some(VideoError::TooManyPixels {
        width,
        height,
        max_pixels,
    })
}

/// Width and height of frames that ffmpeg refused to decode, of its own line that says so.
fn refused_size(line: &str) -> Option<[u64; 2]> {
    let (before, after) = line.split_once(" size ")?;
    let (size, rest) = after.split_once(' ')?;
    let is_own =
        before.contains("[IMGUTILS @ ") && rest.starts_with("exceeds specified max pixel count");
    let (width, height) = size.split_once('x').filter(|_| is_own)?;
    Some([width.parse().ok()?, height.parse().ok()?])
}

/// Refuses frames of more pixels than may be.
pub(super) fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), VideoError> {
    let (width, height) = (u64::from(width), u64::from(height));
    match width * height > limits.max_pixels {
        true => Err(VideoError::TooManyPixels {
            width,
            height,
            max_pixels: limits.max_pixels,
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ffmpegs_own_words_are_a_refused_size() {
        let line = "[h264 @ 0x55] [IMGUTILS @ 0x7f] A size 320x240 exceeds specified max pixel count 1000, see";
        assert_eq!(refused_size(line), Some([320, 240]));
        let answered = "[rtsp @ 0x55] 404 A size 320x240 exceeds specified max pixel count 1000";
        assert_eq!(refused_size(answered), None);
        assert_eq!(refused_size("[IMGUTILS @ 0x7f] A size 0x is invalid"), None);
    }
}
