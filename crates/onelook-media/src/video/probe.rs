//! What ffprobe says of a video file: size, rate, length, sound.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::address::VideoAddress;
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::pixel_limit::{max_pixels, too_many_pixels};
use super::process::Process;
use crate::Limits;
use crate::stop::StopHandle;

/// A description takes some kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// A damaged file may be looked through for long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a video file says of itself. Every part may be wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// Pixels in a row, as shown.
    pub width: u32,
    /// Rows, as shown.
    pub height: u32,
    /// By how many degrees frames are turned clockwise to be shown: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Frames in a second, on average, where it is known.
    pub fps: Option<f64>,
    /// How long it is, in seconds, where it is known.
    pub duration: Option<f64>,
    /// How many frames it has: counted by the file, or guessed from length and rate.
    pub frames: Option<u64>,
    /// When its container begins, in seconds; times of frames are relative to it.
    pub start: f64,
    /// The codec of its first sound track, where it has any.
    pub audio: Option<String>,
}

impl VideoInfo {
    /// Asks ffprobe about a file.
    ///
    /// # Errors
    /// It cannot be opened, or holds no video.
    pub fn of(
        address: &VideoAddress,
        ffmpeg: &Ffmpeg,
        stop: &StopHandle,
    ) -> Result<Self, VideoError> {
        Self::within(address, None, ffmpeg, &Limits::default(), stop)
    }

    /// The same of a file that is read as this container, if one is given; a frame that is larger is not decoded
    /// to be looked at.
    pub(super) fn within(
        address: &VideoAddress,
        container: Option<&str>,
        ffmpeg: &Ffmpeg,
        limits: &Limits,
        stop: &StopHandle,
    ) -> Result<Self, VideoError> {
        let input = address.input(container);
        let mut command = ffmpeg.probe_command();
        command.args([
            "-v",
            "error",
            "-of",
            "json",
            "-show_format",
            "-show_streams",
        ]);
        command.args(max_pixels(limits)).args(input.words);
        let (mut process, mut output) =
            Process::start(command, input.script.as_deref(), address.redactor(), stop)?;
        output.set_deadline(Instant::now() + PATIENCE);
        let mut text = Vec::new();
        let read = output.take(MAX_BYTES + 1).read_to_end(&mut text);
        if stop.is_stopped() {
            return Err(VideoError::Stopped);
        }
        let unreadable = |reason: &str| VideoError::Probe {
            reason: reason.to_owned(),
        };
        match read {
            Ok(_) if text.len() as u64 > MAX_BYTES => return Err(unreadable("it does not end")),
            Ok(_) => {}
            Err(_) => return Err(unreadable("it does not come")),
        }
        if !process.wait().is_some_and(|status| status.success()) {
            if let Some(error) = too_many_pixels(&process, limits) {
                return Err(error);
            }
            let reason = process.find_line(refused_format);
            return Err(VideoError::Refused {
                reason: reason.unwrap_or_else(|| process.last_words()),
            });
        }
        let description = serde_json::from_slice(&text);
        Self::from_json(&description.map_err(|error| unreadable(&error.to_string()))?)
    }

    fn from_json(description: &Value) -> Result<Self, VideoError> {
        let streams = description["streams"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let of_kind = |kind: &'static str| {
            let streams = streams.iter();
            streams.filter(move |stream| stream["codec_type"] == kind)
        };
        // The cover of a piece of music is no video.
        let is_cover = |stream: &Value| stream["disposition"]["attached_pic"] == 1;
        let video = of_kind("video").find(|stream| !is_cover(stream));
        let video = video.ok_or(VideoError::NoVideo)?;
        let side = |name: &str| {
            let side = video[name]
                .as_u64()
                .and_then(|side| u32::try_from(side).ok());
            side.filter(|&side| side > 0).ok_or(VideoError::NoVideo)
        };
        let (mut width, mut height) = (side("width")?, side("height")?);
        let rotation = rotation(video);
        if rotation % 180 == 90 {
            (width, height) = (height, width);
        }
        let fps = fraction(&video["avg_frame_rate"]).or_else(|| fraction(&video["r_frame_rate"]));
        let format = &description["format"];
        let duration = number(&video["duration"]).or_else(|| number(&format["duration"]));
        let duration = duration.filter(|&seconds| seconds > 0.0 && seconds < 1e9);
        let counted = number(&video["nb_frames"]).filter(|&frames| frames >= 1.0);
        let guessed = || Some((duration? * fps?).round()).filter(|&frames| frames >= 1.0);
        Ok(Self {
            width,
            height,
            rotation,
            fps,
            duration,
            frames: counted.or_else(guessed).map(|frames| frames as u64),
            start: number(&format["start_time"]).unwrap_or(0.0),
            audio: of_kind("audio")
                .next()
                .and_then(|stream| stream["codec_name"].as_str())
                .map(str::to_owned),
        })
    }
}

