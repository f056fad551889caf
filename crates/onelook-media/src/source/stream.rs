//! Videos and live streams of a source, to be run beside each other.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use super::entry::Entry;
use super::error::SourceError;
use super::options::SourceOptions;
use crate::video::{
    DecodeOptions, Delivery, Ffmpeg, ResumePoint, StreamOptions, VideoAddress, VideoStream,
};

/// Most frames of a live stream that wait where every one counts.
const BUFFERED: usize = 128;

/// One of several videos and live streams that run at once.
pub struct SourceStream {
    /// Path or address as the user knows it, without passwords.
    pub name: String,
    /// Where the file is, for files.
    pub path: Option<PathBuf>,
    /// Whether it has no end.
    pub is_live: bool,
    /// Its frames.
    pub video: VideoStream,
}

/// The streams of these entries, none of which is opened yet.
pub(super) fn open(
    entries: Vec<Entry>,
    options: &SourceOptions,
) -> Result<Vec<SourceStream>, SourceError> {
    let count = entries.len();
    let mut streams = Vec::with_capacity(count);
    let mut ffmpeg: Option<Ffmpeg> = None;
    for entry in entries {
        let path = entry.path();
        let Entry::Video { name, address } = entry else {
            return Err(SourceError::ImageAmongStreams {
                name: entry.name().to_owned(),
            });
        };
        let found = match ffmpeg.take() {
            Some(found) => found,
            None => Ffmpeg::find(options.ffmpeg.as_deref()).map_err(|source| {
                let name = name.clone();
                SourceError::Video { name, source }
            })?,
        };
        streams.push(SourceStream {
            name,
            path,
            is_live: address.is_live(),
            video: video_stream(found.clone(), address, options, count, false, None),
        });
        ffmpeg = Some(found);
    }
    Ok(streams)
}

/// Threads that decode one of so many videos that run at once: those of one alone are ffmpeg's choice.
fn decode_threads(videos: usize) -> Option<u32> {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    (videos > 1).then(|| (cores / videos).max(1) as u32)
}

/// A video that runs with so many `beside` it, itself included, with the options of its source;
/// `must_start` as in [`StreamOptions`].
pub(super) fn video_stream(
    ffmpeg: Ffmpeg,
    address: VideoAddress,
    options: &SourceOptions,
    beside: usize,
    must_start: bool,
    resume: Option<ResumePoint>,
) -> VideoStream {
    let mut decode = DecodeOptions::for_address(&address);
    decode.resume = resume;
    decode.limits = options.limits;
    decode.stride = options.video_stride.max(1);
    decode.longest_side = options.video_side;
    decode.hardware = options.hardware_decoding.clone();
    decode.threads = decode_threads(beside);
    let mut stream = StreamOptions::for_address(&address);
    stream.must_start = must_start;
    if beside > 1 && !address.is_live() {
        stream.delivery = Delivery::OnDemand;
    }
    if address.is_live() && options.buffer_streams {
        stream.delivery = Delivery::EveryFrame {
            ahead: BUFFERED,
            bytes: options.bytes_ahead,
        };
    }
    VideoStream::open(ffmpeg, address, decode, stream)
}
