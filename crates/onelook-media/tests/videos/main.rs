//! Videos that the real ffmpeg makes and reads: every frame, its time, its end; and programs that pretend to
//! be ffmpeg. Needs ffmpeg and ffprobe 5.1 or newer with libx264; without them the tests say SKIPPED, and
//! fail in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod failures;
mod kinds;
mod live;
mod sources;
mod written;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use onelook_media::video::{
    DecodeOptions, Ffmpeg, Next, NutReader, NutVideo, NutWriter, ResumePoint, StreamOptions,
    StreamState, TimeBase, VideoAddress, VideoError, VideoFrame, VideoInfo, VideoStream,
    VideoWriter, WriterOptions,
};
use onelook_media::{OpenedSource, Source, SourceOptions, StopHandle};
use onelook_types::{Frame, PixelFormat};

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onelook-videos-{}-{count}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&scratch.0).unwrap();
        Some(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A test pattern of so many seconds at ten frames a second, encoded with these words.
    fn clip(&self, name: &str, size: &str, seconds: u32, words: &str) -> PathBuf {
        let path = self.path(name);
        let pattern = format!("testsrc2=s={size}:r=10:d={seconds}");
        let mut command = Command::new("ffmpeg");
        command.args([
            "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &pattern,
        ]);
        command.args(words.split_whitespace());
        command.arg(format!("file:{}", path.display()));
        assert!(command.status().unwrap().success(), "{name}");
        path
    }

    /// A directory with a script called ffmpeg and the real ffprobe.
    fn fake(&self, script: &str) -> Ffmpeg {
        let directory = self.path("bin");
        fs::create_dir_all(&directory).unwrap();
        let program = directory.join("ffmpeg");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let probe = Command::new("sh")
            .args(["-c", "command -v ffprobe"])
            .output()
            .unwrap();
        let probe = String::from_utf8(probe.stdout).unwrap();
        symlink(probe.trim(), directory.join("ffprobe")).unwrap();
        Ffmpeg::find(Some(&directory)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stream_by(ffmpeg: Ffmpeg, path: &Path, change: impl FnOnce(&mut DecodeOptions)) -> VideoStream {
    let address = VideoAddress::File(path.to_owned());
    let mut decode = DecodeOptions::for_address(&address);
    change(&mut decode);
    let options = StreamOptions::for_address(&address);
    VideoStream::open(ffmpeg, address, decode, options)
}

fn stream(path: &Path) -> VideoStream {
    stream_by(Ffmpeg::find(None).unwrap(), path, |_| {})
}

/// All frames, and why there are no more where that is a failure.
fn read(mut stream: VideoStream) -> (Vec<VideoFrame>, Option<VideoError>) {
    let mut frames = Vec::new();
    loop {
        match stream.next_frame(None) {
            Next::Frame(frame) => frames.push(frame),
            Next::Failed(error) => return (frames, Some(error)),
            Next::Ended => return (frames, None),
            Next::NotYet => panic!("there was no deadline"),
        }
    }
}

/// What ffmpeg gives without NUT: the bytes of all frames.
fn raw(path: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:V:0",
            "-pix_fmt",
            "rgb24",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .unwrap();
    output.stdout
}

/// The times of all frames by ffprobe, in seconds from the start of the container.
fn times(path: &Path) -> Vec<f64> {
    let entries = [
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
    ];
    let probe = |words: &[&str]| {
        let output = Command::new("ffprobe")
            .args(["-v", "error"])
            .args(words)
            .arg(path)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let start = probe(&["-show_entries", "format=start_time", "-of", "csv=p=0"]);
    let start: f64 = start.trim().parse().unwrap();
    let list = probe(&entries);
    let numbers = list
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    numbers.map(|time| time - start).collect()
}

const X264: &str = "-c:v libx264 -preset ultrafast";
