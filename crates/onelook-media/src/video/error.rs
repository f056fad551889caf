//! Why a video gives no frames, or no more.

use super::nut::NutError;

/// Why a video gives no frames, or no more. What ffmpeg says is quoted without passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VideoError {
    /// The programs that read videos are not there.
    #[error(
        "videos are read by ffmpeg, and {program} is not {}: install it (Debian, Ubuntu: apt install ffmpeg; Fedora: dnf install ffmpeg-free; Arch: pacman -S ffmpeg; macOS: brew install ffmpeg), or name it by --ffmpeg or ONELOOK_FFMPEG",
        place.as_ref().map_or("on the PATH".to_owned(), |place| format!("at '{place}'"))
    )]
    NoFfmpeg {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// Where it was said to be.
        place: Option<String>,
    },
    /// ffplay cannot be found.
    #[error(
        "windows are opened by ffplay, which is neither beside ffmpeg nor on the PATH: install it (Debian, Ubuntu: apt install ffmpeg; Fedora: dnf install ffmpeg-free; Arch: pacman -S ffmpeg; macOS: brew install ffmpeg)"
    )]
    NoPlayer,
    /// The system does not start ffmpeg.
    #[error("ffmpeg cannot be started: {reason}")]
    Start {
        /// What the system said.
        reason: String,
    },
    /// An ffmpeg without the options that are needed.
    #[error("this ffmpeg is too old ({said}): install version 5.1 or newer")]
    OldFfmpeg {
        /// What ffmpeg said.
        said: String,
    },
    /// There is no video in it.
    #[error("it holds no video")]
    NoVideo,
    /// It could not be opened, or gave no frame.
    #[error("it cannot be opened: {reason}")]
    Refused {
        /// What ffmpeg said.
        reason: String,
    },
    /// More pixels than [`Limits::max_pixels`](crate::Limits::max_pixels).
    #[error("its frames have {width}x{height} pixels, more than the limit of {max_pixels}")]
    TooManyPixels {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
        /// The limit.
        max_pixels: u64,
    },
    /// No frame came in time; ffmpeg was ended.
    #[error("no frame came for {seconds} s{}", after(*frames))]
    Frozen {
        /// How long was waited.
        seconds: u64,
        /// Frames before.
        frames: u64,
    },
    /// A live stream ended.
    #[error("the stream ended after {frames} frames{}", said(reason))]
    Ended {
        /// Frames before.
        frames: u64,
        /// What ffmpeg said, if anything.
        reason: String,
    },
    /// A file that is cut short or damaged. What came before is as good as it could be had.
    #[error(
        "it is damaged or cut short: {frames} frames came{}{}; fetch or export it again",
        expected.map_or(String::new(), |expected| format!(" of about {expected}")),
        said(reason)
    )]
    Damaged {
        /// Frames that came.
        frames: u64,
        /// Frames that the file announces, where it does.
        expected: Option<u64>,
        /// What ffmpeg said first.
        reason: String,
    },
    /// ffmpeg ended where it should not have.
    #[error("ffmpeg ended ({status}) after {frames} frames{}", said(reason))]
    Died {
        /// How.
        status: String,
        /// Frames before.
        frames: u64,
        /// What it said last.
        reason: String,
    },
    /// What ffmpeg wrote is no stream of frames.
    #[error("what ffmpeg writes cannot be read after {frames} frames: {source}")]
    Stream {
        /// Frames before.
        frames: u64,
        /// What is wrong.
        source: NutError,
    },
    /// What ffprobe wrote says nothing.
    #[error("what ffprobe writes cannot be read: {reason}")]
    Probe {
        /// What is wrong.
        reason: String,
    },
    /// The annotated video cannot be written.
    #[error("'{path}' cannot be written: {reason}")]
    Write {
        /// The file.
        path: String,
        /// What ffmpeg or the system said, and what is left.
        reason: String,
    },
    /// What was read before of a file is not what it holds.
    #[error(
        "its frame {frame} is not the one that was read before: the file has changed; begin anew"
    )]
    Changed {
        /// Which frame, from 1.
        frame: u64,
    },
    /// A decoder has a bug.
    #[error("its decoder failed unexpectedly ({reason}): please report it")]
    Panicked {
        /// What it said.
        reason: String,
    },
    /// Whoever reads it has stopped it.
    #[error("it was stopped")]
    Stopped,
}

fn after(frames: u64) -> String {
    match frames {
        0 => String::new(),
        frames => format!(" after {frames} frames"),
    }
}

fn said(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(" ({reason})"),
    }
}