/// That ffmpeg opens no file of this format, of its own line that says so.
fn refused_format(line: &str) -> Option<String> {
    let (format, rest) = line.strip_prefix('[')?.split_once(" @ ")?;
    let is_own = rest.contains("] Format not on whitelist");
    is_own.then(|| {
        format!(
            "its format is '{format}', not one of video files; lists of other files are not read"
        )
    })
}

/// A finite number, which ffprobe writes as text.
fn number(value: &Value) -> Option<f64> {
    let number: f64 = value.as_str()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// `30000/1001`; nothing for `0/0`. Rates that no camera has are the time base of a file without one.
fn fraction(value: &Value) -> Option<f64> {
    let (above, below) = value.as_str()?.split_once('/')?;
    let rate = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (rate > 0.0 && rate <= 1000.0).then_some(rate)
}

/// Degrees clockwise, from the display matrix, which counts the other way, or from the older tag.
fn rotation(video: &Value) -> u32 {
    let sides = video["side_data_list"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let matrix = sides.iter().find_map(|side| side["rotation"].as_f64());
    let degrees = matrix
        .map(|degrees| -degrees)
        .or_else(|| number(&video["tags"]["rotate"]));
    let quarters = degrees.filter(|degrees| degrees.is_finite()).unwrap_or(0.0) / 90.0;
    (quarters.round() as i64).rem_euclid(4) as u32 * 90
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_or_absurd_is_not_believed() {
        let info = |video: Value, format: Value| {
            VideoInfo::from_json(&json!({"streams": [video], "format": format}))
        };
        let plain = json!({"codec_type": "video", "width": 64, "height": 48});
        let bare = info(plain.clone(), json!({})).unwrap();
        assert_eq!((bare.fps, bare.frames, bare.start), (None, None, 0.0));
        let mut odd = plain.clone();
        odd["avg_frame_rate"] = json!("0/0");
        odd["r_frame_rate"] = json!("90000/1");
        odd["nb_frames"] = json!("0");
        odd["side_data_list"] = json!([{"rotation": -90}]);
        let odd = info(odd, json!({"duration": "1e300", "start_time": "nan"})).unwrap();
        assert_eq!((odd.fps, odd.frames, odd.duration), (None, None, None));
        assert_eq!((odd.width, odd.height, odd.rotation), (48, 64, 90));
        let mut cover = plain.clone();
        cover["disposition"] = json!({"attached_pic": 1});
        assert_eq!(info(cover, json!({})), Err(VideoError::NoVideo));
        let mut huge = plain;
        huge["width"] = json!(1_u64 << 40);
        assert_eq!(info(huge, json!({})), Err(VideoError::NoVideo));
        assert_eq!(VideoInfo::from_json(&json!([])), Err(VideoError::NoVideo));
    }

    #[test]
    fn frames_are_guessed_from_length_and_rate() {
        let video = json!({"codec_type": "video", "width": 64, "height": 48, "avg_frame_rate": "30000/1001"});
        let info =
            VideoInfo::from_json(&json!({"streams": [video], "format": {"duration": "2.0"}}));
        let info = info.unwrap();
        assert_eq!(info.frames, Some(60));
        assert!((info.fps.unwrap() - 29.97).abs() < 0.001);
    }
}
